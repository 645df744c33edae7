// A few UDP sockets for thousands of BMCs: datagrams find their session by the address and port they come from.
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIP, SocketAddress } from "node:net";
import { bmcName } from "./bmc-name.ts";
import type { Budget } from "./budget.ts";
import { IpmiError } from "./errors.ts";
import { type Network, resolveName, type Transport } from "./transport.ts";

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
  /** Listeners by `address port`: attempts to open a session with one BMC may overlap. */
  readonly #listeners = new Map<string, Set<Listener>>();
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
        if (this.#closing === undefined) socket.send(datagram, port, ip, note);
      },
      subscribe: (listener) => {
        own.add(listener);
        this.#subscribe(key, listener);
        return () => {
          own.delete(listener);
          this.#unsubscribe(key, listener);
        };
      },
      close: async () => {
        for (const listener of own) this.#unsubscribe(key, listener);
        own.clear();
      },
    };
  }

  /** Closes the sockets; what is sent afterwards is lost. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#listeners.clear();
    const opened = await Promise.allSettled(this.#sockets.values());
    await Promise.all(
      opened.map(async (result) => {
        if (result.status === "fulfilled") await new Promise<void>((resolve) => result.value.close(resolve));
      }),
    );
  }

  #socket(family: Family, address: string, port: number): Promise<Socket> {
    const operation = "open a UDP socket";
    if (this.#closing !== undefined) {
      const text = `no way to the BMC ${bmcName(address, port)}: its shared sockets are closed`;
      return Promise.reject(new IpmiError("Closed", text, { address, operation }));
    }
    this.#next = (this.#next + 1) % this.#limit;
    const slot = `${family} ${this.#next}`;
    const known = this.#sockets.get(slot);
    if (known !== undefined) return known;
    const opening = this.#open(family).catch((cause: Error) => {
      this.#sockets.delete(slot);
      const text = `no way to the BMC ${bmcName(address, port)}: ${cause.message}`;
      throw new IpmiError("Timeout", text, { address, operation, cause });
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
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(0, () => {
        socket.off("error", reject);
        resolve();
      });
    });
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

  #receive(datagram: Buffer, from: RemoteInfo): void {
    const listeners = this.#listeners.get(keyOf(from.address, from.port));
    if (listeners === undefined) return;
    if (listeners.size === 1) for (const listener of listeners) listener(datagram);
    else for (const listener of [...listeners]) listener(datagram);
  }

  #subscribe(key: string, listener: Listener): void {
    const listeners = this.#listeners.get(key);
    if (listeners === undefined) this.#listeners.set(key, new Set([listener]));
    else listeners.add(listener);
  }

  #unsubscribe(key: string, listener: Listener): void {
    const listeners = this.#listeners.get(key);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(key);
  }
}

/** IPv6 addresses have many spellings; datagrams come with the shortest. */
function canonical(ip: string): string {
  return isIP(ip) === 6 ? new SocketAddress({ address: ip, family: "ipv6" }).address : ip;
}

function keyOf(ip: string, port: number): string {
  return `${ip} ${port}`;
}
