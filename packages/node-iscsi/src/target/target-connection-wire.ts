// The byte stream of one connection of the test target: framing, digests both ways (RFC 7143 11.2.3), counts, and faults on the wire.
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { crc32c } from "../crc32c.ts";
import { IscsiError } from "../errors.ts";
import { DigestError, type Digests, Framer, type FramerSink } from "../framer.ts";
import { HEADER_BYTES, opcodeOf, paddingOf } from "../pdu/header.ts";
import { serialAdd } from "../serial.ts";
import type { FaultTriggers } from "./fault-triggers.ts";
import type { PduTrigger, SentPdu, TargetFaults } from "./faults.ts";

const PADDING = [Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(2), Buffer.alloc(3)] as const;
/** With so many unsent bytes no further command is run: an initiator that does not read must not fill our memory. */
const CONGESTED_ABOVE_BYTES = 16 * 1024 * 1024;
const DIGEST_BYTES = 4;

/** What the target has seen and done since it listens, for tests to look at. */
export interface TargetCounts {
  connections: number;
  /** Logins that were answered with success, discovery included. */
  logins: number;
  /** Logins that replaced a session with the same InitiatorName and ISID. */
  reinstatements: number;
  /** Logins refused. */
  refusals: number;
  /** SCSI commands that were run, not those that a fault ended instead. */
  commands: number;
  /** Task management functions received. */
  taskManagement: number;
  /** NOP-Outs received: pings of the initiator. */
  pings: number;
  /** NOP-Outs received that answered a ping of ours. */
  pingAnswers: number;
  bytesReceived: number;
  bytesSent: number;
  /** Connections ended because a digest of the initiator did not match. */
  digestErrors: number;
  /** Connections ended because the initiator broke the protocol. */
  protocolErrors: number;
  /** Message of the last of them. */
  lastProtocolError: string | undefined;
}

export interface WireContext {
  readonly faults: TargetFaults;
  readonly triggers: FaultTriggers;
  readonly counts: TargetCounts;
  /** A defect of ours: neither the peer's mistake nor the socket's. */
  onInternalError(error: unknown): void;
}

/** Who receives the PDUs. */
export interface WireSink extends FramerSink {
  /** The data digest of this PDU is wrong. The connection ends after the call: level 0 has nothing better (RFC 7143 7.1). */
  onDamagedPdu(header: Buffer): void;
}

/** Owns the socket. Nothing that a peer sends makes it throw. */
export class TargetWire {
  readonly socket: Socket;
  readonly #context: WireContext;
  readonly #framer: Framer;
  readonly #sink: WireSink;
  /** Header of the PDU whose data is coming in. */
  #headerOfData: Buffer | undefined;
  #digests: Digests = { header: false, data: false };
  #bytesReceived = 0;
  #bytesSent = 0;
  #isCorked = false;
  #isEnding = false;
  #drainWaiters: (() => void)[] = [];

