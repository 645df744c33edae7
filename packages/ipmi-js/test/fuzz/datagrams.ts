// Hostile datagrams: those of real sessions, bent; and who sends them, to simulators and to clients.
import { createSocket } from "node:dgram";
import fc from "fast-check";
import { bindSocket } from "../bind-socket.ts";
import type { Capture } from "../vectors/capture.ts";
import { anyBytes } from "./decoders.ts";

/** Any bytes, or those of real sessions with some changed and cut off, which get further. */
export function hostileDatagrams(captures: readonly Pick<Capture, "datagrams">[]): fc.Arbitrary<Buffer> {
  const hexes = captures.flatMap(({ datagrams }) => datagrams.map(({ hex }) => hex));
  const changes = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 });
  const bent = fc.tuple(fc.constantFrom(...hexes), changes, fc.nat(400)).map(([hex, changed, length]) => {
    const bytes = Buffer.from(hex, "hex");
    for (const [at, value] of changed) bytes[at % bytes.length] = value;
    return bytes.subarray(0, Math.max(4, length));
  });
  return fc.oneof(anyBytes, bent);
}

/** Sends datagrams one by one. */
export class Attacker {
  readonly #socket = createSocket("udp4");

  send({ address, port }: { readonly address: string; readonly port: number }, datagram: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(datagram, port, address, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): void {
    this.#socket.close();
  }
}

/** A BMC that answers each question with twenty of `datagrams`. */
export async function startBabbler(datagrams: readonly Buffer[]) {
  const socket = await bindSocket();
  let sent = 0;
  socket.on("message", (_, from) => {
    for (let n = 0; n < 20; n += 1) {
      socket.send(datagrams[sent % datagrams.length] ?? Buffer.alloc(0), from.port, from.address);
      sent += 1;
    }
  });
  return { port: socket.address().port, sentCount: () => sent, close: () => socket.close() };
}
