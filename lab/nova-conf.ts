// The nova.conf of the rack: what an operator would write, with the lab's folders and addresses.
import { join } from "node:path";
import type { DatabaseUrls } from "./mariadb.ts";
import { SERVER_ADDRESS } from "./network.ts";

/** `service_host` of the machines. */
export const HOST_NAME = "lab";
export const API_PORT = 8774;

export interface NovaConfOptions {
  readonly stateFolder: string;
  readonly tftpRoot: string;
  /** SQLite under `stateFolder` if absent. */
  readonly databases: DatabaseUrls | undefined;
}

export function adminPasswordFile(stateFolder: string): string {
  return join(stateFolder, "admin-password");
}

/** The file's text. */
export function novaConf(options: NovaConfOptions): string {
  const { stateFolder, tftpRoot, databases } = options;
  const lines = [
    "# Written by the lab of nova-baremetal.",
    "[DEFAULT]",
    `host = ${HOST_NAME}`,
    `my_ip = ${SERVER_ADDRESS}`,
    `state_path = ${escapeDollars(stateFolder)}`,
    "",
    "[baremetal]",
    `tftp_root = ${escapeDollars(tftpRoot)}`,
    `tftp_host = ${SERVER_ADDRESS}`,
    `deploy_helper_host = ${SERVER_ADDRESS}`,
    ...(databases ? [`sql_connection = ${databases.baremetal}`] : []),
    "# The console is what the lab reads the tenant's marker from. Setting up a PCI interrupt through ACPI takes a quarter",
    "# of a second a device in an emulated processor; the rest of ACPI, the power button with it, stays.",
    "pxe_append_params = console=ttyS0,115200 quiet pci=noacpi",
    "pxe_deploy_timeout = 240",
    "flavor_extra_specs = cpu_arch:x86_64",
    "",
    "[database]",
    ...(databases ? [`connection = ${databases.nova}`] : []),
    "",
    "[api]",
    "host = 127.0.0.1",
    `port = ${API_PORT}`,
    `admin_password_file = ${escapeDollars(adminPasswordFile(stateFolder))}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** `$` begins a reference in an oslo.config value. */
function escapeDollars(path: string): string {
  return path.replaceAll("$", "$$$$");
}
