// One UDP socket of one transfer: its port is our transfer identifier (RFC 1350 section 4).
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIP, SocketAddress } from "node:net";
import { asTftpError, ERROR_CODES, formatPeer, type Peer, TftpError } from "./errors.ts";
import { encode } from "./packet.ts";

export interface EndpointHandlers {
  onMessage(datagram: Buffer, from: Peer): void;
  onError(error: TftpError): void;
}

/** Asked for, and cut by the kernel to net.core.rmem_max: room for a whole window. */
const RECEIVE_BUFFER_BYTES = 1 << 20;

/** The socket family of a literal address. Throws `BadInput` for a host name: nothing here resolves names. */
export function familyOf(address: string): "udp4" | "udp6" {
  const family = isIP(address);
  if (family === 0) throw new TftpError("BadInput", `${JSON.stringify(address)} is not an IP address`);
  return family === 6 ? "udp6" : "udp4";
}

/** The address in its one canonical spelling, so that spellings can be compared. */
export function canonicalAddress(address: string): string {
  const [bare = "", zone] = address.split("%");
  if (isIP(bare) !== 6) return address;
  const { address: canonical } = new SocketAddress({ address: bare, family: "ipv6" });
  return zone === undefined ? canonical : `${canonical}%${zone}`;
}

/** True if both name the same address and port. */
export function isSamePeer(a: Peer, b: Peer): boolean {
  return a.port === b.port && a.address === b.address;
}

/** Creates a socket that is not bound yet and that never asks the resolver. */
export function createUdpSocket(type: "udp4" | "udp6"): Socket {
  return createSocket({
    type,
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    lookup: (host, _options, callback) => callback(null, host, type === "udp6" ? 6 : 4),
  });
}

/** Binds `socket`; rejects with `SocketFailed` and closes it when that fails. */
export function bindSocket(socket: Socket, address: string | undefined, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => {
      socket.close();
      const where = formatPeer({ address: address ?? "*", port });
      const hint = "code" in cause && cause.code === "EACCES" ? "; ports below 1024 need CAP_NET_BIND_SERVICE" : "";
      reject(new TftpError("SocketFailed", `can't bind UDP ${where}: ${cause.message}${hint}`, { cause }));
    };
    socket.once("error", onError);
    socket.bind({ port, ...(address === undefined ? {} : { address }) }, () => {
      socket.off("error", onError);
      resolve();
    });
  });
}

/** A bound socket with a port of its own. */
export class Endpoint {
  readonly #socket: Socket;
  #closing: Promise<void> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Binds port 0 of `address` (absent: any, and the kernel picks the source address by route). */
  static async open(type: "udp4" | "udp6", address: string | undefined, handlers: EndpointHandlers): Promise<Endpoint> {
    const socket = createUdpSocket(type);
    await bindSocket(socket, address, 0);
    socket.on("error", (error) => handlers.onError(asTftpError(error, "SocketFailed", "sending or receiving failed")));
    socket.on("message", (datagram: Buffer, from: RemoteInfo) => {
      if (from.port !== 0) handlers.onMessage(datagram, from);
    });
    return new Endpoint(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** Sends one datagram made of `parts`. They must not change afterwards: the kernel may take them later. */
  send(parts: readonly Buffer[], to: Peer): void {
    if (this.#closing === undefined) this.#socket.send(parts, to.port, to.address);
  }

  /** Tells a stranger that his packet belongs to no transfer here (RFC 1350 section 4). Never in answer to an ERROR. */
  rejectStranger(datagram: Buffer, from: Peer): void {
    const isError = datagram.length >= 2 && datagram.readUInt16BE(0) === 5;
    if (!isError) this.sendError(ERROR_CODES.unknownTransferId, "unknown transfer ID", from);
  }

  sendError(errorCode: number, message: string, to: Peer): void {
    this.send([encode({ kind: "error", errorCode, message: message.replaceAll("\0", "") })], to);
  }

  /** An idle wait on this socket no longer keeps the process alive. */
  unref(): void {
    if (this.#closing === undefined) this.#socket.unref();
  }

  close(): Promise<void> {
    // One turn later: libuv drops what its queue still holds at close, and an ERROR may be in it.
    this.#closing ??= new Promise((resolve) => setImmediate(() => this.#socket.close(() => resolve())));
    return this.#closing;
  }
}
