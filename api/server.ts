// The listening side of the API: opens the port, and at the end lets requests finish.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Express } from "express";
import { BaremetalError } from "../lib/errors.ts";

export interface ListenOptions {
  readonly app: Express;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** How long `close` waits for requests that run before it cuts them; default 10 s. */
  readonly drainMs?: number;
}

/** An API that listens. */
export class ApiServer {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  readonly #drainMs: number;

  private constructor(server: Server, host: string, drainMs: number) {
    this.#server = server;
    this.host = host;
    this.port = (server.address() as AddressInfo).port;
    this.#drainMs = drainMs;
  }

  /** @throws BaremetalError `BadInput` if the port cannot be had */
  static async listen(options: ListenOptions): Promise<ApiServer> {
    const { app, host = "127.0.0.1", port, drainMs = 10_000 } = options;
    // Uploads of large images take longer than any request deadline; a client that sends nothing for two minutes is cut.
    const server = createServer({ requestTimeout: 0, headersTimeout: 30_000, keepAliveTimeout: 5_000 }, app);
    server.setTimeout(120_000);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause: NodeJS.ErrnoException) => {
        const message = `the API cannot listen on ${host}:${port}: ${cause.code ?? cause.message}; is another one running?`;
        reject(new BaremetalError("BadInput", message, { cause, data: { host, port } }));
      });
      server.listen(port, host, resolve);
    });
    return new ApiServer(server, host, drainMs);
  }

  /** Takes no more connections, lets requests that run end, and cuts what is left after the drain time. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), this.#drainMs);
    try {
      await closed;
    } finally {
      clearTimeout(timer);
    }
  }
}
