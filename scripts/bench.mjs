// `npm run bench -- NAME [options]`: set-up with a clear word first, then bench/NAME/main.ts. Figures go to standard output.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  build,
  checkNode,
  installDebianPackages,
  installNpmPackages,
  ROOT,
  readPackageList,
  run,
  say,
} from "./environment.mjs";

const FOLDER = join(ROOT, "bench");
const names = readdirSync(FOLDER).filter((name) => existsSync(join(FOLDER, name, "main.ts")));
const [name, ...options] = process.argv.slice(2);
if (name === undefined || !names.includes(name)) {
  const what = name === undefined ? "no benchmark was named" : `there is no benchmark "${name}"`;
  say(`error: ${what}: choose of ${names.join(", ")}`);
  process.exit(2);
}
checkNode();
await installNpmPackages();
await installDebianPackages(
  readPackageList("bench/packages.json").filter(({ onlyFor }) => onlyFor === undefined || onlyFor === name),
);
await build();
// Ctrl-C reaches the benchmark through the terminal's process group, a kill is passed on: it ends when its target is down.
process.exit(
  await run(process.execPath, ["--import", "tsx", `bench/${name}/main.ts`, ...options], { forwardSignals: true }),
);
