// Key pairs of users: import of a public key, or a new pair whose private half is given once and not kept.
import type { KeyPairRepository } from "../db/key-pairs.ts";
import type { KeyPairRecord } from "../db/records.ts";
import { BaremetalError } from "../lib/errors.ts";
import { fingerprintOf, generateSshKeyPair } from "./ssh-keys.ts";

/** The key pairs of all users. */
export class KeyPairService {
  readonly #keyPairs: KeyPairRepository;

  constructor(keyPairs: KeyPairRepository) {
    this.#keyPairs = keyPairs;
  }

  /** Imports `publicKey`, or makes a pair if there is none. @throws BaremetalError `BadInput`, `Conflict` for a taken name */
  async create(
    userId: string,
    name: string,
    publicKey?: string,
  ): Promise<{ record: KeyPairRecord; privateKey?: string }> {
    if (!/^[A-Za-z0-9 _.@-]{1,255}$/.test(name) || name.trim() !== name) {
      throw new BaremetalError(
        "BadInput",
        "Keypair name may hold letters, digits, spaces and _ . @ -, 255 at most, no space at its ends",
        { data: { field: "name" } },
      );
    }
    if (publicKey !== undefined) return { record: await this.#store(userId, name, publicKey.trim()) };
    const pair = await generateSshKeyPair("Generated-by-Nova");
    return { record: await this.#store(userId, name, pair.publicKey), privateKey: pair.privateKey };
  }

  get(userId: string, name: string): Promise<KeyPairRecord | undefined> {
    return this.#keyPairs.get(userId, name);
  }

  list(userId: string): Promise<KeyPairRecord[]> {
    return this.#keyPairs.list(userId);
  }

  /** False if there is none. */
  delete(userId: string, name: string): Promise<boolean> {
    return this.#keyPairs.destroy(userId, name);
  }

  #store(userId: string, name: string, publicKey: string): Promise<KeyPairRecord> {
    return this.#keyPairs.create({ userId, name, type: "ssh", fingerprint: fingerprintOf(publicKey), publicKey });
  }
}
