// Where the boot files are: tftp_root; without a word about it in nova.conf, and without the right to make /tftpboot, our own folder.
import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../lib/config/index.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";

/** Makes the folder, and gives it. Two services of one user and one nova.conf get the same. @throws BaremetalError `BadInput` */
export async function tftpRootOf(config: Config, logger: Logger): Promise<string> {
  const { tftpRoot } = config.baremetal;
  try {
    await makeWritable(tftpRoot);
    return tftpRoot;
  } catch (cause) {
    if (config.given.has("baremetal.tftp_root")) {
      throw new BaremetalError(
        "BadInput",
        `tftp_root ${tftpRoot} cannot be written: make it, and give it to this service's user`,
        {
          data: { field: "tftp_root" },
          cause,
        },
      );
    }
  }
  const own = join(config.default.statePath, "tftpboot");
  await makeWritable(own);
  logger.warn(`${tftpRoot} cannot be written; the boot files are in ${own} (set [baremetal] tftp_root to say where)`);
  return own;
}

async function makeWritable(folder: string): Promise<void> {
  await mkdir(join(folder, "pxelinux.cfg"), { recursive: true, mode: 0o755 });
  await access(folder, constants.W_OK);
}
