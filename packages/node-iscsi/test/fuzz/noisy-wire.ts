// A wire that damages bytes behind the login (which has no digests, RFC 7143 6.3) and delivers in pieces of any size, both ways.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { HEADER_BYTES, Opcode, opcodeOf } from "../../src/pdu/header.ts";
import { pick, type Random, upTo } from "./lies.ts";

/** Damages this many bytes at most. */
const DAMAGES = 3;

/** A TCP proxy in front of a target. */
export class NoisyWire {
  readonly #random: Random;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #damagesLeft = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Resolves with the port that leads to `port`. */
  async listen(port: number): Promise<number> {
    const server = createServer({ noDelay: true }, (client) => this.#relay(client, port));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  }

  start(): void {
    this.#damagesLeft = 1 + upTo(this.#random, DAMAGES - 1);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  #relay(client: Socket, port: number): void {
    const upstream = connect({ port, host: "127.0.0.1", noDelay: true });
    const login = new LoginEnd();
    this.#join(upstream, client, (chunk) => {
      const plain = login.take(chunk);
      return this.#damaged(chunk, plain);
    });
    // After the last Login Response the initiator sends nothing but the full feature phase.
    this.#join(client, upstream, (chunk) => this.#damaged(chunk, login.isOver ? 0 : chunk.length));
  }

  #join(from: Socket, to: Socket, transform: (chunk: Buffer) => Buffer): void {
    this.#sockets.add(from);
    from.on("data", (chunk: Buffer) => {
      const bytes = transform(chunk);
      for (let at = 0; at < bytes.length && to.writable; ) {
        const size = pick(this.#random, [1, 2, 3, 47, 48, 49, 512, 4096, bytes.length]);
        to.write(bytes.subarray(at, at + size));
        at += size;
        // Pieces of one byte all the way would only keep the kernel busy.
        if (at > 256) {
          to.write(bytes.subarray(at));
          break;
        }
      }
    });
    from.on("error", () => from.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroySoon();
    });
  }

  /** Flips bits of one byte behind `plain`, now and then. */
  #damaged(chunk: Buffer, plain: number): Buffer {
    if (this.#damagesLeft === 0 || chunk.length <= plain || this.#random() > 0.15) return chunk;
    this.#damagesLeft -= 1;
    const copy = Buffer.from(chunk);
    const at = plain + upTo(this.#random, chunk.length - plain - 1);
    copy[at] = (copy[at] ?? 0) ^ (1 + upTo(this.#random, 254));
    return copy;
  }
}

/** Finds the end of the last Login Response in what the target sends; nothing is damaged before it. */
class LoginEnd {
  isOver = false;
  #bytes = Buffer.alloc(0);

  /** How many bytes at the start of `chunk` belong to the login. */
  take(chunk: Buffer): number {
    if (this.isOver) return 0;
    const before = this.#bytes.length;
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (let at = 0; at + HEADER_BYTES <= this.#bytes.length; ) {
      const header = this.#bytes.subarray(at, at + HEADER_BYTES);
      const end = at + HEADER_BYTES + Math.ceil((header.readUInt32BE(4) & 0xffffff) / 4) * 4;
      if (end > this.#bytes.length) break;
      if (opcodeOf(header) === Opcode.LoginResponse && (header.readUInt8(1) & 0x83) === 0x83) {
        this.isOver = true;
        return end - before;
      }
      at = end;
    }
    return chunk.length;
  }
}
