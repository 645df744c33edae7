// A connected UDP socket to one BMC, behind an interface: sessions do not know how datagrams travel.
import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { isIP } from "node:net";
import { bmcName } from "./bmc-name.ts";
import { type Budget, within } from "./budget.ts";
import { IpmiError, messageOf, type Peer } from "./errors.ts";
import { abortedError } from "./exchange.ts";

/** What a session needs to talk to its BMC. One socket for many BMCs can satisfy it too. */
export interface Transport extends Peer {
  /** The last error the network reported, such as `ECONNREFUSED` from an ICMP message. */
  readonly lastError: string | undefined;
  /** Sends a datagram, or loses it: UDP promises nothing, so there is nothing to wait for. */
  send(datagram: Buffer): void;
  /** Calls `listener` for each datagram received; returns what ends it. */
  subscribe(listener: (datagram: Buffer) => void): () => void;
  close(): Promise<void>;
}

/** Where transports come from. */
export interface Network {
  /** A transport to one BMC. A host name that does not resolve is `InvalidArgument`. */
  connect(address: string, port: number, budget: Budget): Promise<Transport>;
}

/** Where a transport comes from, and to whom. */
interface Way extends Peer {
  readonly network: Network;
  readonly port: number;
}

export const OPEN_SOCKET = "open a UDP socket";

/** {@link Transport} over a UDP socket of its own, connected: the kernel drops datagrams from others. */
export class UdpTransport implements Transport {
  readonly name: string;
  readonly address: string;
  lastError: string | undefined;
  readonly #socket: Socket;
  readonly #listeners = new Set<(datagram: Buffer) => void>();
  #closing: Promise<void> | undefined;

  private constructor(socket: Socket, address: string, port: number) {
    this.#socket = socket;
    this.address = address;
    this.name = bmcName(address, port);
    socket.on("message", (datagram) => {
      for (const listener of [...this.#listeners]) listener(datagram);
    });
    socket.on("error", (error) => this.#note(error));
  }

  /** Opens the socket. A host name that does not resolve is `InvalidArgument`. */
  static async connect(address: string, port: number, budget: Budget): Promise<UdpTransport> {
    const resolved = isIP(address) === 0 ? await resolveName(address, budget) : address;
    const socket = createSocket(isIP(resolved) === 6 ? "udp6" : "udp4");
    try {
      // Trap: with a callback, Node calls it for a failure too.
      socket.connect(port, resolved);
      await once(socket, "connect");
    } catch (cause) {
      socket.close();
      throw noWayError(address, port, cause);
    }
    return new UdpTransport(socket, address, port);
  }

  send(datagram: Buffer): void {
    if (this.#closing !== undefined) return;
    this.#socket.send(datagram, (error) => {
      if (error !== null) this.#note(error);
    });
  }

  subscribe(listener: (datagram: Buffer) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#listeners.clear();
    this.#closing ??= new Promise((resolve) => this.#socket.close(() => resolve()));
    return this.#closing;
  }

  /** Trap: an ICMP "port unreachable" is no proof; a BMC that restarts sends it too. It is told when time is up. */
  #note(error: NodeJS.ErrnoException): void {
    this.lastError = error.code ?? error.message;
  }
}

/** The error for a BMC that no socket can be had for. */
export function noWayError(address: string, port: number, cause: unknown): IpmiError {
  const text = `no way to the BMC ${bmcName(address, port)}: ${messageOf(cause)}`;
  return new IpmiError("Timeout", text, { address, operation: OPEN_SOCKET, cause });
}

/** A socket for each transport. */
export const OWN_SOCKETS: Network = {
  connect: (address, port, budget) => UdpTransport.connect(address, port, budget),
};

/** A transport of `network`, which may be a caller's own and slow: `Timeout` or `Aborted` when the budget ends before there is one. */
export async function connect({ network, address, port, name }: Way, budget: Budget): Promise<Transport> {
  const connecting = network.connect(address, port, budget);
  const transport = await within(connecting, budget);
  if (transport !== undefined) return transport;
  connecting.then((late) => late.close()).catch(() => {});
  if (budget.signal?.aborted) throw abortedError({ address, name }, OPEN_SOCKET, budget.signal);
  throw noWayError(address, port, new Error(`its network gave no socket within ${budget.totalMs} ms`));
}

/** The name server did not answer, or could not: it may the next time. */
const TEMPORARY: ReadonlySet<string> = new Set(["EAI_AGAIN", "ETIMEOUT", "ESERVFAIL", "ECONNREFUSED"]);

/** Trap: the resolver cannot be interrupted and may take far longer than the caller's deadline; it is left behind then. */
export async function resolveName(address: string, budget: Budget): Promise<string> {
  const operation = "resolve the BMC's address";
  const found = lookup(address).catch((cause: NodeJS.ErrnoException) => {
    if (TEMPORARY.has(cause.code ?? "")) {
      const text = `the name server could not resolve the BMC address "${address}" now (${cause.code})`;
      throw new IpmiError("Timeout", text, { address, operation, cause });
    }
    const text = `the BMC address "${address}" does not resolve (${cause.code}): check its spelling and the name server`;
    throw new IpmiError("InvalidArgument", text, { address, operation, cause });
  });
  const resolved = await within(found, budget);
  if (resolved !== undefined) return resolved.address;
  if (budget.signal?.aborted)
    throw new IpmiError("Aborted", `${operation} "${address}" was given up on request`, { address, operation });
  const text = `the name server did not resolve the BMC address "${address}" within ${budget.totalMs} ms`;
  throw new IpmiError("Timeout", text, { address, operation });
}
