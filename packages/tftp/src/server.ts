// The TFTP server: takes requests on one port, gives each a session with a socket of its own (RFC 1350 section 4).
import type { Socket } from "node:dgram";
import { bindSocket, createUdpSocket, familyOf } from "./endpoint.ts";
import { asTftpError, formatPeer, type Peer, TftpError } from "./errors.ts";
import { MAX_BLOCK_SIZE, MAX_WINDOW_SIZE, MIN_BLOCK_SIZE } from "./options.ts";
import { decode, encode, type Packet, type RequestPacket } from "./packet.ts";
import { openRoot } from "./path.ts";
import { ReadSession, type SessionOptions, type TransferEvent } from "./read-session.ts";

export interface TftpServerOptions {
  /** Folder whose regular files are served. */
  readonly root: string;
  /** Absolute paths that mean the root when a name begins with them. The root's own path always does. */
  readonly prefixes?: readonly string[];
  /**
   * Address to listen on. Answers come from it too, unless it is `0.0.0.0` or `::`: then the kernel picks their source
   * by route, which on a host with several addresses may differ from the one that was asked. Name the address there.
   */
  readonly address: string;
  /** 69 is TFTP's; 0 takes a free one. */
  readonly port: number;
  /** First retransmission interval, doubled at each silence; a client's `timeout` option goes before it. Default 1000. */
  readonly timeoutMs?: number;
  /** Retransmissions in a row before a silent client is given up. Default 6. */
  readonly retries?: number;
  /** Largest `blksize` granted. Default 1468: one unfragmented IPv4 packet on Ethernet. */
  readonly maxBlockSize?: number;
  /** Largest `windowsize` granted; also limited so that a window is at most 128 KiB. Default 64. */
  readonly maxWindowSize?: number;
  /** Transfers at a time; requests beyond are dropped, and clients ask again. Default 500. */
  readonly maxTransfers?: number;
  /** A transfer that takes longer is ended. Default 30 minutes. */
  readonly transferDeadlineMs?: number;
  /** How long `close` lets transfers finish. Default 5000. */
  readonly drainMs?: number;
  readonly onTransfer?: (event: TransferEvent) => void;
  /** Faults of the listening socket, and what `onTransfer` threw. */
  readonly onError?: (error: TftpError) => void;
  /** Ends the server without draining. */
  readonly signal?: AbortSignal;
}

const MAX_WINDOW_BYTES = 128 * 1024;

