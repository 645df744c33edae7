// The options of a session, checked and completed with their defaults.
import { bmcName, DEFAULT_PORT } from "./bmc-name.ts";
import { PRIVILEGE_LEVEL, type PrivilegeLevel } from "./commands/command.ts";
import { CIPHER_SUITES, type CipherSuite, keyFromKg, keyFromSecret, MAX_PASSWORD_BYTES } from "./crypto.ts";
import { IpmiError } from "./errors.ts";
import { type Network, OWN_SOCKETS } from "./transport.ts";
import { MAX_USER_BYTES } from "./wire/rakp.ts";
import { AUTHENTICATION_TYPE, type AuthenticationTypeName, MAX_V15_PASSWORD_BYTES } from "./wire/session-v15.ts";

/** Which sessions: RMCP+ (IPMI 2.0), IPMI 1.5, or RMCP+ unless the BMC says that it only has 1.5. */
export type SessionProtocol = "auto" | "2.0" | "1.5";

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
  /**
   * Cipher suites to offer, best first. Default 17, 3. A man in the middle can force the last one: list one to prevent it.
   * Also spoken: 8, 12 (MD5); without encryption 2, 7, 11, 16; without integrity either 1, 6, 15.
   */
  readonly cipherSuites?: readonly number[];
  /** Lets `cipherSuites` name 0, which asks for no password: anyone who reaches the BMC has its sessions. Default false. */
  readonly allowCipherZero?: boolean;
  /** The BMC's K_g, if one is set on it: text, hex digits after `0x`, or bytes; at most 20 bytes. */
  readonly kg?: string | Buffer;
  /**
   * Default `2.0`. `auto` takes 1.5 where a BMC says that it has no 2.0. Trap: it says so unsigned. A man in the middle can force 1.5 then,
   * which encrypts nothing and shows him what he can try passwords against.
   */
  readonly protocol?: SessionProtocol;
  /** Authentication of IPMI 1.5 sessions, best first. Default `md5`. `password` sends the password in the clear. */
  readonly v15Authentication?: readonly AuthenticationTypeName[];
  /** Whether the BMC looks the user up by name alone, or by name and `privilege` together. Default true (13.20). */
  readonly nameOnlyLookup?: boolean;
  /** Whose sockets the session uses. Default: one of its own. A {@link SharedSockets} serves thousands of BMCs. */
  readonly network?: Network;
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
  readonly protocol: SessionProtocol;
  /** Authentication types of IPMI 1.5 by number, and the password filled to 16 bytes; undefined if it is longer. */
  readonly v15Authentication: readonly number[];
  readonly v15Password: Buffer | undefined;
  readonly nameOnlyLookup: boolean;
  readonly network: Network;
  readonly deadlineMs: number;
  readonly retransmitMs: number;
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
  const protocol = options.protocol ?? "2.0";
  if (!PROTOCOLS.has(protocol)) refuse(`protocol "${protocol}" is not known; use auto, 2.0 or 1.5`);
  const passwordBytes = Buffer.byteLength(options.password);
  const [passwordLimit, version] = protocol === "1.5" ? [MAX_V15_PASSWORD_BYTES, "1.5"] : [MAX_PASSWORD_BYTES, "2.0"];
  if (passwordBytes > passwordLimit)
    refuse(`the password has ${passwordBytes} bytes; IPMI ${version} allows ${passwordLimit}`);
  const privilege = PRIVILEGE_LEVEL[options.privilege ?? "administrator"];
  if (privilege === undefined) refuse(`privilege "${options.privilege}" is not known`);
  const userKey = keyFromSecret(options.password);
  return {
    address: options.address,
    port,
    name,
    user,
    userKey,
    kg: options.kg === undefined ? undefined : resolveKg(options.kg, refuse),
    privilege,
    suites: resolveSuites(options, refuse),
    protocol,
    v15Authentication: resolveV15Authentication(options.v15Authentication ?? ["md5"], refuse),
    v15Password: passwordBytes > MAX_V15_PASSWORD_BYTES ? undefined : userKey.subarray(0, MAX_V15_PASSWORD_BYTES),
    nameOnlyLookup: options.nameOnlyLookup ?? true,
    network: options.network ?? OWN_SOCKETS,
    deadlineMs: positive("deadlineMs", options.deadlineMs ?? 10_000, refuse),
    retransmitMs: positive("retransmitMs", options.retransmitMs ?? 1000, refuse),
  };
}

type Refuse = (text: string) => never;

const PROTOCOLS: ReadonlySet<string> = new Set(["auto", "2.0", "1.5"] satisfies SessionProtocol[]);

function resolveSuites(options: SessionOptions, refuse: Refuse): CipherSuite[] {
  const ids = new Set(options.cipherSuites ?? [17, 3]);
  if (ids.size === 0) refuse("no cipher suite is given; name 17, 3 or both");
  if (ids.has(0) && options.allowCipherZero !== true)
    refuse(
      "cipher suite 0 asks for no password: anyone could open its sessions; allowCipherZero permits it all the same",
    );
  return [...ids].map((id) => CIPHER_SUITES.get(id) ?? refuse(`cipher suite ${id} is not supported; use 17 or 3`));
}

function resolveV15Authentication(names: readonly AuthenticationTypeName[], refuse: Refuse): number[] {
  if (names.length === 0) refuse("no authentication type of IPMI 1.5 is given; name md5");
  return names.map((name) => {
    const known = `use ${Object.keys(AUTHENTICATION_TYPE).join(", ")}`;
    return AUTHENTICATION_TYPE[name] ?? refuse(`authentication type "${name}" of IPMI 1.5 is not supported; ${known}`);
  });
}

/** Trap: a K_g of zeroes is none (13.31): the user's key takes its place. */
function resolveKg(kg: string | Buffer, refuse: Refuse): Buffer | undefined {
  const key = keyFromKg(kg);
  if (key === undefined)
    refuse(`the K_g is longer than the ${MAX_PASSWORD_BYTES} bytes of IPMI 2.0, or has half a byte of hex`);
  return key?.some((byte) => byte !== 0) ? key : undefined;
}

function positive(name: string, value: number, refuse: Refuse): number {
  return Number.isFinite(value) && value > 0 ? value : refuse(`${name} must be a positive number of milliseconds`);
}
