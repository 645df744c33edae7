// Who can log in to a simulated BMC: the name, the keys and the privilege of its user.
import { keyFromSecret } from "../crypto.ts";
import { MAX_V15_PASSWORD_BYTES } from "../wire/session-v15.ts";
import type { ConfiguredUser } from "./users.ts";

/** The login of session setup; it can change while the BMC runs. Sessions that are open stay so. */
export class SimulatedAccount {
  #name: Buffer = Buffer.alloc(0);
  #userKey: Buffer = Buffer.alloc(0);
  #privilege = 0;

  constructor(login: ConfiguredUser) {
    this.setLogin(login);
  }

  /** Without the zeroes that fill its field. */
  get name(): Buffer {
    return this.#name;
  }

  /** K_uid: the password, 20 bytes filled with zeroes. */
  get userKey(): Buffer {
    return this.#userKey;
  }

  /** What IPMI 1.5 authenticates with: the first 16 bytes of the password. */
  get v15Password(): Buffer {
    return this.#userKey.subarray(0, MAX_V15_PASSWORD_BYTES);
  }

  /** Highest privilege of the user; 0 if nobody can log in. */
  get privilege(): number {
    return this.#privilege;
  }

  setLogin({ user, password, privilege }: ConfiguredUser): void {
    this.setUserName(user);
    this.setPassword(password);
    this.#privilege = privilege;
  }

  setUserName(name: string): void {
    this.#name = Buffer.from(name);
  }

  setPassword(password: string): void {
    this.#userKey = keyFromSecret(password);
  }
}
