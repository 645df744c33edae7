// One TCP connection carrying PDUs (RFC 7143 4.2): receives through the framer, sends by vectored writes without copying payloads.
import { connect as connectSocket, type Socket } from "node:net";
import { listenForAbort } from "./abort-listener.ts";
import { crc32c } from "./crc32c.ts";
import { timerMs } from "./deadline.ts";
import { AbortedError, type ErrorContext, formatPortal, IscsiError, TimeoutError, TransportError } from "./errors.ts";
import { DigestError, type Digests, Framer, type FramerSink } from "./framer.ts";
import { Opcode, opcodeOf, paddingOf } from "./pdu/header.ts";
import { decodeLoginResponse, LoginStage } from "./pdu/login.ts";
import { allocateTransferBuffer } from "./transfer-buffer.ts";

/** Size of the reused receive buffer of each connection. Larger ones read no faster: large segments are received at their place. */
const RECEIVE_BUFFER_BYTES = 64 * 1024;
/** From this many missing bytes of a data segment on they are received at their place; below, the copy is cheaper than the system call. */
const DIRECT_FROM_BYTES = 16 * 1024;
/** Above this many unsent bytes the session starts no new command. */
const CONGESTED_ABOVE_BYTES = 8 * 1024 * 1024;
/** PDUs kept while nobody receives (between login and full feature phase); more is a peer gone mad. */
const MAX_BACKLOG_PDUS = 64;

const PADDING = [Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(2), Buffer.alloc(3)] as const;
const DIGEST_BYTES = 4;

/** A complete PDU with its own copy of the header. */
export interface ReceivedPdu {
  readonly header: Buffer;
  readonly data: Buffer;
}

/** Who receives PDUs once the login is over. */
export interface ConnectionListener extends FramerSink {
  /** The socket drained below its limit after {@link Connection.isCongested} was true. */
  onDrain(): void;
  /** Called once, when the connection is gone for whatever reason. */
  onClose(error: IscsiError): void;
}

/** What a session needs of its connection; a test gives it a scripted one. */
export interface SessionConnection {
  readonly portal: string;
  readonly isCongested: boolean;
  attach(listener: ConnectionListener): void;
  send(header: Buffer, data?: Buffer): void;
  /** The caller of a read takes its buffer back: nothing more may be received into it. */
  abandonPlacement(buffer: Buffer): void;
  destroy(error?: IscsiError): void;
  close(): Promise<void>;
}

/** Trace hook: every PDU as it is sent or received. `header` is valid during the call only. */
export type PduTrace = (direction: "sent" | "received", header: Buffer, dataBytes: number) => void;

/** Sees the bytes exactly as on the wire; buffers are valid during the call only. Must not throw. */
export interface WireCapture {
  sent(bytes: Buffer): void;
  received(bytes: Buffer): void;
  end(): void;
}

/** The two ends of a connection, as `net.Socket` names them. */
interface SocketEnds {
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
}

export interface ConnectionOptions {
  readonly address: string;
  readonly port: number;
  readonly target?: string | undefined;
  readonly maxDataSegmentBytes: number;
  readonly trace?: PduTrace | undefined;
  /** Called once the connection is there; what it returns sees all bytes. */
  readonly capture?: ((ends: SocketEnds) => WireCapture | undefined) | undefined;
}

const NO_DIGESTS: Digests = { header: false, data: false };
const NO_PADDING = PADDING[0];

/** Padding and digest, which goes out least significant byte first. */
function trailer(padding: Buffer, crc: number): Buffer {
  const bytes = Buffer.allocUnsafe(padding.length + DIGEST_BYTES).fill(0, 0, padding.length);
  bytes.writeUInt32LE(crc, padding.length);
  return bytes;
}

/** The answer after which the full feature phase begins (RFC 7143 11.13.3, 11.13.5). */
function isEndOfLogin(header: Buffer): boolean {
  if (opcodeOf(header) !== Opcode.LoginResponse) return false;
  const { transit, nextStage, statusClass } = decodeLoginResponse(header);
  return transit && nextStage === LoginStage.FullFeature && statusClass === 0;
}

/** Owns the socket. All failures end in one {@link TransportError} or {@link IscsiError} handed to the listener. */
export class Connection implements SessionConnection {
  readonly portal: string;
  readonly framer: Framer;
  readonly #target: string | undefined;
  readonly #trace: PduTrace | undefined;
  readonly #socket: Socket;
  #capture: WireCapture | undefined;
  #digests = NO_DIGESTS;
  #isLoginOver = false;
  #listener: ConnectionListener | undefined;
  #backlog: ReceivedPdu[] = [];
  #waiter: { resolve(pdu: ReceivedPdu): void; reject(error: IscsiError): void } | undefined;
  #isCorked = false;
  /** Nothing was sent yet since the last bytes came. */
  #isFirstAnswer = false;
  /** One buffer for the whole life of the connection: the framer copies out of it to where small pieces belong. */
  readonly #receiveBuffer = allocateTransferBuffer(RECEIVE_BUFFER_BYTES);
  /** The kernel fills the framer's destination, not our buffer. */
  #isReceivingDirectly = false;
  #closeError: IscsiError | undefined;
  readonly #closed: Promise<void>;

