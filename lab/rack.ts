// The rack, inside its namespaces: network, DHCP, machines with their BMCs, database, our services. Closed in reverse.
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BmcSimulator } from "ipmi-js";
import { systemClock } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import { ApiClient } from "./api-client.ts";
import { startBmc } from "./bmc.ts";
import { type Daemon, tail } from "./daemon.ts";
import { Forwarder } from "./forward.ts";
import { Machine } from "./machine.ts";
import { type DatabaseUrls, startMariadb } from "./mariadb.ts";
import { bringUpNetwork, machineAddress, startDhcp } from "./network.ts";
import { API_PORT, adminPasswordFile, novaConf } from "./nova-conf.ts";
import type { Say } from "./say.ts";
import { SerialPort } from "./serial-port.ts";
import { Services } from "./services.ts";
import { RackWatch } from "./watch.ts";

/** Where everything of one run is. All absolute. */
export interface RackFolders {
  /** The repository. */
  readonly root: string;
  /** Logs and consoles: kept. */
  readonly logs: string;
  /** Databases, images, TFTP root: removed at the end. */
  readonly state: string;
  readonly disks: string;
  /** Short, because a Unix socket's path may have 107 bytes only. */
  readonly sockets: string;
}

export interface RackOptions {
  readonly folders: RackFolders;
  readonly machines: number;
  readonly db: "sqlite" | "mysql";
  readonly fromSource: boolean;
  readonly say: Say;
  readonly signal: AbortSignal;
}

const PXELINUX_FILES = ["/usr/lib/PXELINUX/pxelinux.0", "/usr/lib/syslinux/modules/bios/ldlinux.c32"];

/** Built by `Rack.start`. */
export class Rack {
  readonly machines: Machine[] = [];
  readonly #options: RackOptions;
  readonly #closers: (() => Promise<void>)[] = [];
  #watch: RackWatch | undefined;
  #services: Services | undefined;

  private constructor(options: RackOptions) {
    this.#options = options;
  }

  /** Brings everything up. What was started is closed again if a later part fails. */
  static async start(options: RackOptions): Promise<Rack> {
    const rack = new Rack(options);
    try {
      await rack.#bringUp();
      return rack;
    } catch (error) {
      await rack.close();
      throw error;
    }
  }

