// The socket between a machine's serial port and its BMC: QEMU connects to it, at each power-on anew.
import { createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";

/** What the BMC has not taken yet; more is dropped here. Trap: QEMU stops the guest while nobody reads its socket. */
const MAX_WAITING_BYTES = 1024 * 1024;

/** One machine's port. It is there before the machine is on, so that not a byte of a boot is lost. */
export class SerialPort {
  readonly #server: Server;
  #machine: Socket | undefined;
  #line: Duplex | undefined;
  /** Settles when characters may go to the machine. */
  #free: Promise<void> = Promise.resolve();

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (machine) => this.#connect(machine));
  }

  static async listen(path: string): Promise<SerialPort> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    return new SerialPort(server);
  }

  /** The BMC's end. What it writes while the machine is off goes nowhere, as on a cable. */
  open(): Duplex {
    this.#line = new Duplex({
      read: () => {},
      write: async (chunk: Buffer, _encoding, done) => {
        await this.#free;
        this.#machine?.write(chunk);
        done();
      },
    });
    return this.#line;
  }

  /** Something that goes to the machine another way, ahead of the characters that come after it. Its failure is a lost break. */
  holdFor(work: Promise<void>): void {
    this.#free = work.catch(() => {});
  }

  async close(): Promise<void> {
    this.#machine?.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #connect(machine: Socket): void {
    this.#machine = machine;
    machine.on("data", (chunk) => {
      const line = this.#line;
      if (line !== undefined && !line.destroyed && line.readableLength < MAX_WAITING_BYTES) line.push(chunk);
    });
    // The plug is pulled: what the socket says of it is no news.
    machine.on("error", () => {});
    machine.on("close", () => {
      if (this.#machine === machine) this.#machine = undefined;
    });
  }
}
