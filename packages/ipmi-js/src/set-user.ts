// A user of the BMC as a whole: name, password, privilege, enabled; and the list of all users (IPMI 2.0, 22.26 to 22.30).
import type { OperationOptions } from "./budget.ts";
import { PRESENT_CHANNEL, PRIVILEGE_LEVEL, type PrivilegeLevel } from "./commands/command.ts";
import type { CommandRunner } from "./commands/command-runner.ts";
import {
  PASSWORD_TEST_FAILED,
  type PasswordSize,
  passwordSizeOf,
  type SetUserPasswordRequest,
  setUserPassword,
  WRONG_PASSWORD_SIZE,
} from "./commands/set-user-password.ts";
import { getUserAccess, setUserAccess, type UserAccess } from "./commands/user-access.ts";
import { getUserName, setUserName } from "./commands/user-name.ts";
import { MAX_PASSWORD_BYTES } from "./crypto.ts";
import { IpmiError, isIpmiError } from "./errors.ts";
import { unlessRefused, Walk } from "./walk.ts";
import { MAX_USER_BYTES } from "./wire/rakp.ts";

/** A user as {@link setUser} makes it. */
export interface UserSettings {
  /** 1 to 63. 1 is the user without a name on most BMCs. */
  readonly userId: number;
  /** 1 to 16 bytes. */
  readonly name: string;
  /** 1 to 20 bytes. */
  readonly password: string;
  /** Highest privilege on the channel. */
  readonly privilege: PrivilegeLevel;
  /** Default: the channel the session is on. */
  readonly channel?: number;
  /** The form the password is stored in. Default 16 bytes where it fits, which IPMI 1.5 can use too, else 20. */
  readonly passwordSize?: PasswordSize;
  /** Sends the password in a session that does not encrypt too, where others can read it. Default false. */
  readonly allowClearText?: boolean;
}

/** A user slot of the BMC. */
export interface User {
  readonly userId: number;
  readonly name: string;
  readonly access: UserAccess;
}

/** 6 bits of Set User Name (22.28). */
export const MAX_USER_ID = 63;
const OPERATION = "set a user";

/**
 * Sets up a user, or gives one a new password: the way to rotate credentials. A slot of another name is disabled first;
 * then name, password, a test of the password, rights, and last of all enabled, so that no half-made user can log in. A user
 * that keeps its name is never disabled, as it may be the one that is logged in. Errors are those of the step that
 * failed, `CompletionCode` 80h if the BMC took the password and has another; `WrongPassword` that says so if the user is
 * the one logged in and a `Bmc` lost its session after the password was sent: it may be in force. `InvalidArgument`, and
 * nothing done, in a session that does not encrypt, unless `allowClearText`. Sessions that are open stay open.
 */
export async function setUser(
  runner: CommandRunner,
  settings: UserSettings,
  options: OperationOptions = {},
): Promise<void> {
  const { userId, name, privilege, channel = PRESENT_CHANNEL, allowClearText = false } = settings;
  const password = Buffer.from(settings.password);
  requireValid(runner, settings, password);
  const size = settings.passwordSize ?? passwordSizeOf(password);
  // From the first command on: a refusal half way would leave the slot disabled or renamed.
  const walk = new Walk(runner, OPERATION, { ...options, needsEncryption: !allowClearText });
  // Trap: BMCs refuse to say the name of a slot that has none, to disable one, and to set the name a slot has already.
  const known = await unlessRefused(walk.run(getUserName, { userId }));
  if (known?.name !== name) {
    await unlessRefused(walk.run(setUserPassword, { userId, operation: "disable" }));
    await walk.run(setUserName, { userId, name });
  }
  await sendingNewPassword(async () => {
    await setAndTest((request) => walk.run(setUserPassword, request), { userId, password, size });
    const rights = { isRestrictedToCallback: false, hasLinkAuthentication: false, hasIpmiMessaging: true };
    await walk.run(setUserAccess, { channel, userId, privilegeLimit: PRIVILEGE_LEVEL[privilege], rights });
    await walk.run(setUserPassword, { userId, operation: "enable" });
  });
}

/** Gives a password and has the BMC test it. False: the BMC cannot test it, and has it all the same. */
export async function setAndTest(
  run: (request: SetUserPasswordRequest) => Promise<void>,
  given: { readonly userId: number; readonly password: Buffer; readonly size: PasswordSize },
): Promise<boolean> {
  await run({ ...given, operation: "set" });
  const tested = run({ ...given, operation: "test" }).then(() => true);
  return (await unlessRefused(tested, PASSWORD_TEST_FAILED, WRONG_PASSWORD_SIZE)) ?? false;
}

/**
 * Runs the steps from "set password" on. Trap: if the login's own password is set and the session lost then, a `Bmc` logs in
 * again with the old one: the `WrongPassword` of that is no proof that nothing was done, and says so. Its operation is Set User Password.
 */
export async function sendingNewPassword<T>(steps: () => Promise<T>): Promise<T> {
  try {
    return await steps();
  } catch (error) {
    if (!isIpmiError(error, "WrongPassword")) throw error;
    const { address, rakpStatus } = error;
    const text = `the password may have been changed: try the new one. The session was lost meanwhile, and one with the old password refused: ${error.message}`;
    throw new IpmiError("WrongPassword", text, { address, operation: setUserPassword.name, rakpStatus, cause: error });
  }
}

/** All user slots of the BMC with their rights on `channel`, by default the one the session is on. */
export async function listUsers(
  runner: CommandRunner,
  channel: number = PRESENT_CHANNEL,
  options: OperationOptions = {},
): Promise<User[]> {
  const walk = new Walk(runner, "list the users", options);
  const users: User[] = [];
  let last = 1;
  for (let userId = 1; userId <= last; userId += 1) {
    const access = await walk.run(getUserAccess, { channel, userId });
    if (userId === 1) last = Math.min(access.maxUserIds, MAX_USER_ID);
    const named = await unlessRefused(walk.run(getUserName, { userId }));
    users.push({ userId, name: named?.name ?? "", access });
  }
  return users;
}

function requireValid({ address }: CommandRunner, settings: UserSettings, password: Buffer): void {
  const { userId, name, passwordSize = MAX_PASSWORD_BYTES } = settings;
  const refuse = (text: string): never => {
    throw new IpmiError("InvalidArgument", text, { address, operation: OPERATION });
  };
  if (!Number.isInteger(userId) || userId < 1 || userId > MAX_USER_ID) {
    refuse(`a user id is a number from 1 to ${MAX_USER_ID}, not ${userId}`);
  }
  const nameBytes = Buffer.from(name);
  if (nameBytes.length < 1 || nameBytes.length > MAX_USER_BYTES || nameBytes.includes(0)) {
    refuse(`a user name has 1 to ${MAX_USER_BYTES} bytes and no zero, not ${nameBytes.length}`);
  }
  if (password.length < 1 || password.length > passwordSize || password.includes(0)) {
    refuse(`a password has 1 to ${passwordSize} bytes and no zero, not ${password.length}`);
  }
}
