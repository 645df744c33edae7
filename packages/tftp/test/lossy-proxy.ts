// For the fault tests: a UDP proxy between TFTP peers that loses, doubles and reorders datagrams by a seed.
import { createSocket, type Socket } from "node:dgram";

export interface Faults {
  readonly seed: number;
  /** Shares from 0 to 1. */
  readonly loss: number;
  readonly duplicates: number;
  readonly reorder: number;
}

/** mulberry32: the same faults for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function bind(): Promise<Socket> {
  const socket = createSocket("udp4");
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(socket)));
}

/**
 * Each client port gets a socket towards the server, and each server port that answers it gets one towards the client, so
 * that transfer identifiers stay what they are: one to one.
 */
export class LossyProxy {
  readonly port: number;
  /** Datagrams lost so far, so that a test can assert that something happened. */
  lost = 0;
  duplicated = 0;
  readonly #faults: Faults;
  readonly #random: () => number;
  readonly #sockets = new Set<Socket>();
  readonly #paths = new Map<string, Promise<Socket>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #isClosed = false;

  private constructor(entry: Socket, serverPort: number, faults: Faults) {
    this.#faults = faults;
    this.#random = seededRandom(faults.seed);
    this.#sockets.add(entry);
    this.port = entry.address().port;
    entry.on("message", (bytes, from) => void this.#relay(bytes, this.#serverSide(from.port), serverPort));
  }

  static async open(serverPort: number, faults: Faults): Promise<LossyProxy> {
    return new LossyProxy(await bind(), serverPort, faults);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.allSettled(this.#paths.values());
    await Promise.all(
      [...this.#sockets].map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
    );
  }

  /** The socket that stands for the client at the server. */
  #serverSide(clientPort: number): Promise<Socket> {
    return this.#path(`client ${clientPort}`, (socket) => {
      socket.on("message", (bytes, from) => {
        void this.#relay(bytes, this.#clientSide(clientPort, from.port, socket), clientPort);
      });
    });
  }

  /** The socket that stands for one port of the server at the client. */
  #clientSide(clientPort: number, serverPort: number, towardsServer: Socket): Promise<Socket> {
    return this.#path(`client ${clientPort} server ${serverPort}`, (socket) => {
      socket.on("message", (bytes) => void this.#relay(bytes, Promise.resolve(towardsServer), serverPort));
    });
  }

  #path(key: string, prepare: (socket: Socket) => void): Promise<Socket> {
    let path = this.#paths.get(key);
    if (path === undefined) {
      path = bind().then((socket) => {
        this.#sockets.add(socket);
        prepare(socket);
        return socket;
      });
      this.#paths.set(key, path);
    }
    return path;
  }

  async #relay(bytes: Buffer, through: Promise<Socket>, toPort: number): Promise<void> {
    const { loss, duplicates, reorder } = this.#faults;
    const [isLost, isDouble, isLate] = [this.#random() < loss, this.#random() < duplicates, this.#random() < reorder];
    const socket = await through;
    if (isLost) {
      this.lost++;
      return;
    }
    if (isDouble) this.duplicated++;
    for (let copy = 0; copy < (isDouble ? 2 : 1); copy++) {
      if (this.#isClosed) return;
      if (!isLate && copy === 0) socket.send(bytes, toPort, "127.0.0.1");
      else this.#later(() => socket.send(bytes, toPort, "127.0.0.1"));
    }
  }

  #later(action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, 3);
    this.#timers.add(timer);
  }
}
