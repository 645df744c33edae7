// ipmi-js user: the users of the BMC, and their passwords.
import { PRIVILEGE_LEVEL } from "../commands/command.ts";
import type { CommandRunner } from "../commands/command-runner.ts";
import { nameOf } from "../commands/name-of.ts";
import { passwordSizeOf, setUserPassword } from "../commands/set-user-password.ts";
import { NO_ACCESS } from "../commands/user-access.ts";
import { CIPHER_SUITES, MAX_PASSWORD_BYTES } from "../crypto.ts";
import { IpmiError } from "../errors.ts";
import { listUsers, MAX_USER_ID, sendingNewPassword, setAndTest, type User } from "../set-user.ts";
import { type CommonValues, DEFAULT_PROTOCOL, noWords, type ParsedValues } from "./arguments.ts";
import { readSecret, sessionKind } from "./credentials.ts";
import type { FleetMember, FleetPlan, Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { formatTable } from "./output.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js user: the users of the BMC, and their passwords.

Usage: ipmi-js user [list] -H BMCS [options]
       ipmi-js user set-password NAME|ID [--new-password-file FILE] -H BMCS [options]

  list           the users with a name or with access: id, name, privilege, whether enabled (the default)
  set-password   gives a user a new password, the same on all BMCs, and asks each BMC whether it has it now

      --new-password-file FILE   the new password is the first line of FILE; without it IPMI_NEW_PASSWORD of the
                                 environment, or it is asked for twice on a terminal. 1 to 20 bytes; up to 16 it is set
                                 in the form that IPMI 1.5 can use too
      --allow-clear-text         send it even where it may not be encrypted: with --protocol 1.5 or auto, and with a
                                 cipher suite that does not encrypt`;

const OPTIONS = { "new-password-file": { type: "string" }, "allow-clear-text": { type: "boolean" } } as const;

/** A BMC, and how long it may take. */
type Asked = Pick<FleetMember, "limits" | "longLimits"> & { readonly bmc: CommandRunner };

function privilegeName(limit: number): string {
  if (limit === NO_ACCESS) return "no access";
  return nameOf(PRIVILEGE_LEVEL, limit) ?? String(limit);
}

async function list({ bmc, longLimits }: FleetMember): Promise<Report> {
  const all = await listUsers(bmc, undefined, longLimits);
  const users = all.filter(({ name, access }) => name !== "" || access.status === "enabled");
  const rows = users.map(({ userId, name, access }) => [
    String(userId).padStart(2),
    name === "" ? "(no name)" : name,
    privilegeName(access.privilegeLimit),
    access.status === "unspecified" ? "" : access.status,
  ]);
  return { result: { users }, lines: rows.length === 0 ? ["no users"] : formatTable(rows) };
}

/** A number is an id, everything else a name. */
async function findUser({ bmc, longLimits }: Asked, who: string): Promise<Pick<User, "userId" | "name">> {
  if (/^\d+$/.test(who)) return { userId: Number(who), name: "" };
  const users = await listUsers(bmc, undefined, longLimits);
  const found = users.find(({ name }) => name === who);
  if (found === undefined) {
    const text = `${bmc.address} has no user ${who}; "ipmi-js user list" shows those it has`;
    throw new IpmiError("NoSuchUser", text, { address: bmc.address, operation: "user set-password" });
  }
  return found;
}

/** Exported for its test. */
export async function setPassword(member: Asked, who: string, password: Buffer): Promise<Report> {
  const { bmc, limits } = member;
  const { userId, name } = await findUser(member, who);
  const size = passwordSizeOf(password);
  const isTested = await sendingNewPassword(() =>
    setAndTest((request) => bmc.execute(setUserPassword, request, limits), { userId, password, size }),
  );
  const shown = name === "" ? `user ${userId}` : `user ${userId} (${name})`;
  const text = isTested ? `${shown} has the new password` : `${shown} took the new password; the BMC cannot test it`;
  return { result: { userId, passwordSet: true, passwordTested: isTested }, lines: [text] };
}

async function readNewPassword(file: string | undefined, signal: AbortSignal): Promise<Buffer> {
  const [option, variable] = ["--new-password-file", "IPMI_NEW_PASSWORD"];
  const text = await readSecret(file, option, variable, "New password: ", signal);
  const isAsked = file === undefined && process.env[variable] === undefined;
  if (isAsked && text !== (await readSecret(file, option, variable, "New password again: ", signal)))
    throw new UsageError("the two passwords differ; nothing was done");
  const password = Buffer.from(text);
  if (password.length < 1 || password.length > MAX_PASSWORD_BYTES || password.includes(0))
    throw new UsageError(
      `the new password has ${password.length} bytes; IPMI allows 1 to ${MAX_PASSWORD_BYTES}, none of them 0`,
    );
  return password;
}

/** Whoever listens would have the new password. @throws UsageError */
function requireEncryption(values: CommonValues): void {
  const { protocol, cipherSuites } = sessionKind(values);
  const clear = cipherSuites?.find((id) => CIPHER_SUITES.get(id)?.isEncrypted === false);
  if (protocol === DEFAULT_PROTOCOL && clear === undefined) return;
  const kind = clear === undefined ? `a session of --protocol ${protocol}` : `one with --cipher-suite ${clear}`;
  const may = protocol === "auto" && clear === undefined ? "may not be" : "is not";
  throw new UsageError(
    `${kind} ${may} encrypted, and others could read the new password; --allow-clear-text permits it`,
  );
}

async function planOf(
  words: readonly string[],
  values: ParsedValues<typeof OPTIONS>,
  signal: AbortSignal,
): Promise<FleetPlan> {
  const [verb = "list", who, ...more] = words;
  if (verb === "list") {
    noWords("user list", words.slice(1));
    return { isLong: true, run: list };
  }
  if (verb !== "set-password") throw new UsageError(`user takes list | set-password, not "${verb}"`);
  if (who === undefined || more.length > 0)
    throw new UsageError("user set-password takes one word, the user's name or id; the password never stands here");
  if (/^\d+$/.test(who) && (Number(who) < 1 || Number(who) > MAX_USER_ID))
    throw new UsageError(`a user id is a number from 1 to ${MAX_USER_ID}, not ${who}`);
  if (values["allow-clear-text"] !== true) requireEncryption(values);
  const password = await readNewPassword(values["new-password-file"], signal);
  return {
    harm: `set the password of user ${who} on`,
    isLong: true,
    run: (member) => setPassword(member, who, password),
  };
}

export const user = fleetCommand({
  name: "user",
  summary: "users of the BMC, and their passwords",
  help: HELP,
  options: OPTIONS,
  plan: planOf,
});