export class TftpServer {
  /** The UDP port that requests come to. */
  readonly port: number;
  readonly #socket: Socket;
  readonly #options: TftpServerOptions;
  readonly #sessionOptions: SessionOptions;
  readonly #sessions = new Set<ReadSession>();
  /** The newest session of each peer port. */
  readonly #byPeer = new Map<string, ReadSession>();
  readonly #onAbort = () => {
    this.#abortAll();
    void this.close();
  };
  #closing: Promise<void> | undefined;

  private constructor(socket: Socket, options: TftpServerOptions, sessionOptions: SessionOptions) {
    this.#socket = socket;
    this.port = socket.address().port;
    this.#options = options;
    this.#sessionOptions = sessionOptions;
  }

  /** Resolves once requests are taken. Rejects with `BadInput` (root, limits), `SocketFailed` (bind) or `Aborted`. */
  static async listen(options: TftpServerOptions): Promise<TftpServer> {
    const type = familyOf(options.address);
    const limits = {
      maxBlockSize: within("maxBlockSize", options.maxBlockSize ?? 1468, MIN_BLOCK_SIZE, MAX_BLOCK_SIZE),
      maxWindowSize: within("maxWindowSize", options.maxWindowSize ?? 64, 1, MAX_WINDOW_SIZE),
      maxWindowBytes: MAX_WINDOW_BYTES,
    };
    const sessionOptions: SessionOptions = {
      root: await openRoot(options.root, options.prefixes),
      type,
      bindAddress: ["0.0.0.0", "::"].includes(options.address) ? undefined : options.address,
      limits,
      timeoutMs: within("timeoutMs", options.timeoutMs ?? 1000, 1, 255_000),
      retries: within("retries", options.retries ?? 6, 0, 100),
      deadlineMs: within("transferDeadlineMs", options.transferDeadlineMs ?? 30 * 60_000, 1, 2 ** 31 - 1),
      report: (event) => server.#report(event),
    };
    within("maxTransfers", options.maxTransfers ?? 500, 1, 100_000);
    throwIfAborted(options.signal);
    const socket = createUdpSocket(type);
    await bindSocket(socket, options.address, options.port);
    const server = new TftpServer(socket, options, sessionOptions);
    socket.on("message", (datagram, from) => server.#receive(datagram, from));
    socket.on("error", (error) => server.#complain(error, "SocketFailed", "the TFTP port"));
    options.signal?.addEventListener("abort", server.#onAbort, { once: true });
    if (options.signal?.aborted) {
      await server.close();
      throwIfAborted(options.signal);
    }
    return server;
  }

  /** Transfers under way. */
  get activeTransfers(): number {
    return this.#sessions.size;
  }

  /** Takes no more requests, lets transfers finish for `drainMs`, aborts the rest. Resolves when all sockets are closed. */
  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async #stop(): Promise<void> {
    const drainMs = this.#options.signal?.aborted ? 0 : (this.#options.drainMs ?? 5000);
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
    const timer = setTimeout(() => this.#abortAll(), drainMs);
    await Promise.all([...this.#sessions].map((session) => session.done));
    clearTimeout(timer);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  #abortAll(): void {
    for (const session of this.#sessions) session.abort(new TftpError("Aborted", "the TFTP server is stopping"));
  }

  #receive(datagram: Buffer, from: Peer): void {
    if (this.#closing !== undefined || from.port === 0) return;
    let packet: Packet;
    try {
      packet = decode(datagram);
    } catch (cause) {
      // Only what claims to be a request is answered: noise on the port must not make us send.
      const opcode = datagram.length >= 2 ? datagram.readUInt16BE(0) : 0;
      const error = asTftpError(cause, "MalformedPacket", "decoding a request");
      if (opcode === 1 || opcode === 2) this.#refuse(error.at(from, ""), from);
      return;
    }
    if (packet.kind === "rrq") {
      this.#readRequest(packet, datagram, from);
      return;
    }
    if (packet.kind === "wrq") {
      const text = `access violation: ${JSON.stringify(packet.file)} can't be written, this server only sends`;
      this.#refuse(new TftpError("AccessViolation", text, { peer: from, file: packet.file }), from);
    }
  }

  #readRequest(request: RequestPacket, datagram: Buffer, from: Peer): void {
    const peer: Peer = { address: from.address, port: from.port };
    const key = formatPeer(peer);
    const current = this.#byPeer.get(key);
    if (current?.isRepeatedBy(datagram)) return;
    current?.abort(new TftpError("Superseded", `${key} began another request on the same port`));
    const limit = this.#options.maxTransfers ?? 500;
    if (this.#sessions.size >= limit) {
      // No ERROR packet: a silent drop makes the client ask again, an error makes firmware give up.
      const text = `the request was dropped: ${limit} transfers are under way; raise maxTransfers if that is usual`;
      this.#reportRefusal(new TftpError("Busy", text, { peer, file: request.file }), peer);
      return;
    }
    const session = new ReadSession(this.#sessionOptions, request, Buffer.from(datagram), peer);
    this.#sessions.add(session);
    this.#byPeer.set(key, session);
    void session.done.then(() => {
      this.#sessions.delete(session);
      if (this.#byPeer.get(key) === session) this.#byPeer.delete(key);
    });
  }

  #refuse(error: TftpError, to: Peer): void {
    const packet = encode({ kind: "error", errorCode: error.tftpCode, message: error.message });
    this.#socket.send(packet, to.port, to.address);
    this.#reportRefusal(error, to);
  }

  #reportRefusal(error: TftpError, { address, port }: Peer): void {
    const nothing = { bytes: 0, sizeBytes: 0, blockSize: 0, windowSize: 0, durationMs: 0, retransmits: 0 };
    this.#report({ kind: "error", peer: { address, port }, file: error.file ?? "", ...nothing, error });
  }

  #report(event: TransferEvent): void {
    try {
      this.#options.onTransfer?.(event);
    } catch (error) {
      this.#complain(error, "BadInput", "onTransfer threw");
    }
  }

  #complain(error: unknown, code: "SocketFailed" | "BadInput", doing: string): void {
    this.#options.onError?.(asTftpError(error, code, doing));
  }
}

function within(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new TftpError("BadInput", `${name} is ${value}; it must be a whole number from ${min} to ${max}`);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new TftpError("Aborted", "the TFTP server was not started", { cause: signal.reason });
}
