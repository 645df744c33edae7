// Who we are to the BMCs. Secrets come from files, the environment or a prompt, never from the command line.
import { readFileSync, statSync } from "node:fs";
import type { SessionOptions } from "../options.ts";
import { type CommonValues, DEFAULT_PROTOCOL, parseCipherSuites, parsePrivilege, parseProtocol } from "./arguments.ts";
import { note } from "./output.ts";
import { ask, canAsk } from "./terminal.ts";
import { UsageError } from "./usage-error.ts";

/** How to log in, the same for all BMCs of a run. */
export type Credentials = SessionKind & Pick<SessionOptions, "user" | "password" | "kg" | "privilege">;

/** What decides whether sessions are encrypted. */
type SessionKind = Pick<SessionOptions, "protocol" | "cipherSuites">;

const READABLE_BY_OTHERS = 0o004;

/** @throws UsageError */
export function sessionKind(values: CommonValues): SessionKind {
  const suites = values["cipher-suite"];
  const protocol = parseProtocol(values.protocol ?? DEFAULT_PROTOCOL);
  return { protocol, ...(suites === undefined ? {} : { cipherSuites: parseCipherSuites(suites) }) };
}

/** Reads user, password, K_g and what goes with them. @throws UsageError */
export async function readCredentials(values: CommonValues, signal: AbortSignal): Promise<Credentials> {
  const { privilege } = values;
  // What can be wrong in the command line is said before anything is asked.
  const login = {
    ...sessionKind(values),
    ...(privilege === undefined ? {} : { privilege: parsePrivilege(privilege) }),
  };
  const user = values.user ?? process.env["IPMI_USER"];
  if (user === undefined)
    throw new UsageError("no user is named; add -U NAME or set IPMI_USER (-U '' for the user without a name)");
  const kgFile = values["kg-file"];
  const kg = kgFile === undefined ? undefined : readSecretFile(kgFile, "--kg-file");
  const file = values["password-file"];
  const password = await readSecret(file, "--password-file", "IPMI_PASSWORD", `Password of ${user}: `, signal);
  return { user, password, ...(kg === undefined ? {} : { kg }), ...login };
}

/** A secret from `file`, else from the environment, else asked for on a terminal. @throws UsageError */
export async function readSecret(
  file: string | undefined,
  option: string,
  variable: string,
  question: string,
  signal: AbortSignal,
): Promise<string> {
  if (file !== undefined) return readSecretFile(file, option);
  const known = process.env[variable];
  if (known !== undefined) return known;
  if (!canAsk())
    throw new UsageError(
      `a password is missing and there is no terminal to ask on; give ${option} FILE or set ${variable}`,
    );
  return ask(question, { isSecret: true, signal });
}

function readSecretFile(file: string, option: string): string {
  try {
    const { mode } = statSync(file);
    if ((mode & READABLE_BY_OTHERS) !== 0)
      note(`ipmi-js: everybody on this machine can read ${file}, which holds a secret; chmod 600 mends that`);
    return readFileSync(file, "utf8").split(/\r?\n/, 1)[0] ?? "";
  } catch (error) {
    throw new UsageError(
      `${option}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code}); give a file that holds the secret in its first line`,
    );
  }
}
