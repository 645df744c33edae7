// The options of a session, checked and completed with their defaults.
import { PRIVILEGE_LEVEL, type PrivilegeLevel } from "./commands/command.ts";
import { CIPHER_SUITES, type CipherSuite, keyFromSecret, MAX_PASSWORD_BYTES } from "./crypto.ts";
import { IpmiError } from "./errors.ts";
import { MAX_USER_BYTES } from "./wire/rakp.ts";

/** Where a BMC is and who we are to it. */
export interface SessionOptions {
  /** IP address or host name. */
  readonly address: string;
  /** UDP port. Default 623. */
  readonly port?: number;
  /** At most 16 bytes. */
  readonly user: string;
  /** At most 20 bytes; may be empty. */
  readonly password: string;
  /** Privilege the session works with. Default `administrator`. */
  readonly privilege?: PrivilegeLevel;
  /** Cipher suites to offer, best first. Default 17, 3. A man in the middle can force the last one: list one to prevent it. */
  readonly cipherSuites?: readonly number[];
  /** The BMC's K_g, if one is set on it; at most 20 bytes. */
  readonly kg?: string | Buffer;
  /** For opening a session, and for a command unless it says otherwise, in milliseconds. Default 10000. */
  readonly deadlineMs?: number;
  /** Longest wait between two sends of a datagram, in milliseconds; the first is 0.3 of it, the second 0.6. Default 1000. */
  readonly retransmitMs?: number;
}

/** {@link SessionOptions} as the package uses them; the password is only kept as its key. */
export interface ResolvedOptions {
  readonly address: string;
  readonly port: number;
  /** `address` with the port, if it is not 623: how errors name the BMC. */
  readonly name: string;
  readonly user: Buffer;
  readonly userKey: Buffer;
  readonly kg: Buffer | undefined;
  readonly privilege: number;
  readonly suites: readonly CipherSuite[];
  readonly deadlineMs: number;
  readonly retransmitMs: number;
}

export const DEFAULT_PORT = 623;

/** The name errors give to a BMC. */
export function bmcName(address: string, port: number): string {
  if (port === DEFAULT_PORT) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Checks the options; `InvalidArgument` says which one is wrong. */
export function resolveOptions(options: SessionOptions): ResolvedOptions {
  const port = options.port ?? DEFAULT_PORT;
  const name = bmcName(options.address, port);
  const refuse = (text: string): never => {
    const operation = "check the session options";
    throw new IpmiError("InvalidArgument", `options for BMC ${name}: ${text}`, { address: options.address, operation });
  };
  if (options.address === "") refuse("the address is empty");
  if (!Number.isInteger(port) || port < 1 || port > 65535) refuse(`port ${port} is not between 1 and 65535`);
  const user = Buffer.from(options.user);
  if (user.length > MAX_USER_BYTES) refuse(`the user name has ${user.length} bytes; IPMI allows ${MAX_USER_BYTES}`);
  checkSecret("password", options.password, refuse);
  if (options.kg !== undefined) checkSecret("K_g", options.kg, refuse);
  const privilege = PRIVILEGE_LEVEL[options.privilege ?? "administrator"];
  if (privilege === undefined) refuse(`privilege "${options.privilege}" is not known`);
  const ids = options.cipherSuites ?? [17, 3];
  if (ids.length === 0) refuse("no cipher suite is given; name 17, 3 or both");
  const suites = ids.map((id) => CIPHER_SUITES.get(id) ?? refuse(`cipher suite ${id} is not supported; use 17 or 3`));
  const deadlineMs = positive("deadlineMs", options.deadlineMs ?? 10_000, refuse);
  const retransmitMs = positive("retransmitMs", options.retransmitMs ?? 1000, refuse);
  const kg = options.kg === undefined ? undefined : keyFromSecret(options.kg);
  const userKey = keyFromSecret(options.password);
  return { address: options.address, port, name, user, userKey, kg, privilege, suites, deadlineMs, retransmitMs };
}

function positive(name: string, value: number, refuse: (text: string) => never): number {
  return Number.isFinite(value) && value > 0 ? value : refuse(`${name} must be a positive number of milliseconds`);
}

function checkSecret(what: string, secret: string | Buffer, refuse: (text: string) => never): void {
  const length = Buffer.byteLength(secret);
  if (length > MAX_PASSWORD_BYTES) refuse(`the ${what} has ${length} bytes; IPMI 2.0 allows ${MAX_PASSWORD_BYTES}`);
}
