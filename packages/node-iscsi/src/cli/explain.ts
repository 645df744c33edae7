// Errors in the words of the command: what failed, where, and which option of the command line mends it.
import { InvalidArgumentError, IscsiError, LoginError, ScsiError } from "../errors.ts";
import { UsageError } from "./arguments.ts";

/** Login status class "initiator error" and its details (RFC 7143 11.13.5). */
const INITIATOR_ERROR = 2;
const AUTHENTICATION_FAILED = 1;
const NOT_ALLOWED = 2;
const NOT_FOUND = 3;
/** LOGICAL UNIT NOT SUPPORTED. */
const NO_SUCH_UNIT = 0x25;

/** Logins that were tried without credentials. */
const unproved = new WeakSet<object>();

/** Awaits `work`, which logs in as `portal` says, and remembers with its error that there were no credentials to give. */
export async function loggingIn<T>(portal: { readonly chap?: unknown }, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof LoginError && portal.chap === undefined) unproved.add(error);
    throw error;
  }
}

/** One line for people. The state of the disk is left out: whoever copies tells that of the whole copy. */
export function explain(error: unknown): string {
  if (!(error instanceof IscsiError)) return error instanceof Error ? error.message : String(error);
  const peer = [error.target, error.portal].filter((part) => part !== undefined).join(" at ");
  // The caller's mistake is not the target's failure.
  if (error instanceof InvalidArgumentError) return error.reason;
  return `${error.operation} failed${peer === "" ? "" : ` on ${peer}`}: ${inOptions(error)}`;
}

/** True when the command line was wrong, in whoever's eyes. */
export function isUsage(error: unknown): boolean {
  return error instanceof UsageError || error instanceof InvalidArgumentError;
}

function inOptions(error: IscsiError): string {
  if (error instanceof LoginError) return ofLogin(error);
  const { reason } = error;
  if (error instanceof ScsiError && error.asc === NO_SUCH_UNIT)
    return `${reason}; the target has no such LUN, "node-iscsi ls -s" lists those it has`;
  if (/ECONNREFUSED/.test(reason)) return `${reason}; is a target running there, and is this its port?`;
  if (/ENOTFOUND|EAI_AGAIN/.test(reason)) return `${reason}; check the host name`;
  if (error.code === "Timeout") return `${reason}; check the network, or give more --timeout`;
  return reason;
}

function ofLogin(error: LoginError): string {
  const { statusClass, statusDetail, reason } = error;
  const status = `class ${statusClass}, detail ${statusDetail}`;
  const isRefusal = statusClass === INITIATOR_ERROR;
  const wantsProof = (isRefusal && statusDetail === AUTHENTICATION_FAILED) || /AuthMethod=/.test(reason);
  if (wantsProof && unproved.has(error))
    return "the target wants CHAP credentials and none were given; add --chap-user NAME and --chap-secret-file FILE";
  if (isRefusal && statusDetail === AUTHENTICATION_FAILED)
    return `authentication failed (${status}); check --chap-user and the secret`;
  if (isRefusal && statusDetail === NOT_ALLOWED)
    return `the target does not let this initiator in (${status}); check --initiator-name, --chap-user and the target's access list`;
  if (isRefusal && statusDetail === NOT_FOUND)
    return `there is no such target (${status}); "node-iscsi ls" lists the targets of this portal`;
  return reason;
}
