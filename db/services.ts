// nova.services: which daemons are alive, by their heartbeat.
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import type { ServiceRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row } from "./table-map.ts";
import { servicesTable } from "./tables.ts";
import { isUniqueViolation, reading, transact } from "./transaction.ts";

/** The daemons. */
export class ServiceRepository {
  readonly #db: Knex;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  /** Says that `binary` on `host` is alive now; its row is made at the first time. */
  async heartbeat(host: string, binary: string): Promise<void> {
    const now = new Date(this.#clock.now());
    const beat = servicesTable.toRow(this.#dialect, { lastSeenUp: now });
    const what = `the heartbeat of ${binary} on ${host}`;
    const known = await transact(this.#db, what, (trx) =>
      trx("services")
        .where({ host, binary })
        .update({ ...beat, report_count: trx.raw("report_count + 1") }),
    );
    if (known > 0) return;
    const row = servicesTable.toRow(this.#dialect, { host, binary, disabled: false, createdAt: now, lastSeenUp: now });
    try {
      await transact(this.#db, what, (trx) => trx("services").insert({ ...row, report_count: 1 }));
    } catch (error) {
      // Two processes of one host began at once: the other's row will do.
      if (!isUniqueViolation(error)) throw error;
    }
  }

  /** By host, then binary. */
  async list(filter: { host?: string; binary?: string } = {}): Promise<ServiceRecord[]> {
    const rows: Row[] = await reading(this.#db, "listing services", async () => {
      const query = this.#db("services").orderBy(["host", "binary"]);
      if (filter.host !== undefined) query.where({ host: filter.host });
      if (filter.binary !== undefined) query.where({ binary: filter.binary });
      return await query;
    });
    return rows.map((row) => servicesTable.fromRow(row));
  }

  /** Takes a daemon out of scheduling, or puts it back; false if there is none. */
  async setDisabled(id: number, disabled: boolean): Promise<boolean> {
    const row = servicesTable.toRow(this.#dialect, { disabled });
    return (
      (await transact(this.#db, `disabling service ${id}`, (trx) => trx("services").where({ id }).update(row))) === 1
    );
  }

  /** Forgets a daemon; false if there is none. */
  async destroy(id: number): Promise<boolean> {
    return (await transact(this.#db, `deleting service ${id}`, (trx) => trx("services").where({ id }).delete())) === 1;
  }
}
