// The error base of the product, and the one list of its codes. Protocol packages have their own typed errors.

/**
 * Every code the product raises. When it is raised, and what `data` holds:
 *
 * - `BadInput`: the user's mistake; the message says what, why and how to fix it. `data`: the field or file.
 * - `NotFound`: a named thing does not exist. `data`: `{ kind, id }`.
 * - `Conflict`: the thing is in a state that does not allow the request. `data`: the states.
 * - `Forbidden`: wrong or missing authority.
 * - `PeerMisbehaved`: a BMC, node, image store or client broke its protocol. `data`: `{ peer, operation }`.
 * - `PeerUnreachable`: a peer did not answer within its deadline. `data`: `{ peer, operation, deadlineMs }`.
 * - `DeadlineExceeded`: a wait of ours ended. `data`: `{ step, deadlineMs }`.
 * - `Cancelled`: the work was given up on request. `data`: `{ step }`.
 * - `DeployFailed`: a deployment ended in failure. `data`: `{ step, instanceUuid }`.
 * - `ImageUnacceptable`: an image was refused before a byte was written. `data`: `{ image, reason }`.
 * - `Internal`: a broken invariant of ours; please report it.
 */
export type ErrorCode =
  | "BadInput"
  | "NotFound"
  | "Conflict"
  | "Forbidden"
  | "PeerMisbehaved"
  | "PeerUnreachable"
  | "DeadlineExceeded"
  | "Cancelled"
  | "DeployFailed"
  | "ImageUnacceptable"
  | "Internal";

/** The product's error. `code` is for programs, `message` for people, `data` for both. */
export class BaremetalError extends Error {
  readonly code: ErrorCode;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { data?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "BaremetalError";
    this.code = code;
    this.data = options.data ?? {};
  }
}

/** True if `error` is ours and carries `code`. */
export function isBaremetalError(error: unknown, code?: ErrorCode): error is BaremetalError {
  return error instanceof BaremetalError && (code === undefined || error.code === code);
}

/** For `catch` of a file operation: a file that is not there is undefined. */
export function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/** The text of any thrown value with the texts of its causes, for logs and fault records. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let current = error; current !== undefined && current !== null && parts.length < 5; ) {
    const text = current instanceof Error ? current.message : String(current);
    if (!parts.some((part) => part.includes(text))) parts.push(text);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(": ");
}