  constructor(socket: Socket, context: WireContext, sink: WireSink, maxDataSegmentBytes: number) {
    this.socket = socket;
    this.#context = context;
    this.#sink = sink;
    this.#framer = new Framer(
      {
        placeData: (header, bytes) => {
          this.#headerOfData = header;
          return sink.placeData?.(header, bytes);
        },
        onPdu: (header, data) => {
          this.#headerOfData = undefined;
          // Trap: after a fault or a logout in the same chunk there is nobody left to act for.
          if (!this.isClosed) sink.onPdu(header, data);
        },
      },
      maxDataSegmentBytes,
    );
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("drain", () => this.#wakeDrained());
    // The initiator went away; there is nobody to tell.
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      this.#isEnding = true;
      this.#wakeDrained();
    });
  }

  get isClosed(): boolean {
    return this.#isEnding || this.socket.destroyed;
  }

  /** Handles no further PDU until {@link resume}. */
  pause(): void {
    this.#framer.pause();
    this.socket.pause();
  }

  /** Goes on; digests hold for all that is sent and received from now on. */
  resume(digests: Digests): void {
    this.#digests = digests;
    try {
      this.#framer.resume(digests);
    } catch (error) {
      this.fail(error);
    }
    this.socket.resume();
  }

  /** Sends one PDU, or what the faults make of it. `data` must not change until it is written. */
  send(header: Buffer, data?: Buffer): void {
    if (this.isClosed) return;
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.socket.uncork();
      });
    }
    const { faults, triggers } = this.#context;
    const opcode = opcodeOf(header);
    const strikes = (trigger: PduTrigger | undefined) => triggers.strikesOn(trigger, opcode, this.socket);
    this.#renumber(header, strikes);
    const isLost = strikes(faults.losesPdu);
    const isRepeated = strikes(faults.repeatsPdu);
    if (faults.garbage !== undefined && strikes(faults.garbage)) {
      this.#write(faults.garbage.bytes ?? randomBytes(2 * HEADER_BYTES));
      return;
    }
    if (isLost) return;
    const pdu = faults.alterSent === undefined ? { header, data } : faults.alterSent({ header, data });
    if (pdu === undefined) return;
    const parts = this.#partsOf(pdu, strikes);
    if (faults.dropsInsidePdu !== undefined && strikes(faults.dropsInsidePdu)) {
      this.#write(Buffer.concat(parts).subarray(0, faults.dropsInsidePdu.atByte ?? HEADER_BYTES / 2));
      this.end();
      return;
    }
    for (const part of parts) this.#write(part);
    if (isRepeated) for (const part of parts) this.#write(part);
  }

  /** Ends the connection once everything written has gone. */
  end(): void {
    this.#isEnding = true;
    this.socket.destroySoon();
    this.#wakeDrained();
  }

  /** Ends it at once; what was written may be lost. */
  reset(): void {
    this.#isEnding = true;
    this.socket.resetAndDestroy();
    this.#wakeDrained();
  }

  get isCongested(): boolean {
    return this.socket.writableLength > CONGESTED_ABOVE_BYTES;
  }

  /** Resolves when the socket has drained or is gone. */
  async drained(): Promise<void> {
    if (this.isCongested && !this.isClosed) await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
  }

  #wakeDrained(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const wake of waiters) wake();
  }

  #receive(chunk: Buffer): void {
    if (this.isClosed) return;
    const { faults, triggers, counts } = this.#context;
    const passing = triggers.passing(faults.dropAfterBytes, chunk.length, this.socket, this.#bytesReceived);
    this.#bytesReceived += chunk.length;
    counts.bytesReceived += passing;
    try {
      this.#framer.push(chunk, passing);
    } catch (error) {
      this.fail(error);
    }
    if (passing < chunk.length) this.reset();
  }

  /** Ends the connection after an error in what handles received PDUs. */
  fail(error: unknown): void {
    const { counts } = this.#context;
    if (error instanceof DigestError) {
      counts.digestErrors += 1;
      if (this.#headerOfData !== undefined) this.#sink.onDamagedPdu(this.#headerOfData);
    } else if (error instanceof IscsiError) {
      counts.protocolErrors += 1;
      counts.lastProtocolError = error.message;
    } else this.#context.onInternalError(error);
    this.end();
  }

  #renumber(header: Buffer, strikes: (trigger: PduTrigger | undefined) => boolean): void {
    const { wrongStatSn, wrongExpCmdSn, wrongMaxCmdSn } = this.#context.faults;
    const fields = [
      [wrongStatSn, 24],
      [wrongExpCmdSn, 28],
      [wrongMaxCmdSn, 32],
    ] as const;
    for (const [fault, at] of fields)
      if (fault !== undefined && strikes(fault)) header.writeUInt32BE(serialAdd(header.readUInt32BE(at), fault.by), at);
  }

  /** The PDU as it goes out: header, header digest, data, padding, data digest. */
  #partsOf({ header, data }: SentPdu, strikes: (trigger: PduTrigger | undefined) => boolean): Buffer[] {
    const { faults } = this.#context;
    const parts = [header];
    if (this.#digests.header) parts.push(digestBytes(crc32c(header), strikes(faults.headerDigestError)));
    if (data === undefined || data.length === 0) return parts;
    parts.push(data);
    const padding = PADDING[paddingOf(data.length) as 0 | 1 | 2 | 3];
    if (padding.length > 0) parts.push(padding);
    if (!this.#digests.data) return parts;
    // RFC 7143 11.2.3: the data digest covers the padding too.
    const digest = padding.length > 0 ? crc32c(padding, crc32c(data)) : crc32c(data);
    parts.push(digestBytes(digest, strikes(faults.dataDigestError)));
    return parts;
  }

  #write(bytes: Buffer): void {
    if (this.isClosed) return;
    const { faults, triggers, counts } = this.#context;
    const passing = triggers.passing(faults.dropAfterBytesSent, bytes.length, this.socket, this.#bytesSent);
    this.#bytesSent += passing;
    counts.bytesSent += passing;
    if (passing > 0) this.socket.write(passing < bytes.length ? bytes.subarray(0, passing) : bytes);
    if (passing < bytes.length) this.end();
  }
}

/** Trap: the CRC goes out least significant byte first, unlike every other number of iSCSI (RFC 7143 appendix A.4). */
function digestBytes(crc: number, isWrong: boolean): Buffer {
  const bytes = Buffer.allocUnsafe(DIGEST_BYTES);
  bytes.writeUInt32LE((isWrong ? crc ^ 1 : crc) >>> 0, 0);
  return bytes;
}
