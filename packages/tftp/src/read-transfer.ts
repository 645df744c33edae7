// One file on its way to one peer: the sending side of a read request (RFC 1350 sections 2 and 6, RFC 7440 section 4).
import { type BlockSource, lastBlockOf } from "./block-source.ts";
import { type Endpoint, isSamePeer } from "./endpoint.ts";
import { asTftpError, ERROR_CODES, formatPeer, type Peer, TftpError } from "./errors.ts";
import type { Negotiated } from "./options.ts";
import { dataHeader, decode, encode } from "./packet.ts";
import { RetryTimer } from "./retry-timer.ts";
import { SendWindow } from "./windows.ts";

export interface ReadTransferOptions {
  readonly peer: Peer;
  /** As requested, for messages. */
  readonly file: string;
  readonly source: BlockSource;
  readonly negotiated: Negotiated;
  /** First retransmission interval when the peer did not negotiate one. */
  readonly timeoutMs: number;
  readonly retries: number;
  readonly deadlineMs: number;
}

/** Sends until the last block is acknowledged. The endpoint's owner passes it the datagrams and closes it afterwards. */
export class ReadTransfer {
  readonly #options: ReadTransferOptions;
  readonly #endpoint: Endpoint;
  readonly #window: SendWindow;
  readonly #timer: RetryTimer;
  readonly #done: Promise<void>;
  #settle: (error?: TftpError) => void = () => {};
  #isSettled = false;
  #isPumping = false;
  #retransmits = 0;
  #lastHeardAt = performance.now();

  constructor(endpoint: Endpoint, options: ReadTransferOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
    const { negotiated, source } = options;
    this.#window = new SendWindow({
      beginsWithOack: negotiated.accepted.length > 0,
      lastBlock: lastBlockOf(source.sizeBytes, negotiated.blockSize),
      windowSize: negotiated.windowSize,
    });
    this.#done = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.#timer = new RetryTimer({
      intervalMs: negotiated.timeoutMs ?? options.timeoutMs,
      retries: options.retries,
      deadlineMs: options.deadlineMs,
      onRetry: () => {
        this.#window.rewind();
        void this.#pump();
      },
      onSilent: () => this.#fail(this.#error("Timeout", `stopped answering; ${options.retries} retries were spent`)),
      onDeadline: () => this.#fail(this.#error("DeadlineExceeded", `took longer than ${options.deadlineMs} ms`)),
    });
  }

  /** Sends everything. Rejects with the TftpError that ended the transfer; the peer has been told by then. */
  run(): Promise<void> {
    void this.#pump();
    return this.#done;
  }

  /** Octets that the peer has acknowledged. */
  get bytesAcknowledged(): number {
    const { source, negotiated } = this.#options;
    return Math.min(source.sizeBytes, Math.max(0, this.#window.base - 1) * negotiated.blockSize);
  }

  /** Packets that were sent more than once. */
  get retransmits(): number {
    return this.#retransmits;
  }

  /** True once the peer has acknowledged anything. */
  get hasProgress(): boolean {
    return this.#window.base > (this.#options.negotiated.accepted.length > 0 ? 0 : 1);
  }

  /** Milliseconds since the peer was last heard. */
  get silentMs(): number {
    return performance.now() - this.#lastHeardAt;
  }

  /** Ends the transfer now, telling the peer why. */
  abort(error: TftpError): void {
    this.#fail(error);
  }

  /** Every datagram that reaches the transfer's socket. */
  receive(datagram: Buffer, from: Peer): void {
    if (this.#isSettled) return;
    // RFC 1350 section 4: a foreign port is told so, and must not disturb the transfer.
    if (!isSamePeer(from, this.#options.peer)) {
      this.#endpoint.rejectStranger(datagram, from);
      return;
    }
    this.#lastHeardAt = performance.now();
    try {
      const packet = decode(datagram);
      if (packet.kind === "ack") {
        this.#acknowledged(packet.block);
        return;
      }
      if (packet.kind === "error") {
        const { errorCode } = packet;
        const text = `ended the transfer with error ${errorCode}: ${JSON.stringify(packet.message.slice(0, 200))}`;
        this.#finish(this.#error("PeerError", text, errorCode));
        return;
      }
      throw new TftpError("IllegalOperation", `sent ${packet.kind.toUpperCase()} where only ACK or ERROR can come`);
    } catch (error) {
      this.#fail(asTftpError(error, "IllegalOperation", "a packet could not be read"));
    }
  }

  #acknowledged(wireBlock: number): void {
    if (this.#window.acknowledge(wireBlock) === "ignored") return;
    if (this.#window.isDone) {
      this.#finish();
      return;
    }
    this.#timer.progress();
    void this.#pump();
  }

  /** Sends what the window allows. One at a time: an ACK that comes during a file read only moves the window. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      for (let next = this.#window.take(); next !== undefined && !this.#isSettled; next = this.#window.take()) {
        if (next.isRepeat) this.#retransmits++;
        if (next.block === 0) this.#sendOack();
        else {
          const sending = this.#sendBlock(next.block);
          if (sending !== undefined) await sending;
        }
      }
    } catch (error) {
      this.#fail(asTftpError(error, "FileFailed", "sending a block"));
    } finally {
      this.#isPumping = false;
    }
  }

  #sendOack(): void {
    const { negotiated, peer } = this.#options;
    this.#endpoint.send([encode({ kind: "oack", options: negotiated.accepted })], peer);
  }

  /** A promise only if the file had to be waited for. */
  #sendBlock(block: number): Promise<void> | undefined {
    const { source, negotiated, peer } = this.#options;
    const send = (payload: Buffer) => {
      // The wait for the file may have been long enough for the peer to get this block from an earlier try.
      if (!this.#isSettled && block >= this.#window.base)
        this.#endpoint.send([dataHeader(block & 0xffff), payload], peer);
    };
    const payload = source.read(block, negotiated.blockSize);
    if (!Buffer.isBuffer(payload)) return payload.then(send);
    send(payload);
    return undefined;
  }

  #error(code: "Timeout" | "DeadlineExceeded" | "PeerError", what: string, tftpCode?: number): TftpError {
    const { peer, file } = this.#options;
    const got = `${this.bytesAcknowledged} of ${this.#options.source.sizeBytes} bytes of ${JSON.stringify(file)}`;
    const by = code === "DeadlineExceeded" ? `the transfer to ${formatPeer(peer)}` : formatPeer(peer);
    return new TftpError(code, `${by} ${what} (${got} acknowledged)`, { tftpCode, peer, file });
  }

  #fail(error: TftpError): void {
    if (this.#isSettled) return;
    // Trap: a peer that began anew on the same port would take an ERROR for the answer to its new request.
    if (error.code === "Superseded") {
      this.#finish(error);
      return;
    }
    const isOurs = error.code === "FileFailed" || error.code === "FileChanged" || error.code === "SocketFailed";
    // Paths and system errors are not the peer's business.
    const text = isOurs ? "the server could not read the file" : error.message;
    this.#endpoint.sendError(isOurs ? ERROR_CODES.notDefined : error.tftpCode, text, this.#options.peer);
    this.#finish(error);
  }

  #finish(error?: TftpError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#timer.stop();
    this.#settle(error?.at(this.#options.peer, this.#options.file));
  }
}
