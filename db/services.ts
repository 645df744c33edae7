// nova.services: which daemons are alive, by their heartbeat.
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import type { ServiceRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row, timeFromDb, timeToDb } from "./table-map.ts";
import { servicesTable } from "./tables.ts";
import { isUniqueViolation, reading, transact } from "./transaction.ts";

/** Which process is a service, and until when no other may be. */
export interface ServiceLease {
  readonly holder: string;
  readonly expiresAt: Date;
}

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

  /**
   * Makes `holder` the one process that is `binary` on `host` for `ttlMs`, again and again if it is so already.
   * Gives undefined then, else the lease of the process that is.
   */
  async takeLease(host: string, binary: string, holder: string, ttlMs: number): Promise<ServiceLease | undefined> {
    await this.#ensureRow(host, binary);
    return transact(this.#db, `taking the lease of ${binary} on ${host}`, async (trx) => {
      const now = this.#clock.now();
      const count = await trx("services")
        .where({ host, binary })
        .andWhere((free) =>
          free
            .whereNull("lease_holder")
            .orWhere({ lease_holder: holder })
            .orWhere("lease_expires_at", "<=", timeToDb(this.#dialect, new Date(now))),
        )
        .update({ lease_holder: holder, lease_expires_at: timeToDb(this.#dialect, new Date(now + ttlMs)) });
      if (count > 0) return undefined;
      const row = await trx("services").where({ host, binary }).first("lease_holder", "lease_expires_at");
      return { holder: row?.lease_holder ?? "", expiresAt: timeFromDb(row?.lease_expires_at) ?? new Date(now) };
    });
  }

  /** Gives the lease up, if it is still `holder`'s. */
  async dropLease(host: string, binary: string, holder: string): Promise<void> {
    await transact(this.#db, `giving up the lease of ${binary} on ${host}`, (trx) =>
      trx("services")
        .where({ host, binary, lease_holder: holder })
        .update({ lease_holder: null, lease_expires_at: null }),
    );
  }

  /** Trap: a new row has never been seen up; the scheduler must not take it for alive. */
  async #ensureRow(host: string, binary: string): Promise<void> {
    if ((await this.list({ host, binary })).length > 0) return;
    const createdAt = new Date(this.#clock.now());
    const row = servicesTable.toRow(this.#dialect, {
      host,
      binary,
      disabled: false,
      createdAt,
      lastSeenUp: new Date(0),
    });
    try {
      await transact(this.#db, `noting ${binary} on ${host}`, (trx) => trx("services").insert(row));
    } catch (error) {
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
