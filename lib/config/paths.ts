// Where things lie by default: the program's own folder, and the folder for state.
import { accessSync, constants, existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the program: the nearest one above this file that holds templates/. */
export function projectRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "templates")) && existsSync(join(folder, "package.json"))) return folder;
    if (dirname(folder) === folder) return start;
  }
}

/** /var/lib/nova if we may write there, else the user's own state folder. */
export function defaultStatePath(environment: NodeJS.ProcessEnv = process.env, system = "/var/lib/nova"): string {
  try {
    accessSync(system, constants.W_OK);
    return system;
  } catch {
    const own = environment.XDG_STATE_HOME;
    return join(own?.startsWith("/") ? own : join(homedir(), ".local", "state"), "nova-baremetal");
  }
}

const ORIGINAL_TEMPLATE = /\/nova\/virt\/baremetal\/([\w.-]+\.template)$/;

/** A path to one of the original's templates as the path to ours of that name, unless the file is really there. */
export function resolveTemplate(path: string): string {
  const name = ORIGINAL_TEMPLATE.exec(path)?.[1];
  return name === undefined || existsSync(path) ? path : join(projectRoot(), "templates", name);
}
