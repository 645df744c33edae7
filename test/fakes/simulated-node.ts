// A pretended machine at packet level: a BMC, and, once powered on to PXE, what its deploy ramdisk would do.
// Its own address on 127/8; no QEMU, so faults are cheap. It never replaces the lab's real boot.
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { BmcSimulator, type SimulatorFaults } from "ipmi-js";
import { type Backing, IscsiTarget } from "node-iscsi/target";

export interface SimulatedNodeOptions {
  /** Such as 127.0.66.1; BMC, target and done listener are on it. */
  readonly address: string;
  readonly mac: string;
  readonly tftpRoot: string;
  readonly helper: { readonly address: string; readonly port: number };
  readonly donePort: number;
  readonly disk: { path: string; sizeBytes: number } | Backing;
  readonly bmcFaults?: SimulatorFaults;
  /** The `e` field of its call. */
  readonly agentError?: string;
  /** False: a BMC without Serial over LAN. Default true: each boot is told on the console. */
  readonly hasSerial?: boolean;
  /** Wait for this before the call: a test's chance to do harm. */
  readonly beforeCall?: () => Promise<void>;
}

/** One machine. `boots` counts the tenant's boots: the ramdisk was told `done`. */
export class SimulatedNode {
  readonly options: SimulatedNodeOptions;
  readonly bmc: BmcSimulator;
  readonly #serial: Duplex;
  isOn = false;
  calls: { status: number; text: string }[] = [];
  boots = 0;
  #target: IscsiTarget | undefined;
  #done: Server | undefined;
  #running: Promise<void> = Promise.resolve();
  failure: unknown;

  private constructor(options: SimulatedNodeOptions, bmc: BmcSimulator, serial: Duplex) {
    this.options = options;
    this.bmc = bmc;
    this.#serial = serial;
  }

  static async start(options: SimulatedNodeOptions): Promise<SimulatedNode> {
    let node: SimulatedNode | undefined;
    const serial = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
    const bmc = await BmcSimulator.listen({
      address: options.address,
      user: "admin",
      password: "secret",
      handlers: {
        getPower: () => node?.isOn ?? false,
        setPower: (action) => node?.setPower(action === "power-up" || action === "power-cycle"),
      },
      ...(options.hasSerial === false ? {} : { serial: { open: () => serial } }),
      ...(options.bmcFaults === undefined ? {} : { faults: options.bmcFaults }),
    });
    node = new SimulatedNode(options, bmc, serial);
    return node;
  }

  /** Writes to the serial console. */
  print(data: Buffer | string): void {
    if (!this.#serial.destroyed) this.#serial.push(data);
  }

  setPower(on: boolean): void {
    const wasOn = this.isOn;
    this.isOn = on;
    if (on && !wasOn) {
      this.#running = this.#boot().catch((error: unknown) => {
        this.failure = error;
      });
    }
    if (!on) void this.#halt();
  }

  async close(): Promise<void> {
    this.isOn = false;
    await this.#halt();
    await this.#running;
    await this.bmc.close();
  }

  /** The connection's fate is the machine's: power off cuts both. */
  async #halt(): Promise<void> {
    const [target, done] = [this.#target, this.#done];
    this.#target = undefined;
    this.#done = undefined;
    await new Promise<void>((resolve) => (done ? done.close(() => resolve()) : resolve()));
    await target?.close();
  }

  async #boot(): Promise<void> {
    const { tftpRoot, mac, address, donePort, disk, agentError, beforeCall } = this.options;
    const config = await readFile(join(tftpRoot, "pxelinux.cfg", `01-${mac.replaceAll(":", "-")}`), "utf8");
    if (config.startsWith("default boot")) {
      this.boots += 1;
      this.print(`tenant boot ${this.boots}\r\n`);
      return;
    }
    const word = (name: string) => new RegExp(`\\b${name}=(\\S+)`).exec(config)?.[1] ?? "";
    this.print("deploy ramdisk\r\n");
    const iqn = word("iscsi_target_iqn");
    this.#target = await IscsiTarget.listen({ address, port: 0, targetName: iqn, backing: disk, lun: 1 });
    this.#done = await this.#listenForDone(donePort);
    await beforeCall?.();
    const fields = new URLSearchParams({
      i: word("deployment_id"),
      k: word("deployment_key"),
      a: address,
      n: iqn,
      e: agentError ?? "",
    });
    fields.set("p", String(this.#target.port));
    this.calls.push(await this.#post(fields.toString()));
  }

  #listenForDone(port: number): Promise<Server> {
    const { address } = this.options;
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (data) => {
        if (data.toString().trim() !== "done") return;
        socket.end();
        // The ramdisk reboots: the firmware asks TFTP again.
        void this.#halt().then(() => this.#boot());
      });
    });
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, address, () => resolve(server));
    });
  }

  #post(body: string): Promise<{ status: number; text: string }> {
    const { helper, address } = this.options;
    const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const call = request(
        { host: helper.address, port: helper.port, localAddress: address, method: "POST", headers },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on("data", (part: Buffer) => parts.push(part));
          answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
        },
      );
      call.on("error", reject);
      call.end(body);
    });
  }
}
