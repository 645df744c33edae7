// A few UDP sockets for thousands of BMCs: datagrams find their session by the address and port they come from.
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIP, SocketAddress } from "node:net";
import { bmcName } from "./bmc-name.ts";
import type { Budget } from "./budget.ts";
import { IpmiError } from "./errors.ts";
import { type Network, noWayError, OPEN_SOCKET, resolveName, type Transport } from "./transport.ts";

/** Options of {@link SharedSockets}. */
export interface SharedSocketsOptions {
  /** Sockets of each address family; opened when the first BMC of the family needs one. Default 4. */
  readonly sockets?: number;
}

/** Room for what thousands of BMCs answer at once; the kernel gives what `net.core.rmem_max` allows. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const DEFAULT_SOCKETS = 4;

type Family = "udp4" | "udp6";
type Listener = (datagram: Buffer) => void;

/**
 * A {@link Network} whose transports share sockets: ten thousand sessions need four file descriptors. Close it after
 * the sessions that use it. Unlike a socket for each BMC, a shared one is not told of ICMP errors.
 */
export class SharedSockets implements Network {
  readonly #limit: number;
  readonly #sockets = new Map<string, Promise<Socket>>();
  /** The listeners of each transport, by `address port`: attempts to open a session with one BMC may overlap. */
  readonly #transports = new Map<string, Set<Set<Listener>>>();
  /** Datagrams of this turn of the event loop. They leave together at its end: that takes a fifth less time than one by one. */
  #outbox: (() => void)[] = [];
  #next = 0;
  #closing: Promise<void> | undefined;

  constructor(options: SharedSocketsOptions = {}) {
    this.#limit = options.sockets ?? DEFAULT_SOCKETS;
    if (Number.isInteger(this.#limit) && this.#limit > 0) return;
    const text = `sockets must be a whole number from 1, not ${options.sockets}`;
    throw new IpmiError("InvalidArgument", text, { address: "", operation: "check the options of the shared sockets" });
  }

  async connect(address: string, port: number, budget: Budget): Promise<Transport> {
    const ip = isIP(address) === 0 ? await resolveName(address, budget) : address;
    const socket = await this.#socket(isIP(ip) === 6 ? "udp6" : "udp4", address, port);
    const key = keyOf(canonical(ip), port);
    const own = new Set<Listener>();
    this.#enter(key, own);
    let lastError: string | undefined;
    const note = (error: NodeJS.ErrnoException | null): void => {
      if (error !== null) lastError = error.code ?? error.message;
    };
    return {
      address,
      name: bmcName(address, port),
      get lastError() {
        return lastError;
      },
      send: (datagram) => {
        if (this.#closing === undefined) this.#post(() => socket.send(datagram, port, ip, note));
      },
      subscribe: (listener) => {
        own.add(listener);
        return () => own.delete(listener);
      },
      close: async () => {
        own.clear();
        this.#leave(key, own);
      },
    };
  }

  /** Closes the sockets; what is sent afterwards is lost. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#flush();
    this.#transports.clear();
    const opened = await Promise.allSettled(this.#sockets.values());
    await Promise.all(
      opened.map(async (result) => {
        if (result.status === "fulfilled") await new Promise<void>((resolve) => result.value.close(resolve));
      }),
    );
  }

  #socket(family: Family, address: string, port: number): Promise<Socket> {
    if (this.#closing !== undefined) {
      const text = `no way to the BMC ${bmcName(address, port)}: its shared sockets are closed`;
      return Promise.reject(new IpmiError("Closed", text, { address, operation: OPEN_SOCKET }));
    }
    this.#next = (this.#next + 1) % this.#limit;
    const slot = `${family} ${this.#next}`;
    const known = this.#sockets.get(slot);
    if (known !== undefined) return known;
    const opening = this.#open(family).catch((cause: unknown) => {
      this.#sockets.delete(slot);
      throw noWayError(address, port, cause);
    });
    this.#sockets.set(slot, opening);
    return opening;
  }

  async #open(family: Family): Promise<Socket> {
    const socket = createSocket({
      type: family,
      // Only addresses are sent to: without this, each datagram would wait a turn for a resolver that has nothing to do.
      lookup: (address, _options, callback) => callback(null, address, family === "udp6" ? 6 : 4),
    });
    try {
      // Trap: with such a lookup, the socket listens before `bind` returns.
      const listening = once(socket, "listening");
      socket.bind(0);
      await listening;
    } catch (error) {
      socket.close();
      throw error;
    }
    // What fails is told to the one who sent; the socket itself goes on.
    socket.on("error", () => {});
    socket.on("message", (datagram, from) => this.#receive(datagram, from));
    try {
      socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    } catch {
      // The kernel's default will do, for fewer BMCs at once.
    }
    return socket;
  }

  #post(send: () => void): void {
    if (this.#outbox.length === 0) setImmediate(() => this.#flush());
    this.#outbox.push(send);
  }

  #flush(): void {
    const leaving = this.#outbox;
    this.#outbox = [];
    for (const send of leaving) send();
  }

  #receive(datagram: Buffer, from: RemoteInfo): void {
    const transports = this.#transports.get(keyOf(from.address, from.port));
    // What is subscribed while a datagram is handed out waits for the next one.
    for (const listeners of transports ?? []) for (const listener of [...listeners]) listener(datagram);
  }

  #enter(key: string, listeners: Set<Listener>): void {
    const transports = this.#transports.get(key);
    if (transports === undefined) this.#transports.set(key, new Set([listeners]));
    else transports.add(listeners);
  }

  #leave(key: string, listeners: Set<Listener>): void {
    const transports = this.#transports.get(key);
    transports?.delete(listeners);
    if (transports?.size === 0) this.#transports.delete(key);
  }
}

/** IPv6 addresses have many spellings; datagrams come with the shortest, and the zone of a link-local one. */
function canonical(ip: string): string {
  if (isIP(ip) !== 6) return ip;
  const [address = ip, zone] = ip.split("%");
  const shortest = new SocketAddress({ address, family: "ipv6" }).address;
  return zone === undefined ? shortest : `${shortest}%${zone}`;
}

function keyOf(ip: string, port: number): string {
  return `${ip} ${port}`;
}
