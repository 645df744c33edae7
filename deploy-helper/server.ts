// The HTTP face of the deploy helper on port 10000: one kind of request, small and quick, or refused (nova-baremetal.md 5.1).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { BaremetalError, describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { CallAnswer } from "./agent-call.ts";

/** A call is some 300 bytes. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_CONNECTIONS = 512;
/** For a refused body to be read and thrown away, so that the refusal arrives before the connection is cut. */
const LINGER_MS = 500;
const LINGER_BYTES = 16 * 1024 * 1024;

const TOO_LARGE = Symbol("too large");
const CUT_OFF = Symbol("cut off");

export interface CallServerOptions {
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  /** Judges a call: its body, and the caller's address. */
  readonly receive: (body: string, peer: string) => Promise<CallAnswer>;
  /** For headers and body together; default 15000 ms. */
  readonly requestTimeoutMs?: number;
}

export class CallServer {
  readonly #options: CallServerOptions;
  readonly #server: Server;
  readonly #pending = new Set<Promise<void>>();

  private constructor(options: CallServerOptions) {
    this.#options = options;
    const requestTimeout = options.requestTimeoutMs ?? 15_000;
    this.#server = createServer(
      {
        requestTimeout,
        headersTimeout: Math.min(10_000, requestTimeout),
        connectionsCheckingInterval: Math.min(1000, requestTimeout),
        keepAliveTimeout: 1000,
        maxHeaderSize: 8192,
      },
      (request, response) => this.#track(this.#serve(request, response)),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** @throws BaremetalError `BadInput` if the address cannot be listened on */
  static async listen(options: CallServerOptions): Promise<CallServer> {
    const server = new CallServer(options);
    const { host, port } = options;
    await new Promise<void>((resolve, reject) => {
      server.#server.once("error", (cause: NodeJS.ErrnoException) => {
        const why = cause.code === "EADDRINUSE" ? "something else listens there" : cause.message;
        const text = `the deploy helper cannot listen on ${host}:${port}: ${why}; see deploy_helper_host and deploy_helper_port`;
        reject(new BaremetalError("BadInput", text, { data: { host, port }, cause }));
      });
      server.#server.listen(port, host, resolve);
    });
    return server;
  }

  get address(): AddressInfo {
    return this.#server.address() as AddressInfo;
  }

  /** Answers what has begun, then closes. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    await Promise.allSettled(this.#pending);
    this.#server.closeAllConnections();
    await closed;
  }

  #track(work: Promise<void>): void {
    this.#pending.add(work);
    work
      .catch((error: unknown) => this.#options.logger.error(`a call could not be served: ${describeError(error)}`))
      .finally(() => this.#pending.delete(work));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const peer = request.socket.remoteAddress ?? "";
    if (request.method !== "POST") return refuseEarly(request, response, 501, "Not Implemented");
    const body = await readBody(request);
    if (body === TOO_LARGE)
      return refuseEarly(request, response, 413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
    if (body === CUT_OFF) return;
    let answer: Pick<CallAnswer, "status" | "text">;
    try {
      answer = await this.#options.receive(body, peer);
    } catch (error) {
      this.#options.logger.error(`the call of ${peer} failed: ${describeError(error)}`);
      answer = { status: 503, text: "the call cannot be taken now; try again" };
    }
    respond(response, answer.status, answer.text);
  }
}

function respond(response: ServerResponse, status: number, text: string): void {
  writeAnswer(response, status, text);
  response.end();
}

function writeAnswer(response: ServerResponse, status: number, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, { "content-type": "text/plain", "content-length": body.length, connection: "close" });
  response.write(body);
}

/**
 * Answers before the body was read, lets it pass by unseen for a moment, and cuts the connection.
 * Trap: to close with unread data resets the connection, and the client never sees the answer.
 */
function refuseEarly(request: IncomingMessage, response: ServerResponse, status: number, text: string): void {
  if (request.complete) {
    respond(response, status, text);
    return;
  }
  writeAnswer(response, status, text);
  const { socket } = request;
  let passed = 0;
  request.on("data", (data: Buffer) => {
    passed += data.length;
    if (passed > LINGER_BYTES) socket.destroy();
  });
  request.once("end", () => response.end());
  request.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}

/** The body as text. A client that goes away is not worth an error. */
async function readBody(request: IncomingMessage): Promise<string | typeof TOO_LARGE | typeof CUT_OFF> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > MAX_BODY_BYTES) return TOO_LARGE;
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let size = 0;
    request.on("data", (data: Buffer) => {
      size += data.length;
      if (size > MAX_BODY_BYTES) {
        request.removeAllListeners("data");
        request.pause();
        resolve(TOO_LARGE);
      } else parts.push(data);
    });
    request.once("end", () => resolve(Buffer.concat(parts).toString("utf8")));
    request.once("error", () => resolve(CUT_OFF));
    request.once("close", () => resolve(CUT_OFF));
  });
}
