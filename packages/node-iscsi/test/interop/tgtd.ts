// Runs the real tgtd (Debian package tgt) in the foreground on a free port of 127.0.0.1 for the interop tests.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "../fakes/free-port.ts";

const run = promisify(execFile);

export interface TgtdOptions {
  sizeBytes: number;
  blockSize?: number;
  chap?: { user: string; password: string };
  /** Keys for `tgtadm --mode logicalunit --op update`, such as thin_provisioning=1. */
  params?: string;
  directory?: string;
}

/** One tgtd with one target whose LUN 1 is a file. */
export class Tgtd {
  readonly targetName = "iqn.2026-11.test:disk";
  readonly port: number;
  readonly backingPath: string;
  readonly #options: TgtdOptions;
  readonly #directory: string;
  readonly #control: string;
  #process: ChildProcess;

  private constructor(options: TgtdOptions, port: number, directory: string) {
    this.#options = options;
    this.port = port;
    this.#directory = directory;
    this.#control = String(port % 30_000);
    this.backingPath = join(directory, "disk.img");
    this.#process = this.#spawn();
  }

  static async start(options: TgtdOptions): Promise<Tgtd> {
    const directory = await mkdtemp(join(options.directory ?? tmpdir(), "tgtd-"));
    const tgtd = new Tgtd(options, await freePort(), directory);
    try {
      const file = await open(tgtd.backingPath, "w");
      await file.truncate(options.sizeBytes);
      await file.close();
      await tgtd.#configure();
    } catch (error) {
      await tgtd.stop();
      throw error;
    }
    return tgtd;
  }

  /** Puts a new process behind the same port and file; what `admin` changed is gone with the old one. */
  async restart(): Promise<void> {
    await this.#kill();
    await rm(join(this.#directory, `ipc.${this.#control}`), { force: true });
    this.#process = this.#spawn();
    await this.#configure();
  }

  #spawn(): ChildProcess {
    return spawn("tgtd", ["-f", "-C", this.#control, "-d", "0", "--iscsi", `portal=127.0.0.1:${this.port}`], {
      stdio: "ignore",
      env: { ...process.env, TGT_IPC_SOCKET: join(this.#directory, "ipc") },
    });
  }

  async #configure(): Promise<void> {
    const options = this.#options;
    const deadline = Date.now() + 10_000;
    for (;;) {
      try {
        await this.admin("--lld", "iscsi", "--op", "new", "--mode", "target", "--tid", "1", "-T", this.targetName);
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await delay(50);
      }
    }
    const lun = ["--lld", "iscsi", "--mode", "logicalunit", "--tid", "1", "--lun", "1"];
    const size = options.blockSize === undefined ? [] : ["--blocksize", String(options.blockSize)];
    await this.admin(...lun, "--op", "new", "-b", this.backingPath, ...size);
    if (options.params !== undefined) await this.admin(...lun, "--op", "update", "--params", options.params);
    if (options.chap !== undefined) {
      const { user, password } = options.chap;
      await this.admin("--lld", "iscsi", "--mode", "account", "--op", "new", "--user", user, "--password", password);
      await this.admin("--lld", "iscsi", "--mode", "account", "--op", "bind", "--tid", "1", "--user", user);
    }
    await this.admin("--lld", "iscsi", "--mode", "target", "--op", "bind", "--tid", "1", "-I", "ALL");
  }

  async admin(...args: string[]): Promise<string> {
    const env = { ...process.env, TGT_IPC_SOCKET: join(this.#directory, "ipc") };
    const { stdout } = await run("tgtadm", ["-C", this.#control, ...args], { env, timeout: 5000 });
    return stdout;
  }

  async stop(): Promise<void> {
    await this.#kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** tgtd ignores SIGTERM. */
  async #kill(): Promise<void> {
    const isGone = new Promise<void>((resolve) => {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) resolve();
      else this.#process.once("exit", () => resolve());
    });
    this.#process.kill("SIGKILL");
    await isGone;
  }
}
