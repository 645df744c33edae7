// The user slots of a simulated BMC: names, passwords, rights (IPMI 2.0, 22.26 to 22.30).
import { PRIVILEGE_LEVEL } from "../commands/command.ts";
import {
  PASSWORD_TEST_FAILED,
  type PasswordSize,
  type SetUserPasswordRequest,
  WRONG_PASSWORD_SIZE,
} from "../commands/set-user-password.ts";
import {
  NO_ACCESS,
  type SetUserAccessRequest,
  type UserAccess,
  type UserAccessRights,
} from "../commands/user-access.ts";
import { isEqualInConstantTime } from "../crypto.ts";

/** The user a simulator was made with. */
export interface ConfiguredUser {
  readonly user: string;
  readonly password: string;
  readonly privilege: number;
}

interface Slot {
  name: string;
  password: Buffer;
  size: PasswordSize;
  isEnabled: boolean;
  privilegeLimit: number;
  rights: UserAccessRights;
}

/** The slot of the configured user; slot 1 is the user without a name, which cannot be had. */
const CONFIGURED_SLOT = 2;
const SLOTS = 10;
const INVALID_DATA_FIELD = 0xcc;
const NO_RIGHTS = { isRestrictedToCallback: false, hasLinkAuthentication: false, hasIpmiMessaging: false };

/** Answers with completion codes. `changed` is told when the configured user logs in otherwise from now on. */
export class SimulatedUsers {
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => ({
    name: "",
    password: Buffer.alloc(0),
    size: 16,
    isEnabled: false,
    privilegeLimit: NO_ACCESS,
    rights: NO_RIGHTS,
  }));
  readonly #changed: (user: ConfiguredUser | undefined) => void;

  constructor({ user, password, privilege }: ConfiguredUser, changed: (user: ConfiguredUser | undefined) => void) {
    this.#changed = changed;
    this.#slots[CONFIGURED_SLOT - 1] = {
      name: user,
      password: Buffer.from(password),
      size: Buffer.byteLength(password) > 16 ? 20 : 16,
      isEnabled: true,
      privilegeLimit: privilege,
      rights: { ...NO_RIGHTS, hasIpmiMessaging: true },
    };
  }

  access(userId: number): UserAccess | undefined {
    const slot = this.#slots[userId - 1];
    if (slot === undefined) return undefined;
    return {
      ...slot.rights,
      maxUserIds: SLOTS,
      enabledUserIds: this.#slots.filter((one) => one.isEnabled).length,
      fixedNames: 1,
      status: slot.isEnabled ? "enabled" : "disabled",
      privilegeLimit: slot.privilegeLimit,
    };
  }

  setAccess({ userId, privilegeLimit, rights }: SetUserAccessRequest): number {
    const isKnown = privilegeLimit === NO_ACCESS || privilegeLimit <= PRIVILEGE_LEVEL.administrator;
    if (!isKnown || privilegeLimit === 0) return INVALID_DATA_FIELD;
    return this.#change(userId, (slot) => {
      slot.privilegeLimit = privilegeLimit;
      slot.rights = rights ?? slot.rights;
      return 0;
    });
  }

  name(userId: number): string | undefined {
    return this.#slots[userId - 1]?.name;
  }

  setName(userId: number, name: string): number {
    const isTaken = this.#slots.some((slot, at) => at !== userId - 1 && name !== "" && slot.name === name);
    if (isTaken || userId === 1) return INVALID_DATA_FIELD;
    return this.#change(userId, (slot) => {
      slot.name = name;
      return 0;
    });
  }

  setPassword(request: SetUserPasswordRequest): number {
    return this.#change(request.userId, (slot) => {
      if (!("password" in request)) {
        slot.isEnabled = request.operation === "enable";
      } else if (request.operation === "test") {
        if (slot.size !== request.size) return WRONG_PASSWORD_SIZE;
        return isEqualInConstantTime(slot.password, request.password) ? 0 : PASSWORD_TEST_FAILED;
      } else {
        slot.password = Buffer.from(request.password);
        slot.size = request.size;
      }
      return 0;
    });
  }

  #change(userId: number, change: (slot: Slot) => number): number {
    const slot = this.#slots[userId - 1];
    if (slot === undefined) return INVALID_DATA_FIELD;
    const code = change(slot);
    if (userId === CONFIGURED_SLOT && code === 0) this.#changed(loginOf(slot));
    return code;
  }
}

/** Undefined if nobody can log in with the slot. */
function loginOf(slot: Slot): ConfiguredUser | undefined {
  if (!slot.isEnabled || !slot.rights.hasIpmiMessaging || slot.privilegeLimit === NO_ACCESS) return undefined;
  return { user: slot.name, password: slot.password.toString(), privilege: slot.privilegeLimit };
}
