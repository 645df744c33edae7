// Runs the real istgt (Debian package istgt) in the foreground on a free port of 127.0.0.1 for the interop tests.
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../fakes/free-port.ts";

export interface IstgtOptions {
  readonly sizeBytes: number;
  readonly blockSize?: number;
  /** One-way CHAP; with `target` also the target's proof. */
  readonly chap?: {
    readonly user: string;
    readonly secret: string;
    readonly target?: { readonly user: string; readonly secret: string };
  };
  /** Digests the target insists on. */
  readonly headerDigest?: boolean;
  readonly dataDigest?: boolean;
}

const NODE_BASE = "iqn.2026-11.test";

/** One istgt with one target whose LUN 0 is a file. */
export class Istgt {
  readonly targetName = `${NODE_BASE}:istgt`;
  readonly port: number;
  readonly backingPath: string;
  readonly #directory: string;
  readonly #process: ChildProcess;
  #output = "";

  private constructor(port: number, directory: string) {
    this.port = port;
    this.#directory = directory;
    this.backingPath = join(directory, "disk.img");
    this.#process = spawn("istgt", ["-D", "-c", join(directory, "istgt.conf")], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on("data", (chunk) => {
        this.#output = `${this.#output}${chunk}`.slice(-4000);
      });
  }

  static async start(options: IstgtOptions): Promise<Istgt> {
    const directory = await mkdtemp(join(tmpdir(), "istgt-"));
    const [port, controlPort] = [await freePort(), await freePort()];
    const file = await open(join(directory, "disk.img"), "w");
    await file.truncate(options.sizeBytes);
    await file.close();
    await writeFile(join(directory, "auth.conf"), authConf(options));
    await chmod(join(directory, "auth.conf"), 0o600);
    await writeFile(join(directory, "istgt.conf"), istgtConf(directory, [port, controlPort], options));
    const istgt = new Istgt(port, directory);
    try {
      await istgt.#listens();
    } catch (error) {
      await istgt.stop();
      throw error;
    }
    return istgt;
  }

  async #listens(): Promise<void> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const isOpen = await new Promise<boolean>((resolve) => {
        const socket = connect(this.port, "127.0.0.1", () => {
          socket.destroy();
          resolve(true);
        });
        socket.once("error", () => resolve(false));
      });
      if (isOpen) return;
      if (Date.now() > deadline || this.#process.exitCode !== null)
        throw new Error(`istgt does not listen on ${this.port}: ${this.#output}`);
      await delay(50);
    }
  }

  async stop(): Promise<void> {
    const isGone = new Promise<void>((resolve) => {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) resolve();
      else this.#process.once("exit", () => resolve());
    });
    // Trap: on SIGTERM it waits for its connections to end.
    this.#process.kill("SIGKILL");
    await isGone;
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function authConf({ chap }: IstgtOptions): string {
  if (chap === undefined) return "";
  const mutual = chap.target === undefined ? "" : ` "${chap.target.user}" "${chap.target.secret}"`;
  return `[AuthGroup1]\n  Auth "${chap.user}" "${chap.secret}"${mutual}\n`;
}

function istgtConf(directory: string, [port, controlPort]: readonly number[], options: IstgtOptions): string {
  const { chap, blockSize = 512, sizeBytes, headerDigest = false, dataDigest = false } = options;
  const method = chap === undefined ? "None" : chap.target === undefined ? "CHAP" : "CHAP Mutual";
  const group = chap === undefined ? "None" : "AuthGroup1";
  const required = [headerDigest ? "Header" : "", dataDigest ? "Data" : ""].join(" ").trim();
  // Auto leaves digests to the initiator; naming one requires it.
  const digests = required === "" ? "Auto" : required;
  return `[Global]
  NodeBase "${NODE_BASE}"
  PidFile "${join(directory, "istgt.pid")}"
  AuthFile "${join(directory, "auth.conf")}"
  MediaDirectory "${directory}"
  LogFacility "local7"
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod None
  MaxSessions 16
  MaxConnections 4
  MaxR2T 32
  MaxOutstandingR2T 16
  DefaultTime2Wait 2
  DefaultTime2Retain 60
  FirstBurstLength 262144
  MaxBurstLength 1048576
  MaxRecvDataSegmentLength 262144
[UnitControl]
  AuthMethod None
  AuthGroup None
  Portal UC1 127.0.0.1:${controlPort}
  Netmask 127.0.0.1
[PortalGroup1]
  Portal DA1 127.0.0.1:${port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.0/8
[LogicalUnit1]
  TargetName istgt
  TargetAlias "Interop disk"
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod ${method}
  AuthGroup ${group}
  UseDigest ${digests}
  UnitType Disk
  BlockLength ${blockSize}
  LUN0 Storage ${join(directory, "disk.img")} ${sizeBytes}
`;
}
