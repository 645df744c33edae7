// One direction of SOL, the receiving end: which characters of a packet are new, and what to acknowledge (IPMI 2.0, 15.11).
import { SOL_LAST_SEQUENCE } from "../wire/sol.ts";

/** What a packet brought. `acceptedCharacters` undefined: it is not to be acknowledged. */
export interface ReceivedSol {
  /** Characters not seen before; empty for a packet that came again. */
  readonly fresh: Buffer;
  readonly acceptedCharacters: number | undefined;
}

/** Numbers up to this far ahead are new: a peer may give packets up. The others are late copies of old ones. */
const AHEAD = 7;
/** A late copy comes once or twice; a peer that insists has begun to count anew. */
const STALE_LIMIT = 3;

/** No sockets, no timers. `receive` is called for packets with a number, 1-15, when there is room for their characters. */
export class SolReceiver {
  #last = 0;
  #seen = 0;
  #isPartial = false;
  #staleSequence = 0;
  #staleCount = 0;

  /** `room`: characters that can be taken now; less than the packet has means a partial acceptance. */
  receive(sequence: number, data: Buffer, room = data.length): ReceivedSol {
    if (sequence === this.#last) return this.#again(data, room);
    if (this.#isStale(sequence)) return { fresh: data.subarray(0, 0), acceptedCharacters: undefined };
    const fresh = data.subarray(0, room);
    this.#last = sequence;
    this.#seen = fresh.length;
    this.#isPartial = fresh.length < data.length;
    this.#staleCount = 0;
    return { fresh, acceptedCharacters: this.#seen };
  }

  /** True if the packet is the last one again, with nothing new in it: it can be answered without any room. */
  isRepetition(sequence: number, data: Buffer): boolean {
    return sequence === this.#last && (this.#isPartial || data.length <= this.#seen);
  }

  /** A retry may carry more characters than the first copy: those behind what was taken are new. */
  #again(data: Buffer, room: number): ReceivedSol {
    // Trap: after a partial acceptance the rest comes under a new number; taken from a retry too, it would come twice.
    const end = this.#isPartial ? this.#seen : Math.min(data.length, this.#seen + room);
    const fresh = data.subarray(this.#seen, end);
    this.#seen = Math.max(this.#seen, end);
    if (this.#seen < data.length) this.#isPartial = true;
    return { fresh, acceptedCharacters: Math.min(this.#seen, data.length) };
  }

  #isStale(sequence: number): boolean {
    if (this.#last === 0) return false;
    const ahead = (sequence - this.#last + SOL_LAST_SEQUENCE) % SOL_LAST_SEQUENCE;
    if (ahead <= AHEAD) return false;
    this.#staleCount = sequence === this.#staleSequence ? this.#staleCount + 1 : 1;
    this.#staleSequence = sequence;
    return this.#staleCount < STALE_LIMIT;
  }
}
