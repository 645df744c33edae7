// nova.compute_nodes: what the scheduler sees, one row per enrolled node and host (nova-baremetal 11).
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import type { ComputeNodeRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row, timeToDb } from "./table-map.ts";
import { computeNodesTable } from "./tables.ts";
import { isUniqueViolation, reading, transact } from "./transaction.ts";

/** The view of one node, as its host reports it. */
export type ComputeNodeView = Omit<ComputeNodeRecord, "id" | "createdAt" | "updatedAt">;

/** The nodes as the scheduler sees them. */
export class ComputeNodeRepository {
  readonly #db: Knex;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  /** Writes the view of the node (host, hypervisorHostname); its row is made at the first time. */
  async upsert(view: ComputeNodeView): Promise<ComputeNodeRecord> {
    const { host, hypervisorHostname } = view;
    const where = { host, hypervisor_hostname: hypervisorHostname, deleted: 0 };
    const now = new Date(this.#clock.now());
    const changed = computeNodesTable.toRow(this.#dialect, { ...view, updatedAt: now });
    for (;;) {
      try {
        return await transact(this.#db, `reporting node ${hypervisorHostname}`, async (trx) => {
          if ((await trx("compute_nodes").where(where).update(changed)) === 0) {
            const created = computeNodesTable.toRow(this.#dialect, { createdAt: now });
            await trx("compute_nodes").insert({ ...changed, ...created, deleted: 0 });
          }
          return computeNodesTable.fromRow(await trx("compute_nodes").where(where).first());
        });
      } catch (error) {
        // Another process made the row between our update and our insert: the next round updates it.
        if (!isUniqueViolation(error)) throw error;
      }
    }
  }

  /** By id. */
  async list(filter: { host?: string } = {}): Promise<ComputeNodeRecord[]> {
    return this.#select(filter.host === undefined ? {} : { host: filter.host });
  }

  async get(id: number): Promise<ComputeNodeRecord | undefined> {
    return (await this.#select({ id }))[0];
  }

  async getByHypervisorHostname(hypervisorHostname: string): Promise<ComputeNodeRecord | undefined> {
    return (await this.#select({ hypervisor_hostname: hypervisorHostname }))[0];
  }

  /** Removes the rows of `host` whose node is not in `keep`: such a node was deleted (fix 10). Gives how many went. */
  async removeMissing(host: string, keep: readonly string[]): Promise<number> {
    const now = timeToDb(this.#dialect, new Date(this.#clock.now()));
    return transact(this.#db, `removing the gone nodes of ${host}`, (trx) =>
      trx("compute_nodes")
        .where({ host, deleted: 0 })
        .whereNotIn("hypervisor_hostname", [...keep])
        .update({ deleted: trx.ref("id"), deleted_at: now }),
    );
  }

  async #select(where: Record<string, unknown>): Promise<ComputeNodeRecord[]> {
    const rows: Row[] = await reading(this.#db, "listing compute nodes", async () =>
      this.#db("compute_nodes")
        .where({ ...where, deleted: 0 })
        .orderBy("id"),
    );
    return rows.map((row) => computeNodesTable.fromRow(row));
  }
}
