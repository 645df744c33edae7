// The TFTP client: reads one file into memory (RFC 1350; options of RFC 2347, 2348, 2349 and 7440 when asked for).
import { canonicalAddress, Endpoint, familyOf, isSamePeer } from "./endpoint.ts";
import { asTftpError, ERROR_CODES, formatPeer, type Peer, TftpError } from "./errors.ts";
import { acceptOack, DEFAULT_BLOCK_SIZE, type OptionRequest, requestOptions } from "./options.ts";
import { type DataPacket, decode, encode, type OackPacket } from "./packet.ts";
import { RetryTimer } from "./retry-timer.ts";
import { ReceiveWindow } from "./windows.ts";

export interface GetOptions {
  /** The server's IP address. */
  readonly address: string;
  /** Default 69. */
  readonly port?: number;
  readonly file: string;
  /** `blksize` to ask for, 8 to 65464; absent: not asked, 512 holds. */
  readonly blockSize?: number;
  /** `windowsize` to ask for, 1 to 65535; absent: not asked, 1 holds. */
  readonly windowSize?: number;
  /** Ask for `tsize`; a transfer that ends at another length then fails with `FileChanged`. Default true. */
  readonly requestSize?: boolean;
  /** `timeout` to ask for, in seconds, 1 to 255: the server's retransmission interval. */
  readonly timeoutSeconds?: number;
  /** Our own first retransmission interval, doubled at each silence. Default 1000. */
  readonly timeoutMs?: number;
  /** Retransmissions in a row before the server is given up. Default 5. */
  readonly retries?: number;
  /** The whole transfer. Default 60000. */
  readonly deadlineMs?: number;
  /** A longer file fails with `TooLarge`. Default 512 MiB. */
  readonly maxBytes?: number;
  /**
   * How long the socket stays, after the promise has resolved, to repeat a lost last ACK (RFC 1350 section 6). It does not
   * keep the process alive. 0: not at all. Default `timeoutMs`.
   */
  readonly dallyMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Reads `file` in octet mode. Rejects with TftpError: `PeerError` (`tftpCode` 1: no such file), `Timeout`,
 * `DeadlineExceeded`, `Aborted`, `OptionRefused`, `IllegalOperation`, `MalformedPacket`, `FileChanged`, `TooLarge`,
 * `SocketFailed`, `BadInput`.
 */
export async function get(options: GetOptions): Promise<Buffer> {
  const server: Peer = { address: canonicalAddress(options.address), port: options.port ?? 69 };
  const download = new Download(options, server);
  try {
    return await download.run(familyOf(options.address));
  } catch (error) {
    throw asTftpError(error, "SocketFailed", "reading by TFTP").at(server, options.file);
  }
}

class Download {
  readonly #options: GetOptions;
  readonly #server: Peer;
  readonly #asked: OptionRequest;
  readonly #request: Buffer;
  readonly #done: Promise<void>;
  #settle: (error?: TftpError) => void = () => {};
  #state: "requesting" | "receiving" | "dallying" | "closed" = "requesting";
  #endpoint: Endpoint | undefined;
  #timer: RetryTimer | undefined;
  /** The server's transfer port; known from its first answer on. */
  #transferPeer: Peer | undefined;
  #window = new ReceiveWindow(1);
  #blockSize = DEFAULT_BLOCK_SIZE;
  #announcedBytes: number | undefined;
  #blocks: Buffer[] = [];
  #bytes = 0;

  constructor(options: GetOptions, server: Peer) {
    this.#options = options;
    this.#server = server;
    const { blockSize, windowSize, timeoutSeconds, requestSize: wantsSize = true } = options;
    this.#asked = { blockSize, windowSize, timeoutSeconds, wantsSize };
    this.#request = encode({ kind: "rrq", file: options.file, mode: "octet", options: requestOptions(this.#asked) });
    this.#done = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
  }

  async run(type: "udp4" | "udp6"): Promise<Buffer> {
    const { signal, timeoutMs = 1000, retries = 5, deadlineMs = 60_000 } = this.#options;
    const onAbort = () =>
      this.#fail(new TftpError("Aborted", `${this.#what()} was cancelled`, { cause: signal?.reason }));
    if (signal?.aborted) throw new TftpError("Aborted", `${this.#what()} was cancelled`, { cause: signal.reason });
    this.#endpoint = await Endpoint.open(type, undefined, {
      onMessage: (datagram, from) => this.#receive(datagram, from),
      onError: (error) => this.#fail(error),
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#timer = new RetryTimer({
      ...{ intervalMs: timeoutMs, retries, deadlineMs },
      onRetry: () => this.#repeat(),
      onSilent: () => this.#fail(new TftpError("Timeout", this.#silence(retries))),
      onDeadline: () =>
        this.#fail(new TftpError("DeadlineExceeded", `${this.#what()} took longer than ${deadlineMs} ms`)),
    });
    // The signal may have been aborted while the socket was bound.
    if (signal?.aborted) onAbort();
    else this.#endpoint.send([this.#request], this.#server);
    try {
      await this.#done;
    } finally {
      this.#timer.stop();
      signal?.removeEventListener("abort", onAbort);
      await this.#dallyOrClose();
    }
    const file = Buffer.concat(this.#blocks, this.#bytes);
    this.#blocks = [];
    return file;
  }

