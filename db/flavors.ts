// nova.flavors: the sizes that can be rented. Memory in MiB, root and ephemeral in GiB, swap in MiB.
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { FlavorRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row, timeToDb } from "./table-map.ts";
import { flavorsTable } from "./tables.ts";
import { isUniqueViolation, reading, transact } from "./transaction.ts";

/** A new flavor; extras are empty, it is public and enabled unless said otherwise. */
export type NewFlavor = Pick<FlavorRecord, "id" | "name" | "ram" | "vcpus" | "disk"> & Partial<FlavorRecord>;

/** The flavors. `id` is Nova's flavorid: text of the operator's. */
export class FlavorRepository {
  readonly #db: Knex;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  /** @throws BaremetalError `Conflict` if the id or the name is taken. */
  async create(values: NewFlavor): Promise<FlavorRecord> {
    const flavor: FlavorRecord = {
      ephemeral: 0,
      swap: 0,
      extraSpecs: {},
      rxtxFactor: 1,
      isPublic: true,
      disabled: false,
      description: null,
      ...values,
    };
    const row = { ...flavorsTable.toRow(this.#dialect, flavor), created_at: this.#now() };
    try {
      await transact(this.#db, `creating flavor ${flavor.name}`, (trx) => trx("flavors").insert(row));
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new BaremetalError(
        "Conflict",
        `there already is a flavor with the id ${flavor.id} or the name ${flavor.name}`,
        {
          data: { kind: "flavor", id: flavor.id },
        },
      );
    }
    return flavor;
  }

  async get(id: string): Promise<FlavorRecord | undefined> {
    return this.#first({ flavorid: id });
  }

  async getByName(name: string): Promise<FlavorRecord | undefined> {
    return this.#first({ name });
  }

  /** By memory, then id, as Nova lists. */
  async list(filter: { isPublic?: boolean } = {}): Promise<FlavorRecord[]> {
    const rows: Row[] = await reading(this.#db, "listing flavors", async () => {
      const query = this.#db("flavors").orderBy(["memory_mb", "id"]);
      if (filter.isPublic !== undefined) query.where({ is_public: filter.isPublic ? 1 : 0 });
      return await query;
    });
    return rows.map((row) => flavorsTable.fromRow(row));
  }

  /** False if there is none. */
  async destroy(id: string): Promise<boolean> {
    const count = await transact(this.#db, `deleting flavor ${id}`, (trx) =>
      trx("flavors").where({ flavorid: id }).delete(),
    );
    return count === 1;
  }

  /** Adds or replaces extra specs; undefined if there is no such flavor. */
  async setExtraSpecs(id: string, specs: Readonly<Record<string, string>>): Promise<FlavorRecord | undefined> {
    return this.#changeSpecs(id, (before) => ({ ...before, ...specs }));
  }

  /** Takes one extra spec away; undefined if the flavor or the key is not there. */
  async deleteExtraSpec(id: string, key: string): Promise<FlavorRecord | undefined> {
    return this.#changeSpecs(id, (before) => {
      if (!Object.hasOwn(before, key)) return undefined;
      return Object.fromEntries(Object.entries(before).filter(([name]) => name !== key));
    });
  }

  async #changeSpecs(
    id: string,
    change: (before: Readonly<Record<string, string>>) => Record<string, string> | undefined,
  ): Promise<FlavorRecord | undefined> {
    return transact(this.#db, `changing the extra specs of flavor ${id}`, async (trx) => {
      const row = await trx("flavors").where({ flavorid: id }).forUpdate().first();
      if (row === undefined) return undefined;
      const before = flavorsTable.fromRow(row);
      const extraSpecs = change(before.extraSpecs);
      if (extraSpecs === undefined) return undefined;
      const changed = { ...flavorsTable.toRow(this.#dialect, { extraSpecs }), updated_at: this.#now() };
      await trx("flavors").where({ flavorid: id }).update(changed);
      return { ...before, extraSpecs };
    });
  }

  async #first(where: Record<string, string>): Promise<FlavorRecord | undefined> {
    const row = await reading(this.#db, "reading a flavor", () => this.#db("flavors").where(where).first());
    return row === undefined ? undefined : flavorsTable.fromRow(row);
  }

  #now(): Date | string {
    return timeToDb(this.#dialect, new Date(this.#clock.now()));
  }
}
