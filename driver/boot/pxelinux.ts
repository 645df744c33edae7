// PXELINUX: the files of one instance under tftp_root, laid out as the original laid them out.
// <tftp_root>/<instance uuid>/{kernel,ramdisk,deploy_kernel,deploy_ramdisk,config}
// <tftp_root>/pxelinux.cfg/01-<mac, lower case, dashes> -> the absolute path of `config`, one per interface.
import { chmod, mkdir, open, readlink, rename, rm, symlink, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BaremetalError, ifMissing } from "../../lib/errors.ts";

/** The four files that a node loads over TFTP, by the names they have in the instance's folder. */
export const TFTP_IMAGES = ["kernel", "ramdisk", "deploy_kernel", "deploy_ramdisk"] as const;
export type TftpImage = (typeof TFTP_IMAGES)[number];

export interface PxeOptions {
  /** bm_nodes.id; the ramdisk posts it as `i`. */
  readonly deploymentId: number;
  readonly deploymentKey: string;
  readonly deploymentIscsiIqn: string;
  /** Appended to both labels (pxe_append_params). */
  readonly appendParams: string;
  /** `ip=...` words of the boot label, or empty. */
  readonly networkConfig: string;
}

/** Where the files of instance `uuid` are. All absolute. */
export interface PxePaths {
  readonly directory: string;
  readonly config: string;
  readonly image: Readonly<Record<TftpImage, string>>;
}

/** Paths of an instance's boot files. @throws BaremetalError `BadInput` if `instanceUuid` could leave tftp_root */
export function pxePaths(tftpRoot: string, instanceUuid: string): PxePaths {
  if (!/^[0-9a-f-]{36}$/i.test(instanceUuid)) {
    throw new BaremetalError("BadInput", `"${instanceUuid}" is not an instance uuid`, { data: { instanceUuid } });
  }
  const directory = join(tftpRoot, instanceUuid);
  const at = (name: string) => join(directory, name);
  return {
    directory,
    config: at("config"),
    image: {
      kernel: at("kernel"),
      ramdisk: at("ramdisk"),
      deploy_kernel: at("deploy_kernel"),
      deploy_ramdisk: at("deploy_ramdisk"),
    },
  };
}

/** The link PXELINUX looks for first: ARP type 1 (Ethernet), then the MAC with dashes. */
export function macLinkPath(tftpRoot: string, address: string): string {
  const mac = address.toLowerCase();
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) {
    throw new BaremetalError("BadInput", `"${address}" is not a MAC address: use the form 52:54:00:12:34:56`, {
      data: { address },
    });
  }
  return join(tftpRoot, "pxelinux.cfg", `01-${mac.replaceAll(":", "-")}`);
}

/**
 * Fills pxe_config_template. `{{ ROOT }}` becomes the literal `${ROOT}`, which the deploy helper replaces.
 * @throws BaremetalError `BadInput` if the template names an unknown variable
 */
export function renderPxeConfig(template: string, paths: PxePaths, options: PxeOptions): string {
  const values: Record<string, string> = {
    "pxe_options.deployment_id": String(options.deploymentId),
    "pxe_options.deployment_key": options.deploymentKey,
    "pxe_options.deployment_iscsi_iqn": options.deploymentIscsiIqn,
    "pxe_options.deployment_aki_path": paths.image.deploy_kernel,
    "pxe_options.deployment_ari_path": paths.image.deploy_ramdisk,
    "pxe_options.aki_path": paths.image.kernel,
    "pxe_options.ari_path": paths.image.ramdisk,
    "pxe_options.pxe_append_params": options.appendParams,
    "pxe_options.pxe_network_config": options.networkConfig,
    ROOT: "$" + "{ROOT}",
  };
  for (const [name, value] of Object.entries(values)) {
    // Trap: a line break in a value would let an operator's typo, or a user's text, add PXELINUX directives.
    if (/[\r\n]/.test(value)) throw new BaremetalError("BadInput", `${name} must be one line`, { data: { name } });
  }
  const text = template.replace(/\{\{\s*([A-Za-z_.]+)\s*\}\}/g, (_match, name: string) => {
    const value = values[name];
    if (value !== undefined) return value;
    throw new BaremetalError(
      "BadInput",
      `pxe_config_template uses {{ ${name} }}, which is not known: it may use ${Object.keys(values).join(", ")}`,
      { data: { name } },
    );
  });
  return `${text
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")
    .trimEnd()}\n`;
}

/** Writes `config` (temporary file, fsync, rename: TFTP never serves half of it) and links it from each MAC. */
export async function writePxeConfig(tftpRoot: string, paths: PxePaths, text: string, macs: readonly string[]) {
  await mkdir(paths.directory, { recursive: true, mode: 0o755 });
  await mkdir(join(tftpRoot, "pxelinux.cfg"), { recursive: true, mode: 0o755 });
  const temporary = `${paths.config}.new`;
  const file = await open(temporary, "w", 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  // The operator's TFTP server may run as somebody else, whatever our umask is.
  await chmod(temporary, 0o644);
  await rename(temporary, paths.config);
  for (const mac of [...macs].sort()) await replaceLink(macLinkPath(tftpRoot, mac), paths.config);
}

async function replaceLink(link: string, target: string): Promise<void> {
  const temporary = join(dirname(link), `.${link.slice(link.lastIndexOf("/") + 1)}.${process.pid}`);
  await rm(temporary, { force: true });
  await symlink(target, temporary);
  await rename(temporary, link);
}

/**
 * Removes an instance's boot files. A link that points at another instance's config is left: it is not ours.
 * Missing files are no error; anything else is thrown, because a node that boots a stale config is a fault.
 */
export async function removePxeFiles(tftpRoot: string, paths: PxePaths, macs: readonly string[]): Promise<void> {
  for (const mac of macs) {
    const link = macLinkPath(tftpRoot, mac);
    const target = await readlink(link).catch(ifMissing);
    if (target === paths.config) await unlink(link).catch(ifMissing);
  }
  await rm(paths.directory, { recursive: true, force: true });
}
