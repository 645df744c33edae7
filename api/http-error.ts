// Errors on the wire: our typed errors and HTTP's own, as the bodies that OpenStack's clients read (facts section 8.1).
import { BaremetalError, describeError, type ErrorCode } from "../lib/errors.ts";

/** A refusal that has an HTTP status of its own, such as 401, 406 or 501. The message is for the client. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "HttpError";
    this.status = status;
  }
}

const STATUS: Readonly<Record<ErrorCode, number>> = {
  BadInput: 400,
  ImageUnacceptable: 400,
  Forbidden: 403,
  NotFound: 404,
  Conflict: 409,
  Cancelled: 400,
  PeerMisbehaved: 500,
  PeerUnreachable: 500,
  DeadlineExceeded: 500,
  DeployFailed: 500,
  Internal: 500,
};

const FAULT_NAMES: Readonly<Record<number, string>> = {
  400: "badRequest",
  401: "unauthorized",
  403: "forbidden",
  404: "itemNotFound",
  405: "badMethod",
  409: "conflictingRequest",
  413: "overLimit",
  415: "badMediaType",
  429: "overLimit",
  501: "notImplemented",
  503: "serviceUnavailable",
};

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  409: "Conflict",
  413: "Request Entity Too Large",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  501: "Not Implemented",
  503: "Service Unavailable",
};

/** What a client is told. `isOurs`: a fault of ours, whose text stays in the log. */
export interface ErrorAnswer {
  readonly status: number;
  readonly message: string;
  readonly isOurs: boolean;
}

/** Status and message for any thrown value. What we did not foresee is 500 without its text. */
export function answerFor(error: unknown): ErrorAnswer {
  if (error instanceof HttpError) return { status: error.status, message: error.message, isOurs: false };
  if (error instanceof BaremetalError) {
    if (error.data.isTooLarge === true || error.data.isDiskFull === true) {
      return { status: 413, message: error.message, isOurs: false };
    }
    const status = STATUS[error.code];
    return status < 500 ? { status, message: error.message, isOurs: false } : hidden();
  }
  return bodyParserAnswer(error) ?? hidden();
}

/** The errors of express.json and of the router carry `status` and, for the former, `type`. */
function bodyParserAnswer(error: unknown): ErrorAnswer | undefined {
  const { type, status } = (error ?? {}) as { type?: unknown; status?: unknown };
  if (type === "entity.too.large") return { status: 413, message: "Request is too large.", isOurs: false };
  if (type === "entity.parse.failed")
    return { status: 400, message: "Malformed request body: it is no JSON", isOurs: false };
  if (type === "encoding.unsupported" || type === "charset.unsupported") {
    return { status: 415, message: "The body's encoding is not supported.", isOurs: false };
  }
  if (typeof status === "number" && status >= 400 && status < 500) {
    return { status, message: "The request could not be read.", isOurs: false };
  }
  return undefined;
}

function hidden(): ErrorAnswer {
  return {
    status: 500,
    message: "Unexpected API Error. The cause is in the service's log, under this request's x-openstack-request-id.",
    isOurs: true,
  };
}

/** `{"badRequest":{"code","message"}}`, as Nova has it; Keystone's form for identity and for 401. */
export function errorBody(answer: ErrorAnswer, style: "nova" | "keystone"): Record<string, unknown> {
  const { status: code, message } = answer;
  if (style === "keystone" || code === 401) return { error: { code, message, title: TITLES[code] ?? "Error" } };
  return { [FAULT_NAMES[code] ?? "computeFault"]: { code, message } };
}

/** The log's text for an error of ours. */
export function logText(error: unknown): string {
  return error instanceof BaremetalError ? `${error.code}: ${describeError(error)}` : describeError(error);
}
