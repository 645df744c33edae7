// Errors in the words of the command: what failed, and which option of the command line mends it.
import { setUserPassword } from "../commands/set-user-password.ts";
import { type IpmiError, type IpmiErrorCode, isIpmiError, messageOf } from "../errors.ts";
import { UsageError } from "./usage-error.ts";

/** The code for whatever is no `IpmiError`: a defect of ours, or of the machine we run on. */
export const INTERNAL = "Internal";

const HINTS: { readonly [code in IpmiErrorCode]?: string } = {
  WrongPassword: "check --password-file or IPMI_PASSWORD, and -U",
  NoSuchUser: "check -U and --privilege",
  InsufficientPrivilege: "check --privilege and what the BMC lets this user do",
  CipherSuite: "try --cipher-suite 3, or 17",
  ConsoleInUse: "--take-over ends the other one",
};

/** The code alone does not tell a BMC without IPMI 2.0 from one without our suites. */
const ONLY_V15 = /\bonly IPMI 1\.5\b/;
const NOT_IN_THIS_STATE = 0xd5;
const INVALID_COMMAND = 0xc1;

/** One line for people. */
export function explain(error: unknown): string {
  if (!isIpmiError(error)) return messageOf(error);
  const hint = hintFor(error);
  const text = error.code === "Timeout" ? withoutLast(error.message) : error.message;
  return hint === undefined ? text : `${text}; ${hint}`;
}

/** A timeout tells what was tried last, and that what was before: of this only what the network said helps at once. */
function withoutLast(message: string): string {
  const [first = "", ...last] = message.split(" Last: ");
  const reported = /the network reported \w+/.exec(last.join(" "));
  return reported === null ? first : `${first} (${reported[0]})`;
}

function hintFor({ code, completionCode, operation, message }: IpmiError): string | undefined {
  if (completionCode === NOT_IN_THIS_STATE && operation === "Chassis Control") return "most likely the machine is off";
  if (completionCode === INVALID_COMMAND) return "this BMC does not have the command";
  if (code === "CipherSuite" && ONLY_V15.test(message)) return "--protocol 1.5 asks for it";
  // It came when the new password had been sent: the old one may be out of force.
  if (code === "WrongPassword" && operation === setUserPassword.name)
    return "--password-file or IPMI_PASSWORD must hold the new one then";
  // Not ours to log in with, but the one that was looked for.
  return operation === "user set-password" ? undefined : HINTS[code];
}

/** For programs. */
export function codeOf(error: unknown): string {
  return isIpmiError(error) ? error.code : INTERNAL;
}

/** True when the command line was wrong, in whoever's eyes. */
export function isUsage(error: unknown): boolean {
  return error instanceof UsageError || isIpmiError(error, "InvalidArgument");
}
