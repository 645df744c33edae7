// For the tests: a machine's serial line in memory, and what was read of a console.
import { Duplex } from "node:stream";
import type { SimulatedSerial } from "../src/simulator/sol.ts";
import type { SerialConsole } from "../src/sol/serial-console.ts";
import { eventually } from "./failure.ts";

/** `print` is the machine writing; `typed` is what it was sent. */
export class SerialMachine implements SimulatedSerial {
  breaks = 0;
  opened = 0;
  isEcho = false;
  readonly #typed: Buffer[] = [];
  #line: Duplex | undefined;

  open(): Duplex {
    this.opened += 1;
    const line: Duplex = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _, done) => {
        this.#typed.push(chunk);
        if (this.isEcho) line.push(chunk);
        done();
      },
    });
    this.#line = line;
    return line;
  }

  onBreak(): void {
    this.breaks += 1;
  }

  get typed(): Buffer {
    return Buffer.concat(this.#typed);
  }

  print(data: Buffer | string): void {
    this.#line?.push(data);
  }

  /** The line ends, as when a virtual machine goes away. */
  unplug(): void {
    this.#line?.destroy();
    this.#line = undefined;
  }
}

/** Reads a console in the background, until it ends. */
export class ConsoleReader {
  readonly #pieces: Buffer[] = [];
  readonly ended: Promise<Error | undefined>;

  constructor(console: SerialConsole) {
    this.ended = this.#read(console.output);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  /** Waits until so many bytes came. */
  async until(length: number, deadlineMs = 10_000): Promise<Buffer> {
    await eventually(`${length} bytes of the console`, () => this.bytes.length >= length, deadlineMs);
    return this.bytes;
  }

  async #read(output: AsyncIterable<Buffer>): Promise<Error | undefined> {
    try {
      for await (const piece of output) this.#pieces.push(piece);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }
}

/** Bytes of all values that are never the same for long: a piece lost, doubled or moved shows. */
export function consoleBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index += 1) bytes[index] = (index * 7 + (index >> 8) * 13 + (index >> 16)) & 0xff;
  return bytes;
}
