// For the fault tests: a bare UDP socket that says what a test wants and keeps what it hears. No code of ours in between.
import { createSocket, type Socket } from "node:dgram";
import { until } from "./served-folder.ts";

export class RawPeer {
  readonly heard: { readonly hex: string; readonly port: number }[] = [];
  readonly #socket: Socket;
  readonly port: number;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on("message", (bytes, from) => this.heard.push({ hex: bytes.toString("hex"), port: from.port }));
  }

  static open(port = 0): Promise<RawPeer> {
    const socket = createSocket("udp4");
    return new Promise((resolve) => socket.bind(port, "127.0.0.1", () => resolve(new RawPeer(socket))));
  }

  say(bytes: Buffer | string, port: number): void {
    this.#socket.send(
      typeof bytes === "string" ? Buffer.from(bytes.replaceAll(" ", ""), "hex") : bytes,
      port,
      "127.0.0.1",
    );
  }

  /** The datagram number `index` (0: the first), once it has come. */
  async hears(index: number): Promise<{ readonly hex: string; readonly port: number }> {
    await until(`datagram ${index} at port ${this.port}`, () => this.heard.length > index);
    return this.heard[index]!;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

/** A read request, written out by hand: opcode 1, NUL-ended texts. */
export function rrq(...texts: string[]): Buffer {
  return Buffer.concat([Buffer.from([0, 1]), Buffer.from(texts.map((text) => `${text}\0`).join(""), "latin1")]);
}
