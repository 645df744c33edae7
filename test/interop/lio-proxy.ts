// A TCP proxy between our initiator and the LIO machine: cuts or stalls connections at a byte count, keeps the first bytes.
import { connect, createServer, type Server, type Socket } from "node:net";

/** What is kept of each direction of the newest connection: more than a login. */
const KEPT_BYTES = 16_384;

const CLOSE_DEADLINE_MS = 5000;

interface Cut {
  /** Bytes that still pass. */
  bytes: number;
  readonly from: "initiator" | "target";
  readonly how: "close" | "stall";
}

/** Listens on a free port of 127.0.0.1; `close` ends it with all its connections. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #initiators = new Set<Socket>();
  readonly #targets = new Set<Socket>();
  #cut: Cut | undefined;
  #connections = 0;
  #cuts = 0;
  #sent = "";
  #received = "";

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(targetPort: number): Promise<CuttingProxy> {
    const server = createServer();
    const proxy = new CuttingProxy(server);
    server.on("connection", (near) => proxy.#join(near, targetPort));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Connections so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Connections cut or stalled so far. */
  get cuts(): number {
    return this.#cuts;
  }

  /** The first bytes the initiator sent on the newest connection, a byte a character. */
  get sent(): string {
    return this.#sent;
  }

  /** The first bytes the target sent on the newest connection. */
  get received(): string {
    return this.#received;
  }

  /**
   * Once: when so many more bytes have passed from one side, on whatever connection, the connection is closed, or nothing passes
   * any more either way ("stall"). The other side receives the bytes before the cut: it is left with part of a PDU.
   */
  cutAfter(bytes: number, options: { from?: "initiator" | "target"; how?: "close" | "stall" } = {}): void {
    this.#cut = { bytes, from: options.from ?? "initiator", how: options.how ?? "close" };
  }

  /** Ends what is open; resolves when all of it is gone. */
  async close(): Promise<void> {
    for (const near of this.#initiators) near.destroy();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setTimeout(() => {
      for (const far of this.#targets) far.destroy();
    }, CLOSE_DEADLINE_MS);
    await Promise.all([
      closed,
      ...[...this.#targets].map((far) => new Promise((resolve) => far.once("close", resolve))),
    ]);
    clearTimeout(timer);
  }

  #join(near: Socket, targetPort: number): void {
    const far = connect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true });
    this.#connections += 1;
    this.#sent = "";
    this.#received = "";
    this.#initiators.add(near);
    this.#targets.add(far);
    near.once("close", () => {
      this.#initiators.delete(near);
      finish(far);
    });
    far.once("close", () => {
      this.#targets.delete(far);
      near.destroy();
    });
    far.once("end", () => {
      near.end();
      far.end();
    });
    this.#forward(near, far, "initiator");
    this.#forward(far, near, "target");
  }

  #forward(source: Socket, sink: Socket, from: Cut["from"]): void {
    source.setNoDelay(true);
    // A "close" follows, which is what the other side is told.
    source.on("error", () => {});
    sink.on("drain", () => source.resume());
    source.on("data", (data) => {
      if (from === "initiator") this.#sent = keep(this.#sent, data);
      else this.#received = keep(this.#received, data);
      this.#pass(data, source, sink, from);
    });
  }

  #pass(data: Buffer, source: Socket, sink: Socket, from: Cut["from"]): void {
    const cut = this.#cut;
    if (cut === undefined || cut.from !== from || data.length < cut.bytes) {
      if (cut?.from === from) cut.bytes -= data.length;
      if (sink.writable && !sink.write(data)) source.pause();
      return;
    }
    this.#cut = undefined;
    this.#cuts += 1;
    const before = data.subarray(0, cut.bytes);
    if (cut.how === "stall") {
      sink.write(before);
      for (const socket of [source, sink]) {
        socket.removeAllListeners("drain").removeAllListeners("data");
        socket.pause();
      }
    } else if (from === "initiator") {
      finish(sink, before);
      source.destroy();
    } else {
      sink.end(before);
      finish(source);
    }
  }
}

/**
 * Closes the connection to QEMU after all that was written, and takes what still comes until the target has closed it too.
 * Trap: QEMU's user network (libslirp 4.7) does not survive a reset while its buffer towards the machine is full: it loses a byte
 * of the stream, or ends QEMU with "soread: Assertion `buf_len != 0' failed".
 */
function finish(far: Socket, last?: Buffer): void {
  far.removeAllListeners("data").removeAllListeners("drain");
  if (last !== undefined && far.writable) far.write(last);
  far.end();
  far.resume();
}

function keep(kept: string, data: Buffer): string {
  return (kept + data.toString("latin1", 0, KEPT_BYTES)).slice(0, KEPT_BYTES);
}