  get tftpRoot(): string {
    return join(this.#options.folders.state, "tftpboot");
  }

  /** `console_log_dir` of the services: its default. */
  get consoleFolder(): string {
    return join(this.#options.folders.state, "instances/consoles");
  }

  get passwordFile(): string {
    return adminPasswordFile(this.#options.folders.state);
  }

  /** The Unix socket by which the API is reached from outside. */
  get apiSocket(): string {
    return join(this.#options.folders.sockets, "api");
  }

  get watch(): RackWatch {
    if (this.#watch === undefined) throw new TypeError("the rack is not up");
    return this.#watch;
  }

  get services(): Services {
    if (this.#services === undefined) throw new TypeError("the rack is not up");
    return this.#services;
  }

  /** A session of the administrator's. */
  async login(): Promise<ApiClient> {
    const url = `http://127.0.0.1:${API_PORT}`;
    const password = (await readFile(this.passwordFile, "utf8")).trim();
    const credentials = { url, user: "admin", password, project: "admin" };
    return ApiClient.login(`${url}/identity/v3`, credentials, this.#options.signal);
  }

  /** The ends of all logs and consoles, for the words of a failure. */
  async evidence(): Promise<string> {
    const parts: string[] = [];
    for (const machine of this.machines) {
      const words = tail(printable(await machine.console()), 12);
      if (words !== "") parts.push(`--- console of ${machine.name}`, words);
    }
    const names = ["dnsmasq", "baremetal-tftp", "baremetal-deploy-helper", "baremetal-compute"];
    for (const name of names) {
      const text = await readFile(join(this.#options.folders.logs, `${name}.log`), "utf8").catch(() => "");
      if (text !== "") parts.push(`--- end of ${name}.log`, tail(text, 8));
    }
    return parts.join("\n");
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) {
      await close().catch((error: unknown) => this.#options.say.line(`while closing: ${describeError(error)}`));
    }
  }

  async #bringUp(): Promise<void> {
    const { folders, machines: count, db, fromSource, say, signal } = this.#options;
    const addresses = Array.from({ length: count }, (_, index) => machineAddress(index));
    await bringUpNetwork(addresses);
    for (const address of addresses) await this.#addMachine(address.index);
    const dnsmasq = this.#own(await startDhcp(folders.logs, addresses));
    say.line(
      `network: bridge, ${count} tap(s), DHCP on 192.168.250.0/24; ${count} BMC(s) on 127.1.0.1 and up, port 623`,
    );
    this.#watch = new RackWatch({
      machines: this.machines,
      dhcpLog: dnsmasq.logFile,
      tftpLog: join(folders.logs, "baremetal-tftp.log"),
      clock: systemClock,
      say,
    });
    this.#watch.start();
    this.#closers.push(async () => this.#watch?.close());
    await this.#prepareTftpRoot();
    const databases = db === "mysql" ? await this.#startMariadb() : undefined;
    const configFile = join(folders.state, "nova.conf");
    const conf = novaConf({ stateFolder: folders.state, tftpRoot: this.tftpRoot, databases });
    await writeFile(configFile, conf, { mode: 0o600 });
    const startedAt = Date.now();
    this.#services = await Services.start({
      root: folders.root,
      configFile,
      logFolder: folders.logs,
      fromSource,
      signal,
    });
    this.#closers.push(() => this.services.close());
    const pids = this.services.daemons.map(({ name, pid }) => `${name} (${pid})`).join(", ");
    say.line(`services: ${pids} ready after ${((Date.now() - startedAt) / 1000).toFixed(1)} s, database ${db}`);
    const forwarder = await Forwarder.listen({ path: this.apiSocket }, { host: "127.0.0.1", port: API_PORT });
    this.#closers.push(() => forwarder.close());
  }

  async #addMachine(index: number): Promise<void> {
    const { folders } = this.#options;
    const folder = join(folders.logs, `node${index}`);
    await mkdir(folder, { recursive: true });
    const machine: Machine = new Machine({
      address: machineAddress(index),
      folder,
      socketFolder: folders.sockets,
      diskFile: join(folders.disks, `node${index}.raw`),
      onPower: (isOn) => this.#watch?.power(machine, isOn),
    });
    const serial = await SerialPort.listen(machine.serialSocket);
    this.#closers.push(() => serial.close());
    this.machines.push(machine);
    this.#closers.push(() => machine.powerOff());
    const bmc: BmcSimulator = await startBmc(machine, serial);
    this.#closers.push(() => bmc.close());
  }

  async #prepareTftpRoot(): Promise<void> {
    await mkdir(join(this.tftpRoot, "pxelinux.cfg"), { recursive: true });
    for (const file of PXELINUX_FILES) {
      const copy = join(this.tftpRoot, file.slice(file.lastIndexOf("/") + 1));
      await copyFile(file, copy);
      await chmod(copy, 0o644);
    }
    // A machine that nobody deploys boots its own disk.
    await writeFile(join(this.tftpRoot, "pxelinux.cfg/default"), "default local\n\nlabel local\nlocalboot 0\n");
  }

  async #startMariadb(): Promise<DatabaseUrls> {
    const { folders, say } = this.#options;
    const options = { stateFolder: folders.state, logFolder: folders.logs, socketFolder: folders.sockets };
    const { server, urls } = await startMariadb(options);
    this.#own(server);
    say.line(`database: a private MariaDB (${server.pid}), no network`);
    return urls;
  }

  #own(daemon: Daemon): Daemon {
    this.#closers.push(() => daemon.stop());
    return daemon;
  }
}

/** Console text without escape sequences and control characters. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u00ff]/g, "");
}

/** Removes what a run leaves but its logs. */
export async function removeRunState(folders: RackFolders, keepDisks: boolean): Promise<void> {
  await rm(folders.state, { recursive: true, force: true });
  await rm(folders.sockets, { recursive: true, force: true });
  if (!keepDisks) await rm(folders.disks, { recursive: true, force: true });
}