  /** After success the socket stays for a while to answer a repeated last block; it holds nothing else up. */
  async #dallyOrClose(): Promise<void> {
    const { dallyMs = this.#options.timeoutMs ?? 1000, signal } = this.#options;
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    if (this.#state !== "dallying" || dallyMs <= 0) return endpoint.close();
    endpoint.unref();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      this.#state = "closed";
      void endpoint.close();
    };
    const timer = setTimeout(end, dallyMs).unref();
    signal?.addEventListener("abort", end, { once: true });
  }

  #receive(datagram: Buffer, from: Peer): void {
    if (this.#state === "closed") return;
    if (this.#transferPeer !== undefined) {
      if (!isSamePeer(from, this.#transferPeer)) {
        this.#endpoint?.rejectStranger(datagram, from);
        return;
      }
    } else if (from.address !== this.#server.address) return;
    // The first answer's port is the server's transfer identifier (RFC 1350 section 4).
    this.#transferPeer ??= { address: from.address, port: from.port };
    try {
      const packet = decode(datagram);
      if (packet.kind === "data") {
        this.#data(packet);
        return;
      }
      if (packet.kind === "oack") {
        this.#oack(packet);
        return;
      }
      if (packet.kind === "error") {
        if (this.#state === "dallying") return;
        const text = `the server refused ${this.#what()}: error ${packet.errorCode} ${JSON.stringify(packet.message)}`;
        this.#finish(new TftpError("PeerError", text, { tftpCode: packet.errorCode }));
        return;
      }
      throw new TftpError("IllegalOperation", `the server sent ${packet.kind.toUpperCase()} for ${this.#what()}`);
    } catch (error) {
      if (this.#state !== "dallying") this.#fail(asTftpError(error, "IllegalOperation", "a packet could not be read"));
    }
  }

  #oack(packet: OackPacket): void {
    if (this.#state === "requesting") {
      if (packet.options.length === 0) throw new TftpError("OptionRefused", "the server's OACK is empty");
      const { blockSize, windowSize, sizeBytes } = acceptOack(this.#asked, packet.options);
      this.#announcedBytes = sizeBytes;
      this.#checkSize(sizeBytes ?? 0);
      this.#blockSize = blockSize;
      this.#window = new ReceiveWindow(windowSize);
      this.#state = "receiving";
      this.#timer?.progress();
      this.#acknowledge();
    } else if (this.#window.lastWireBlock === 0 && this.#bytes === 0) {
      // Repeated, so our ACK 0 was lost (RFC 2347 section 3).
      this.#acknowledge();
    }
  }

  #data({ block, data }: DataPacket): void {
    this.#state = this.#state === "requesting" ? "receiving" : this.#state;
    if (data.length > this.#blockSize) {
      const text = `the server sent a block of ${data.length} bytes, ${this.#blockSize} were agreed`;
      throw new TftpError("IllegalOperation", text);
    }
    const isFinal = data.length < this.#blockSize;
    // Once complete nothing new can come; only the last block again.
    if (this.#state === "dallying" && block !== this.#window.lastWireBlock) return;
    const reception = this.#window.receive(block, isFinal);
    if (reception === "ignore") return;
    if (reception === "ack-again") {
      this.#acknowledge();
      return;
    }
    this.#checkSize(this.#bytes + data.length);
    if (isFinal && this.#announcedBytes !== undefined && this.#announcedBytes !== this.#bytes + data.length) {
      const text = `${this.#what()} ended after ${this.#bytes + data.length} bytes, ${this.#announcedBytes} were announced`;
      throw new TftpError("FileChanged", text);
    }
    this.#blocks.push(data);
    this.#bytes += data.length;
    this.#timer?.progress();
    if (reception === "accept-and-ack") this.#acknowledge();
    if (isFinal) this.#finish();
  }

  #checkSize(bytes: number): void {
    const { maxBytes = 512 * 1024 * 1024 } = this.#options;
    if (bytes > maxBytes) throw new TftpError("TooLarge", `${this.#what()}: more than the ${maxBytes} bytes allowed`);
  }

  /** After a silence: the request, or the last ACK. */
  #repeat(): void {
    if (this.#state === "requesting") this.#endpoint?.send([this.#request], this.#server);
    else this.#acknowledge();
  }

  #acknowledge(): void {
    const ack = encode({ kind: "ack", block: this.#window.lastWireBlock });
    if (this.#transferPeer !== undefined) this.#endpoint?.send([ack], this.#transferPeer);
  }

  #what(): string {
    return `reading ${JSON.stringify(this.#options.file)} from ${formatPeer(this.#server)}`;
  }

  #silence(retries: number): string {
    const so = this.#state === "requesting" ? "no answer" : `silence after ${this.#bytes} bytes`;
    return `${this.#what()}: ${so}, ${retries} retries were spent; is a TFTP server there and not behind a firewall?`;
  }

  #fail(error: TftpError): void {
    if (this.#state === "dallying" || this.#state === "closed") return;
    const isWorthTelling = error.code !== "SocketFailed" && this.#transferPeer !== undefined;
    const code = error.code === "Aborted" ? ERROR_CODES.notDefined : error.tftpCode;
    if (isWorthTelling) this.#endpoint?.sendError(code, error.message, this.#transferPeer ?? this.#server);
    this.#finish(error);
  }

  #finish(error?: TftpError): void {
    if (this.#state === "dallying" || this.#state === "closed") return;
    this.#state = error === undefined ? "dallying" : "closed";
    this.#settle(error);
  }
}
