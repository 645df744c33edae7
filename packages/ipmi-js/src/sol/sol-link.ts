// SOL packets over one session: what is sent and when again, what is acknowledged (IPMI 2.0, 15.11).
import {
  decodeSolPacket,
  encodeSolPacket,
  SOL_HEADER_LENGTH,
  SOL_MAX_CHARACTERS,
  SOL_OPERATION,
  SOL_STATUS,
  type SolPacket,
  solAcknowledgement,
} from "../wire/sol.ts";
import { SolReceiver } from "./sol-receiver.ts";
import type { SolSender } from "./sol-sender.ts";

/** Where the packets go and what they bring. */
export interface SolLinkOptions {
  /** Characters still to be sent; outlives the link. */
  readonly sender: SolSender;
  readonly retryIntervalMs: number;
  send(payload: Buffer): void;
  /** Characters that can be delivered now. A packet that does not fit is not acknowledged until it does. */
  room(): number;
  deliver(data: Buffer): void;
  /** Characters of ours were accepted. */
  onProgress(): void;
  /** Status bits of a packet of the BMC's, {@link SOL_STATUS}. */
  onStatus(flags: number): void;
  /** The BMC does not acknowledge any more. */
  onSilence(): void;
}

/** Sends without an acknowledgement, and the least time they take, before the BMC counts as gone. */
const SENDS_BEFORE_LOST = 8;
const SILENCE_MS = 5000;
/** A BMC need not acknowledge what carries no characters; a break is given up after this many sends. */
const BREAK_SENDS = 4;
/** A BMC that could take nothing is left alone for so long. */
const REFUSED_PAUSE_MS = 500;
/** What a BMC takes whose activation response makes no sense: every one can hold it. */
const CAREFUL_CHARACTERS = 16;
const LARGEST_PAYLOAD = 1024;

/** Characters of a packet for a BMC that takes payloads of so many bytes. */
export function charactersOf(payloadBytes: number): number {
  // Trap: some BMCs report 0, or swap the bytes of the size.
  if (payloadBytes <= SOL_HEADER_LENGTH || payloadBytes > LARGEST_PAYLOAD) return CAREFUL_CHARACTERS;
  return Math.min(SOL_MAX_CHARACTERS, payloadBytes - SOL_HEADER_LENGTH);
}

/** Nothing of ours is sent before `start`; the BMC may send as soon as it has activated the payload. */
export class SolLink {
  readonly #options: SolLinkOptions;
  readonly #receiver = new SolReceiver();
  #held: SolPacket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sends = 0;
  #firstSentAt = 0;
  #isOpen = false;
  #isClosed = false;

  constructor(options: SolLinkOptions) {
    this.#options = options;
  }

  /** The BMC has activated the payload: characters may go out. */
  start(maxCharacters: number): void {
    this.#options.sender.maxCharacters = maxCharacters;
    this.#isOpen = true;
    this.pump();
  }

  close(): void {
    this.#isClosed = true;
    this.#held = undefined;
    clearTimeout(this.#timer);
  }

  /** Sends the next packet, if none is under way. Call it when characters were queued. */
  pump(): void {
    if (!this.#isOpen || this.#isClosed || this.#timer !== undefined) return;
    if (this.#options.sender.next() === undefined) return;
    this.#sends = 0;
    this.#firstSentAt = performance.now();
    this.#sendInFlight();
  }

  /** There is room again: the packet that was held back is delivered and acknowledged. */
  resume(): void {
    const held = this.#held;
    if (held === undefined || this.#isClosed) return;
    this.#held = undefined;
    this.#take(held);
  }

  /** @throws WireError if the payload is no SOL packet */
  receive(payload: Buffer): void {
    if (this.#isClosed) return;
    const packet = decodeSolPacket(payload);
    if (packet.ackSequence !== 0) this.#acknowledged(packet);
    // What a packet tells besides characters is told once, not with every repetition of it.
    const isKnown = this.#held?.sequence === packet.sequence;
    const isNews = packet.sequence === 0 || !(isKnown || this.#receiver.isRepetition(packet.sequence, packet.data));
    if (packet.sequence !== 0) this.#take(packet);
    if (isNews) this.#options.onStatus(packet.flags);
  }

  #take(packet: SolPacket): void {
    const { sequence, data } = packet;
    if (!this.#receiver.isRepetition(sequence, data) && this.#options.room() < data.length) {
      this.#held = packet;
      return;
    }
    // Packets are handled in the order of their numbers: one that is held back is older than this, and was given up.
    this.#held = undefined;
    const { fresh, acceptedCharacters } = this.#receiver.receive(sequence, data);
    this.#options.deliver(fresh);
    if (acceptedCharacters === undefined) return;
    this.#options.send(encodeSolPacket(solAcknowledgement(sequence, acceptedCharacters)));
  }

  #acknowledged({ ackSequence, acceptedCharacters, flags }: SolPacket): void {
    const isNack = (flags & SOL_STATUS.nack) !== 0;
    const effect = this.#options.sender.acknowledge(ackSequence, acceptedCharacters, isNack);
    if (effect === "ignored") return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#options.onProgress();
    if (effect === "refused") this.#pause();
    else this.pump();
  }

  #pause(): void {
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.pump();
      },
      Math.max(REFUSED_PAUSE_MS, this.#options.retryIntervalMs),
    );
  }

  #sendInFlight(): void {
    const packet = this.#options.sender.inFlight;
    if (packet === undefined) return;
    this.#sends += 1;
    this.#options.send(encodeSolPacket({ ...packet, ackSequence: 0, acceptedCharacters: 0 }));
    this.#timer = setTimeout(() => this.#sendAgain(), this.#options.retryIntervalMs);
  }

  #sendAgain(): void {
    this.#timer = undefined;
    const { sender } = this.#options;
    const isBreak = ((sender.inFlight?.flags ?? 0) & SOL_OPERATION.generateBreak) !== 0;
    if (isBreak && this.#sends >= BREAK_SENDS) {
      sender.acknowledge(sender.inFlight?.sequence ?? 0, 0, false);
      this.#options.onProgress();
      this.pump();
    } else if (this.#sends >= SENDS_BEFORE_LOST && performance.now() - this.#firstSentAt >= SILENCE_MS) {
      this.#options.onSilence();
    } else {
      this.#sendInFlight();
    }
  }
}
