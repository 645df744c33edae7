// Our own services as separate processes, as an operator would start them: each with its log, each ended by its pid.
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { run } from "./command.ts";
import { Daemon } from "./daemon.ts";

export interface ServiceOptions {
  /** The repository. */
  readonly root: string;
  readonly configFile: string;
  readonly logFolder: string;
  readonly fromSource: boolean;
  readonly signal: AbortSignal;
}

/** Programs that the original ran while deploying and that ours must not. */
const FORBIDDEN =
  "ipmitool iscsiadm qemu-img qemu-nbd dd sfdisk parted fdisk mount umount losetup blkid mkswap mkfs mkfs.ext3 mkfs.ext4 mke2fs".split(
    " ",
  );

const READY_DEADLINE_MS = 30_000;

/** Starts and ends the services; traps the programs that they must not call. */
export class Services {
  readonly #options: ServiceOptions;
  readonly #trapFolder: string;
  readonly #trapLog: string;
  readonly #running: Daemon[] = [];

  private constructor(options: ServiceOptions) {
    this.#options = options;
    this.#trapFolder = join(options.logFolder, "trapped-programs");
    this.#trapLog = join(options.logFolder, "trapped-programs.log");
  }

  /** Brings the databases up to date, then starts TFTP, helper and compute together. */
  static async start(options: ServiceOptions): Promise<Services> {
    const services = new Services(options);
    await services.#setTraps();
    const { command, args } = services.#program("baremetal-manage");
    const configured = [...args, "--config-file", options.configFile, "db", "sync"];
    await run(command, configured, { env: services.#environment(), deadlineMs: 60_000, signal: options.signal });
    try {
      const names = ["baremetal-tftp", "baremetal-deploy-helper", "baremetal-compute"];
      const started = await Promise.allSettled(names.map((name) => services.#start(name)));
      for (const outcome of started) if (outcome.status === "rejected") throw outcome.reason;
    } catch (error) {
      await services.close();
      throw error;
    }
    return services;
  }

  get daemons(): readonly Daemon[] {
    return this.#running;
  }

  /** Command lines of forbidden programs that a service has called; empty is right. */
  async forbiddenCalls(): Promise<string[]> {
    const text = await readFile(this.#trapLog, "utf8").catch(() => "");
    return text.split("\n").filter((line) => line !== "");
  }

  async close(): Promise<void> {
    await Promise.all(this.#running.map((daemon) => daemon.stop("SIGTERM", 10_000)));
  }

  async #start(name: string): Promise<void> {
    const { command, args } = this.#program(name);
    const logFile = join(this.#options.logFolder, `${name}.log`);
    const configured = [...args, "--config-file", this.#options.configFile];
    const daemon = await Daemon.start({ name, command, args: configured, logFile, env: this.#environment() });
    this.#running.push(daemon);
    const isReady = async () => ((await daemon.log()).includes('"message":"ready"') ? true : undefined);
    await daemon.ready(isReady, READY_DEADLINE_MS, this.#options.signal);
  }

  #program(name: string): { command: string; args: string[] } {
    const { root, fromSource } = this.#options;
    if (!fromSource) return { command: process.execPath, args: [join(root, "dist/bin", `${name}.js`)] };
    return {
      command: process.execPath,
      args: ["--import", "tsx", "--conditions", "source", join(root, "bin", `${name}.ts`)],
    };
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: [this.#trapFolder, process.env.PATH ?? ""].join(delimiter), FORCE_COLOR: "0" };
  }

  async #setTraps(): Promise<void> {
    await mkdir(this.#trapFolder, { recursive: true });
    for (const name of FORBIDDEN) {
      const path = join(this.#trapFolder, name);
      await writeFile(path, `#!/bin/sh\necho "${name} $*" >>'${this.#trapLog}'\nexit 97\n`);
      await chmod(path, 0o755);
    }
  }
}
