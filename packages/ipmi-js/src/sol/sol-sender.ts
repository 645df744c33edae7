// One direction of SOL, the sending end: one numbered packet under way, partial acceptance, what waits (IPMI 2.0, 15.11).
import { SOL_LAST_SEQUENCE } from "../wire/sol.ts";

/** What is under way: sent again, byte for byte, until it is acknowledged. */
export interface OutgoingSol {
  readonly sequence: number;
  readonly data: Buffer;
  readonly flags: number;
}

/** What an acknowledgement did: all taken; part or nothing taken (the rest is queued again); not about our packet. */
export type SolAckEffect = "accepted" | "partly" | "refused" | "ignored";

interface Queued {
  data: Buffer;
  readonly flags: number;
}

/** No sockets, no timers: the owner sends what `next` and `inFlight` give. Used by the client and the simulator. */
export class SolSender {
  /** Characters a packet may hold, 1-255. */
  maxCharacters: number;
  readonly #queue: Queued[] = [];
  #queuedUnits = 0;
  #inFlight: OutgoingSol | undefined;
  #sequence = 0;

  constructor(maxCharacters: number) {
    this.maxCharacters = maxCharacters;
  }

  get inFlight(): OutgoingSol | undefined {
    return this.#inFlight;
  }

  /** Characters that are not acknowledged, under way and waiting; an operation counts as one. */
  get pendingUnits(): number {
    return this.#queuedUnits + (this.#inFlight === undefined ? 0 : unitsOf(this.#inFlight));
  }

  /** Queues characters. */
  push(data: Buffer): void {
    if (data.length > 0) this.#enqueue({ data, flags: 0 });
  }

  /** Queues an operation or status, which travels in a packet of its own without characters. */
  pushFlags(flags: number): void {
    this.#enqueue({ data: Buffer.alloc(0), flags });
  }

  /** Takes the next packet under way; undefined if one is, or nothing waits. */
  next(): OutgoingSol | undefined {
    const first = this.#queue[0];
    if (this.#inFlight !== undefined || first === undefined) return undefined;
    this.#sequence = (this.#sequence % SOL_LAST_SEQUENCE) + 1;
    this.#inFlight = { sequence: this.#sequence, data: this.#take(first), flags: first.flags };
    this.#queuedUnits -= unitsOf(this.#inFlight);
    return this.#inFlight;
  }

  /**
   * The peer's word on packet `ackSequence`. Trap: what it did not take goes out under a new number, since a peer answers a
   * number that it knows with what it answered before.
   */
  acknowledge(ackSequence: number, acceptedCharacters: number, isNack: boolean): SolAckEffect {
    const packet = this.#inFlight;
    if (packet === undefined || packet.sequence !== ackSequence) return "ignored";
    this.#inFlight = undefined;
    const accepted = Math.min(acceptedCharacters, packet.data.length);
    if (accepted === packet.data.length) return "accepted";
    const rest = packet.data.subarray(accepted);
    this.#queue.unshift({ data: rest, flags: 0 });
    this.#queuedUnits += rest.length;
    return accepted > 0 && !isNack ? "partly" : "refused";
  }

  /** For a new activation: numbers begin anew, and what was under way, whose fate is unknown, is forgotten. Returns its length. */
  restart(): number {
    const length = this.#inFlight?.data.length ?? 0;
    this.#inFlight = undefined;
    this.#sequence = 0;
    return length;
  }

  /** Forgets what waits; what is under way stays so. */
  flush(): void {
    this.#queue.length = 0;
    this.#queuedUnits = 0;
  }

  #enqueue(item: Queued): void {
    this.#queue.push(item);
    this.#queuedUnits += unitsOf(item);
  }

  /** As many characters as fit, from several writes if need be; an operation travels alone. */
  #take(first: Queued): Buffer {
    if (first.flags !== 0) {
      this.#queue.shift();
      return first.data;
    }
    const pieces: Buffer[] = [];
    let room = this.maxCharacters;
    for (let item = this.#queue[0]; item !== undefined && item.flags === 0 && room > 0; item = this.#queue[0]) {
      const piece = item.data.subarray(0, room);
      pieces.push(piece);
      room -= piece.length;
      item.data = item.data.subarray(piece.length);
      if (item.data.length === 0) this.#queue.shift();
    }
    return Buffer.concat(pieces);
  }
}

function unitsOf({ data, flags }: { readonly data: Buffer; readonly flags: number }): number {
  return flags === 0 ? data.length : 1;
}
