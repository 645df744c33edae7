// The user slots of a simulated BMC: names, passwords, rights (IPMI 2.0, 22.26 to 22.30).
import { PRIVILEGE_LEVEL } from "../commands/command.ts";
import {
  PASSWORD_TEST_FAILED,
  type PasswordSize,
  passwordSizeOf,
  type SetUserPasswordRequest,
  WRONG_PASSWORD_SIZE,
} from "../commands/set-user-password.ts";
import {
  NO_ACCESS,
  type SetUserAccessRequest,
  type UserAccess,
  type UserAccessRights,
} from "../commands/user-access.ts";
import { isEqualInConstantTime, keyFromSecret } from "../crypto.ts";
import { MAX_USER_BYTES } from "../wire/rakp.ts";
import { MAX_V15_PASSWORD_BYTES } from "../wire/session-v15.ts";

/** What a console must know to log in. */
export interface Login {
  /** Without the zeroes that fill its field. */
  readonly name: Buffer;
  /** K_uid: the password, 20 bytes filled with zeroes. */
  readonly userKey: Buffer;
  /** What IPMI 1.5 authenticates with: the first 16 bytes of the password. */
  readonly v15Password: Buffer;
  /** Highest privilege of the user; 0 if nobody can log in. */
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

/** The slot of the user who logs in; slot 1 is the user without a name, which cannot be had. */
export const LOGIN_SLOT = 2;
const SLOTS = 10;
const INVALID_DATA_FIELD = 0xcc;
/** No console may send a name of so many bytes. */
const NOBODY = "-".repeat(MAX_USER_BYTES + 1);
const NO_RIGHTS = { isRestrictedToCallback: false, hasLinkAuthentication: false, hasIpmiMessaging: false };

/** Answers with completion codes. */
export class SimulatedUsers {
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => ({
    name: "",
    password: Buffer.alloc(0),
    size: 16,
    isEnabled: false,
    privilegeLimit: NO_ACCESS,
    rights: NO_RIGHTS,
  }));

  constructor(user: string, password: string, privilege: number) {
    const bytes = Buffer.from(password);
    this.#slots[LOGIN_SLOT - 1] = {
      name: user,
      password: bytes,
      size: passwordSizeOf(bytes),
      isEnabled: true,
      privilegeLimit: privilege,
      rights: { ...NO_RIGHTS, hasIpmiMessaging: true },
    };
  }

  /** The login of session setup as it is now. Sessions that are open stay so when it changes. */
  get login(): Login {
    const slot = this.#slots[LOGIN_SLOT - 1];
    const canLogIn = slot?.isEnabled && slot.rights.hasIpmiMessaging && slot.privilegeLimit !== NO_ACCESS;
    const { name, password, privilegeLimit } = canLogIn ? slot : { name: NOBODY, password: "", privilegeLimit: 0 };
    const userKey = keyFromSecret(password);
    const v15Password = userKey.subarray(0, MAX_V15_PASSWORD_BYTES);
    return { name: Buffer.from(name), userKey, v15Password, privilege: privilegeLimit };
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
    return slot === undefined ? INVALID_DATA_FIELD : change(slot);
  }
}
