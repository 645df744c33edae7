// Flips a node's PXE configuration from the deploy label to the boot label (nova-baremetal.md 5.6), atomically (R24).
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { BaremetalError } from "../lib/errors.ts";

const ROOT_PLACEHOLDER = "$" + "{ROOT}";

/**
 * `${ROOT}` becomes `UUID=<root uuid>`, and the `default` line names `boot`. A text that is flipped already stays as it is,
 * so a resumed deployment can do it again.
 * @throws BaremetalError `BadInput` if there is no `default` line or no `boot` label
 */
export function flipPxeConfig(text: string, rootUuid: string): string {
  if (!/^default .*$/m.test(text) || !/^label boot$/m.test(text)) {
    throw new BaremetalError(
      "BadInput",
      "the PXE configuration has no `default` line or no `label boot`: restore both in pxe_config_template",
    );
  }
  return text.replaceAll(ROOT_PLACEHOLDER, `UUID=${rootUuid}`).replace(/^default .*$/gm, "default boot");
}

/** Rewrites the file: temporary file beside it, fsync, rename, fsync of the folder; TFTP never sees half of it. */
export async function switchPxeConfig(path: string, rootUuid: string): Promise<void> {
  const text = flipPxeConfig(await readFile(path, "utf8"), rootUuid);
  const { mode } = await stat(path);
  const temporary = `${path}.boot`;
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", mode & 0o777);
  try {
    await file.chmod(mode & 0o777);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