  private constructor(options: ConnectionOptions) {
    this.portal = formatPortal(options.address, options.port);
    this.#target = options.target;
    this.#trace = options.trace;
    this.framer = new Framer(
      {
        placeData: (header, dataBytes) => this.#listener?.placeData?.(header, dataBytes),
        onPdu: (header, data) => this.#deliver(header, data),
      },
      options.maxDataSegmentBytes,
    );
    this.#socket = connectSocket({
      host: options.address,
      port: options.port,
      noDelay: true,
      onread: {
        buffer: () => this.#nextBuffer(),
        callback: (bytes, buffer) => this.#receive(bytes, buffer),
      },
    });
    this.#socket.on("drain", () => this.#listener?.onDrain());
    this.#socket.on("error", (cause) => this.destroy(this.#transportError(cause.message, cause)));
    this.#socket.on("end", () => this.destroy(this.#transportError("the target closed the connection")));
    this.#closed = new Promise((resolve) => {
      this.#socket.once("close", () => {
        this.destroy(this.#transportError("the connection was closed"));
        resolve();
      });
    });
  }

  /** Connects; rejects with TransportError, TimeoutError or AbortedError. */
  static async open(options: ConnectionOptions, deadlineMs: number, signal?: AbortSignal): Promise<Connection> {
    const context = {
      target: options.target,
      portal: formatPortal(options.address, options.port),
      operation: "connecting",
    };
    if (signal?.aborted) throw new AbortedError(context, signal.reason);
    const connection = new Connection(options);
    const disarm = connection.guard(context, deadlineMs, signal);
    try {
      await new Promise<void>((resolve, reject) => {
        connection.#socket.once("connect", resolve);
        connection.#socket.once("close", () => reject(connection.#closeError));
      });
      const { localAddress, localPort, remoteAddress, remotePort } = connection.#socket;
      connection.#capture = options.capture?.({ localAddress, localPort, remoteAddress, remotePort });
      return connection;
    } finally {
      disarm();
    }
  }

  /** Destroys the connection when the deadline passes or the signal fires; returns the function that calls this off. */
  guard(context: ErrorContext, deadlineMs: number, signal?: AbortSignal): () => void {
    const timer = setTimeout(() => this.destroy(new TimeoutError(deadlineMs, context)), timerMs(deadlineMs));
    const unlisten = listenForAbort(signal, () => this.destroy(new AbortedError(context, signal?.reason)));
    return () => {
      clearTimeout(timer);
      unlisten();
    };
  }

  /** SessionConnection: the PDU that is being received may still be on its way into `buffer`; from now on it goes nowhere. */
  abandonPlacement(buffer: Buffer): void {
    // The kernel already has the address: only without the connection it cannot write there any more.
    if (this.framer.abandon(buffer) && this.#isReceivingDirectly)
      this.destroy(this.#transportError("the target sends data of a task that it said was over"));
  }

  /** True while so much is unsent that new commands should wait for `onDrain`. */
  get isCongested(): boolean {
    return this.#socket.writableLength > CONGESTED_ABOVE_BYTES;
  }

  get isClosed(): boolean {
    return this.#closeError !== undefined;
  }

  /**
   * Ends the login phase, which has no digests (RFC 7143 6.3). From the final Login Response on nothing is parsed until this is
   * called; `digests` hold for all that follows, both ways. `attach` and `receive` imply it without digests.
   */
  startFullFeaturePhase(digests: Digests): void {
    this.#isLoginOver = true;
    this.#digests = digests;
    this.#guarded(() => this.framer.resume(digests));
    if (this.#closeError === undefined) this.#socket.resume();
  }

  /** Hands PDUs to `listener` from now on, starting with those that came while nobody listened. */
  attach(listener: ConnectionListener): void {
    this.#listener = listener;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const pdu of backlog) this.#guarded(() => listener.onPdu(pdu.header, pdu.data));
    if (this.framer.isPaused) this.startFullFeaturePhase(NO_DIGESTS);
    if (this.#closeError !== undefined) listener.onClose(this.#closeError);
  }

  /** The next PDU, for the one-at-a-time exchanges before a listener is attached. */
  receive(): Promise<ReceivedPdu> {
    const pdu = this.#backlog.shift();
    if (pdu !== undefined) return Promise.resolve(pdu);
    if (this.#closeError !== undefined) return Promise.reject(this.#closeError);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      if (this.framer.isPaused) this.startFullFeaturePhase(NO_DIGESTS);
    });
  }

  /**
   * Queues one PDU behind those before it. Nothing is copied: `header` must not be used again, and `data` not change until it is
   * acknowledged. Everything sent in one tick leaves in one vectored write, but for a header that is the first thing sent after bytes
   * came: a long read most often sends nothing else, and to gather it costs more than to send it.
   */
  send(header: Buffer, data?: Buffer): void {
    if (this.#closeError !== undefined) return;
    const isAlone = this.#isFirstAnswer && data === undefined && !this.#digests.header;
    this.#isFirstAnswer = false;
    if (!this.#isCorked && !isAlone) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    this.#trace?.("sent", header, data?.length ?? 0);
    this.#write(header);
    if (this.#digests.header) this.#write(trailer(NO_PADDING, crc32c(header)));
    if (data === undefined || data.length === 0) return;
    this.#write(data);
    const padding = PADDING[paddingOf(data.length) as 0 | 1 | 2 | 3];
    // The data digest covers the padding (RFC 7143 11.2.3).
    if (this.#digests.data) this.#write(trailer(padding, crc32c(padding, crc32c(data))));
    else if (padding.length > 0) this.#write(padding);
  }

  // Copying small PDUs together was tried and is slower: an entry in the socket's queue costs less than the copy's bookkeeping.
  #write(bytes: Buffer): void {
    this.#capture?.sent(bytes);
    this.#socket.write(bytes);
  }

  readonly #uncork = () => {
    this.#isCorked = false;
    this.#socket.uncork();
  };

  /** Ends the connection at once. The first error wins and reaches everybody who waits. */
  destroy(error?: IscsiError): void {
    if (this.#closeError !== undefined) return;
    const reason = error ?? this.#transportError("closed by this side");
    this.#closeError = reason;
    this.#socket.destroy();
    this.#capture?.end();
    this.#waiter?.reject(reason);
    this.#waiter = undefined;
    this.#listener?.onClose(reason);
  }

  /** Destroys and waits until the socket is gone. */
  async close(): Promise<void> {
    this.destroy();
    await this.#closed;
  }

  /** Where the kernel puts what it receives next. */
  #nextBuffer(): Uint8Array {
    const place = this.framer.destination(DIRECT_FROM_BYTES);
    this.#isReceivingDirectly = place !== undefined;
    if (place !== undefined) return place;
    const headerBytes = this.framer.bytesToLikelyData;
    return headerBytes === undefined ? this.#receiveBuffer : this.#receiveBuffer.subarray(0, headerBytes);
  }

  #receive(bytes: number, buffer: Uint8Array): boolean {
    this.#isFirstAnswer = true;
    this.#capture?.received(Buffer.from(buffer.buffer, buffer.byteOffset, bytes));
    if (this.#closeError === undefined) {
      try {
        if (this.#isReceivingDirectly) this.framer.advance(bytes);
        else this.framer.push(buffer as Buffer, bytes);
      } catch (error) {
        this.#onFault(error);
      }
    }
    // What the peer sends while the framer is paused waits in the kernel.
    return !this.framer.isPaused;
  }

  /** Runs what handles received bytes. */
  #guarded(action: () => void): void {
    if (this.#closeError !== undefined) return;
    try {
      action();
    } catch (error) {
      this.#onFault(error);
    }
  }

  /** Handling received bytes failed: a peer's mistake ends the connection and never escapes into the event loop. */
  #onFault(error: unknown): void {
    if (!(error instanceof IscsiError)) {
      this.destroy(this.#transportError("internal error while handling a received PDU", error));
      throw error;
    }
    this.destroy(error instanceof DigestError ? this.#transportError(error.reason, error) : error);
  }

  #deliver(header: Buffer, data: Buffer): void {
    this.#trace?.("received", header, data.length);
    if (this.#closeError !== undefined) return;
    if (!this.#isLoginOver && isEndOfLogin(header)) this.framer.pause();
    if (this.#listener !== undefined) {
      this.#listener.onPdu(header, data);
      return;
    }
    const pdu = { header: Buffer.from(header), data };
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter !== undefined) waiter.resolve(pdu);
    else if (this.#backlog.push(pdu) > MAX_BACKLOG_PDUS)
      this.destroy(this.#transportError("the target sent too many PDUs before it was asked anything"));
  }

  #transportError(reason: string, cause?: unknown): TransportError {
    return new TransportError(reason, { target: this.#target, portal: this.portal, operation: "connection" }, cause);
  }
}
