// Someone between console and BMC: passes datagrams on, and adds, changes or repeats what it likes.
import type { Socket } from "node:dgram";
import { bindSocket } from "../bind-socket.ts";

/** The datagrams that go on in place of one, in order. */
export type Tamper = (datagram: Buffer) => readonly Buffer[];

/** The payload type of an RMCP+ packet, which says in two bits besides how it is protected. */
export const payloadTypeOf = (datagram: Buffer): number => (datagram[5] ?? 0) & 0x3f;

/** A UDP proxy to one BMC on 127.0.0.1, for one console. */
export class TamperingProxy {
  toBmc: Tamper = (datagram) => [datagram];
  toConsole: Tamper = (datagram) => [datagram];
  readonly #front: Socket;
  readonly #back: Socket;
  #console: { readonly address: string; readonly port: number } | undefined;

  private constructor(front: Socket, back: Socket, bmcPort: number) {
    this.#front = front;
    this.#back = back;
    front.on("message", (datagram, from) => {
      this.#console = from;
      for (const one of this.toBmc(datagram)) back.send(one, bmcPort, "127.0.0.1");
    });
    back.on("message", (datagram) => {
      for (const one of this.toConsole(datagram)) this.sendToConsole(one);
    });
  }

  static async start(bmcPort: number): Promise<TamperingProxy> {
    return new TamperingProxy(await bindSocket(), await bindSocket(), bmcPort);
  }

  /** The port that consoles take for the BMC's. */
  get port(): number {
    return this.#front.address().port;
  }

  sendToConsole(datagram: Buffer): void {
    if (this.#console !== undefined) this.#front.send(datagram, this.#console.port, this.#console.address);
  }

  close(): void {
    this.#front.close();
    this.#back.close();
  }
}
