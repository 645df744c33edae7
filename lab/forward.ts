// The way from the operator's shell to the API: a TCP port outside, a Unix socket between, the API's port inside.
// Unix sockets are files, so they cross network namespaces; nothing else of the rack can be reached from outside.
import { rm } from "node:fs/promises";
import { connect, createServer, type ListenOptions, type NetConnectOpts, type Server, type Socket } from "node:net";

/** Passes every connection to `listen` on to `target`, both ways. */
export class Forwarder {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(listen: ListenOptions, target: NetConnectOpts): Promise<Forwarder> {
    if (listen.path !== undefined) await rm(listen.path, { force: true });
    const server = createServer({ allowHalfOpen: true });
    const forwarder = new Forwarder(server);
    server.on("connection", (near) => forwarder.#join(near, target));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(listen, resolve);
    });
    return forwarder;
  }

  /** The TCP port, if it listens on one. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(near: Socket, target: NetConnectOpts): void {
    const far = connect({ ...target, allowHalfOpen: true } as NetConnectOpts);
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    }
    near.pipe(far);
    far.pipe(near);
    near.once("error", () => far.destroy());
    far.once("error", () => near.destroy());
  }
}
