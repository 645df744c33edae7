// nova.key_pairs: public keys of the users. A name is unique within its user.
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { KeyPairRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row } from "./table-map.ts";
import { keyPairsTable } from "./tables.ts";
import { isUniqueViolation, reading, transact } from "./transaction.ts";

/** The key pairs. */
export class KeyPairRepository {
  readonly #db: Knex;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  /** @throws BaremetalError `Conflict` if the user has a key of this name. */
  async create(values: Omit<KeyPairRecord, "createdAt">): Promise<KeyPairRecord> {
    const record: KeyPairRecord = { ...values, createdAt: new Date(this.#clock.now()) };
    const row = keyPairsTable.toRow(this.#dialect, record);
    try {
      await transact(this.#db, `creating key pair ${values.name}`, (trx) => trx("key_pairs").insert(row));
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new BaremetalError("Conflict", `Key pair '${values.name}' already exists.`, {
        data: { kind: "keypair", id: values.name },
      });
    }
    return record;
  }

  async get(userId: string, name: string): Promise<KeyPairRecord | undefined> {
    const row = await reading(this.#db, "reading a key pair", () =>
      this.#db("key_pairs").where({ user_id: userId, name }).first(),
    );
    return row === undefined ? undefined : keyPairsTable.fromRow(row);
  }

  /** By name. */
  async list(userId: string): Promise<KeyPairRecord[]> {
    const rows: Row[] = await reading(this.#db, "listing key pairs", async () =>
      this.#db("key_pairs").where({ user_id: userId }).orderBy("name"),
    );
    return rows.map((row) => keyPairsTable.fromRow(row));
  }

  /** False if there is none. */
  async destroy(userId: string, name: string): Promise<boolean> {
    const count = await transact(this.#db, `deleting key pair ${name}`, (trx) =>
      trx("key_pairs").where({ user_id: userId, name }).delete(),
    );
    return count === 1;
  }
}
