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
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #control: string;

  private constructor(port: number, directory: string, child: ChildProcess, control: string) {
    this.port = port;
    this.#directory = directory;
    this.#process = child;
    this.#control = control;
    this.backingPath = join(directory, "disk.img");
  }

  static async start(options: TgtdOptions): Promise<Tgtd> {
    const directory = await mkdtemp(join(options.directory ?? tmpdir(), "tgtd-"));
    const port = await freePort();
    const control = String(port % 30_000);
    const child = spawn("tgtd", ["-f", "-C", control, "-d", "0", "--iscsi", `portal=127.0.0.1:${port}`], {
      stdio: "ignore",
      env: { ...process.env, TGT_IPC_SOCKET: join(directory, "ipc") },
    });
    const tgtd = new Tgtd(port, directory, child, control);
    try {
      const file = await open(tgtd.backingPath, "w");
      await file.truncate(options.sizeBytes);
      await file.close();
      await tgtd.#configure(options);
    } catch (error) {
      await tgtd.stop();
      throw error;
    }
    return tgtd;
  }

  async #configure(options: TgtdOptions): Promise<void> {
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

  /** tgtd ignores SIGTERM. */
  async stop(): Promise<void> {
    const isGone = new Promise<void>((resolve) => {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) resolve();
      else this.#process.once("exit", () => resolve());
    });
    this.#process.kill("SIGKILL");
    await isGone;
    await rm(this.#directory, { recursive: true, force: true });
  }
}
