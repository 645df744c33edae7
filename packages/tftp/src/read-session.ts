// One accepted read request from its first to its last packet: socket, file, negotiation, transfer, report.
import { type BlockSource, FileSource, netasciiSource } from "./block-source.ts";
import { Endpoint } from "./endpoint.ts";
import { asTftpError, formatPeer, type Peer, TftpError } from "./errors.ts";
import { negotiate, type ServerLimits, type TransferParameters } from "./options.ts";
import type { RequestPacket } from "./packet.ts";
import { openServedFile, type ServedRoot } from "./path.ts";
import { ReadTransfer } from "./read-transfer.ts";

/** What `onTransfer` gets. `start` is followed by one `end` or `error`; a refused request is an `error` alone. */
export interface TransferEvent {
  readonly kind: "start" | "end" | "error";
  readonly peer: Peer;
  /** The name as requested; written by the peer, so escape it where it is shown. */
  readonly file: string;
  /** Octets that the peer has acknowledged; 0 at the start. */
  readonly bytes: number;
  /** Octets of the whole file; 0 for a refused request. */
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly windowSize: number;
  /** Since the request came. */
  readonly durationMs: number;
  /** Packets that were sent more than once. */
  readonly retransmits: number;
  /** With `error` only. `PeerError` before any byte is how firmware ends a request for the size alone. */
  readonly error?: TftpError;
}

export interface SessionOptions {
  readonly root: ServedRoot;
  readonly type: "udp4" | "udp6";
  /** Address that answers are sent from; undefined: as the kernel routes. */
  readonly bindAddress: string | undefined;
  readonly limits: ServerLimits;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly deadlineMs: number;
  readonly report: (event: TransferEvent) => void;
}

const UNNEGOTIATED: TransferParameters = { blockSize: 512, windowSize: 1 };

export class ReadSession {
  /** Resolves when socket and file are closed; never rejects, the outcome is in the events. */
  readonly done: Promise<void>;
  readonly #options: SessionOptions;
  readonly #request: RequestPacket;
  readonly #datagram: Buffer;
  readonly #peer: Peer;
  readonly #startedAt = performance.now();
  #transfer: ReadTransfer | undefined;
  #aborted: TftpError | undefined;

  constructor(options: SessionOptions, request: RequestPacket, datagram: Buffer, peer: Peer) {
    this.#options = options;
    this.#request = request;
    this.#datagram = datagram;
    this.#peer = peer;
    this.done = this.#run();
  }

  /**
   * Whether another request from the same port is this one once more (repeated by a client that saw no answer yet, or
   * doubled by the network), which this session answers anyway. Otherwise the peer has begun anew, as a node does that
   * was power-cycled in mid-transfer: the old transfer has no reader.
   */
  isRepeatedBy(datagram: Buffer): boolean {
    if (!datagram.equals(this.#datagram)) return false;
    const transfer = this.#transfer;
    return !transfer?.hasProgress || transfer.silentMs < 2 * this.#options.timeoutMs;
  }

  /** Ends the session; `done` resolves soon after. */
  abort(error: TftpError): void {
    this.#aborted ??= error;
    this.#transfer?.abort(error);
  }

  async #run(): Promise<void> {
    let endpoint: Endpoint | undefined;
    let source: BlockSource | undefined;
    let parameters = UNNEGOTIATED;
    try {
      endpoint = await Endpoint.open(this.#options.type, this.#options.bindAddress, {
        onMessage: (datagram, from) => this.#transfer?.receive(datagram, from),
        onError: (error) => this.abort(error),
      });
      source = await this.#openSource();
      if (this.#aborted !== undefined) throw this.#aborted;
      const negotiated = negotiate(this.#request.options, source.sizeBytes, this.#options.limits);
      parameters = negotiated;
      const { timeoutMs, retries, deadlineMs } = this.#options;
      const file = this.#request.file;
      const transfer = { peer: this.#peer, file, source, negotiated, timeoutMs, retries, deadlineMs };
      this.#transfer = new ReadTransfer(endpoint, transfer);
      const finished = this.#transfer.run();
      this.#report("start", parameters, source.sizeBytes);
      await finished;
      this.#report("end", parameters, source.sizeBytes);
    } catch (cause) {
      const error = asTftpError(cause, "FileFailed", `serving ${formatPeer(this.#peer)}`).at(
        this.#peer,
        this.#request.file,
      );
      // Once there is a transfer, it has told the peer.
      if (this.#transfer === undefined && error.code !== "Superseded") {
        const text = error.code === "FileFailed" ? "the server could not read the file" : error.message;
        endpoint?.sendError(error.tftpCode, text, this.#peer);
      }
      this.#report("error", parameters, source?.sizeBytes ?? 0, error);
    } finally {
      // A failing close loses nothing: all was read, and the outcome is reported.
      await Promise.allSettled([source?.close(), endpoint?.close()]);
    }
  }

  async #openSource(): Promise<BlockSource> {
    const { file, mode } = this.#request;
    if (mode !== "octet" && mode !== "netascii") {
      throw new TftpError("IllegalOperation", `mode ${JSON.stringify(mode)} is not served; use octet or netascii`);
    }
    const { handle, sizeBytes } = await openServedFile(this.#options.root, file);
    return mode === "octet" ? new FileSource(handle, sizeBytes) : netasciiSource(handle, sizeBytes);
  }

  #report(kind: TransferEvent["kind"], parameters: TransferParameters, sizeBytes: number, error?: TftpError): void {
    this.#options.report({
      kind,
      peer: { address: this.#peer.address, port: this.#peer.port },
      file: this.#request.file,
      bytes: this.#transfer?.bytesAcknowledged ?? 0,
      sizeBytes,
      blockSize: parameters.blockSize,
      windowSize: parameters.windowSize,
      durationMs: performance.now() - this.#startedAt,
      retransmits: this.#transfer?.retransmits ?? 0,
      ...(error === undefined ? {} : { error }),
    });
  }
}
