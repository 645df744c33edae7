// Set User Password: set, test, enable, disable (IPMI 2.0, 22.30).
import { NET_FN } from "../wire/message.ts";
import { requireLength, WireError } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";
import { untilZero } from "./zero-padding.ts";

/** Bytes of a password on the wire: 16 is the form of IPMI 1.5, 20 that of 2.0. */
export type PasswordSize = 16 | 20;

/** The form for a password: 16 bytes where it fits, which IPMI 1.5 can use too, else 20. */
export function passwordSizeOf(password: Buffer): PasswordSize {
  return password.length > 16 ? 20 : 16;
}

/** `disable` and `enable` a user, `set` the password, or `test` whether it is this one. */
export type SetUserPasswordRequest =
  | { readonly userId: number; readonly operation: "disable" | "enable" }
  | {
      readonly userId: number;
      readonly operation: "set" | "test";
      /** The bytes as set, without padding; at most `size`. */
      readonly password: Buffer;
      /** A password set in one form is refused by a test in the other ({@link WRONG_PASSWORD_SIZE}). */
      readonly size: PasswordSize;
    };

/** `test` found another password. */
export const PASSWORD_TEST_FAILED = 0x80;
/** `test` found a password of the other size. */
export const WRONG_PASSWORD_SIZE = 0x81;

const OPERATIONS = ["disable", "enable", "set", "test"] as const;
const LONG = 0x80;

export const setUserPassword: Command<SetUserPasswordRequest, void> = {
  name: "Set User Password",
  netFn: NET_FN.application,
  code: 0x47,
  privilege: PRIVILEGE_LEVEL.administrator,
  completionCodes: {
    [PASSWORD_TEST_FAILED]: "the user has another password",
    [WRONG_PASSWORD_SIZE]: "the user's password was set in the other of the two sizes",
  },
  encodeRequest(request) {
    const operation = OPERATIONS.indexOf(request.operation);
    // Trap: the specification lets the password be left out of enable and disable; some BMCs want 16 bytes all the same.
    if (!("password" in request)) return Buffer.from([request.userId & 0x3f, operation, ...Buffer.alloc(16)]);
    const { userId, password, size } = request;
    const bytes = Buffer.alloc(2 + size);
    bytes[0] = (size === 20 ? LONG : 0) | (userId & 0x3f);
    bytes[1] = operation;
    password.copy(bytes, 2);
    return bytes;
  },
  decodeRequest(data) {
    requireLength(data, 2, "a Set User Password request");
    const userId = data.readUInt8(0) & 0x3f;
    const operation = OPERATIONS[data.readUInt8(1) & 0x03] ?? "test";
    if (operation === "disable" || operation === "enable") return { userId, operation };
    const size = (data.readUInt8(0) & LONG) === 0 ? 16 : 20;
    requireLength(data, 2 + size, "a Set User Password request with its password");
    if (data.length > 2 + size) throw new WireError(`a password of ${size} bytes is followed by more`);
    return { userId, operation, size, password: untilZero(data.subarray(2)) };
  },
  ...NO_RESPONSE_DATA,
};
