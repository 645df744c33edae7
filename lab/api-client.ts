// The lab as a user of the API: a Keystone token, its catalogue, and JSON over HTTP. It knows nothing that a user does not.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { BaremetalError } from "../lib/errors.ts";

export interface Credentials {
  /** `http://127.0.0.1:8774`. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly project: string;
}

type ServiceType = "compute" | "image";

const REQUEST_DEADLINE_MS = 30_000;
const UPLOAD_DEADLINE_MS = 300_000;
/** 2.37 is the first with `networks: "none"`. */
const COMPUTE_VERSION = "2.37";

/** A session with a token. */
export class ApiClient {
  readonly #token: string;
  readonly #endpoints: ReadonlyMap<string, string>;
  readonly #signal: AbortSignal;

  private constructor(token: string, endpoints: ReadonlyMap<string, string>, signal: AbortSignal) {
    this.#token = token;
    this.#endpoints = endpoints;
    this.#signal = signal;
  }

  /** `POST /v3/auth/tokens`. `identityUrl` is OS_AUTH_URL. */
  static async login(identityUrl: string, credentials: Credentials, signal: AbortSignal): Promise<ApiClient> {
    const { user, password, project } = credentials;
    const domain = { name: "Default" };
    const auth = {
      identity: { methods: ["password"], password: { user: { name: user, password, domain } } },
      scope: { project: { name: project, domain } },
    };
    const response = await send(`${identityUrl}/auth/tokens`, { method: "POST", ...json({ auth }) }, signal);
    const token = response.headers.get("x-subject-token");
    const body = (await response.json()) as { token: { catalog: { type: string; endpoints: Endpoint[] }[] } };
    if (token === null) throw new BaremetalError("PeerMisbehaved", "the API gave no X-Subject-Token with a token");
    const endpoints = new Map<string, string>();
    for (const { type, endpoints: list } of body.token.catalog) {
      const endpoint = list.find((one) => one.interface === "public");
      if (endpoint) endpoints.set(type, endpoint.url.replace(/\/$/, ""));
    }
    return new ApiClient(token, endpoints, signal);
  }

  get<T>(service: ServiceType, path: string): Promise<T> {
    return this.#json<T>(service, path, { method: "GET" });
  }

  post<T>(service: ServiceType, path: string, body: unknown): Promise<T> {
    return this.#json<T>(service, path, { method: "POST", ...json(body) });
  }

  async delete(service: ServiceType, path: string): Promise<void> {
    await this.#send(service, path, { method: "DELETE" });
  }

  /** `PUT /v2/images/{id}/file`, streamed. */
  async upload(imageId: string, file: string): Promise<void> {
    const { size } = await stat(file);
    await this.#send(
      "image",
      `/v2/images/${imageId}/file`,
      {
        method: "PUT",
        headers: { "content-type": "application/octet-stream", "content-length": String(size) },
        body: createReadStream(file) as unknown as NonNullable<RequestInit["body"]>,
        duplex: "half",
      } as RequestInit,
      UPLOAD_DEADLINE_MS,
    );
  }

  async #json<T>(service: ServiceType, path: string, init: RequestInit): Promise<T> {
    const response = await this.#send(service, path, init);
    const text = await response.text();
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  #send(service: ServiceType, path: string, init: RequestInit, deadlineMs = REQUEST_DEADLINE_MS): Promise<Response> {
    const endpoint = this.#endpoints.get(service);
    if (endpoint === undefined) throw new BaremetalError("NotFound", `the API's catalogue has no ${service} service`);
    const headers = {
      ...(init.headers as Record<string, string> | undefined),
      "x-auth-token": this.#token,
      ...(service === "compute" ? { "openstack-api-version": `compute ${COMPUTE_VERSION}` } : {}),
    };
    // The image endpoint comes with or without its version; paths here always have it.
    const base = service === "image" ? endpoint.replace(/\/v2$/, "") : endpoint;
    return send(`${base}${path}`, { ...init, headers }, this.#signal, deadlineMs);
  }
}

interface Endpoint {
  readonly interface: string;
  readonly url: string;
}

function json(body: unknown): RequestInit {
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function send(
  url: string,
  init: RequestInit,
  signal: AbortSignal,
  deadlineMs = REQUEST_DEADLINE_MS,
): Promise<Response> {
  const deadline = AbortSignal.timeout(deadlineMs);
  const operation = `${init.method ?? "GET"} ${url}`;
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.any([signal, deadline]) });
  } catch (cause) {
    if (signal.aborted) throw new BaremetalError("Cancelled", `${operation} was given up`, { cause });
    throw new BaremetalError("PeerUnreachable", `${operation} got no answer within ${deadlineMs} ms`, {
      data: { peer: url, operation, deadlineMs },
      cause,
    });
  }
  if (response.ok) return response;
  const words = (await response.text()).slice(0, 1000);
  if (response.status === 404)
    throw new BaremetalError("NotFound", `${operation}: 404 ${words}`, { data: { id: url } });
  throw new BaremetalError("PeerMisbehaved", `${operation}: ${response.status} ${words}`, {
    data: { peer: url, operation, status: response.status },
  });
}
