// What the power sync reads and writes: narrow pages, and a write to bm_nodes only if the row is as it was read.
import type { Knex } from "knex";
import type { NodePower, PowerState } from "./records.ts";
import { dialectOf, type Row, type TableMap } from "./table-map.ts";
import { nodesTable } from "./tables.ts";
import { reading, transact } from "./transaction.ts";

/** What is known of a machine's power. */
export interface PowerReport {
  readonly powerState?: PowerState | null;
  readonly targetPowerState?: PowerState | null;
  readonly fault?: string | null;
  readonly lastError?: string | null;
}

/** A page of the records of a host: those with an id above `afterId`, by id. */
export async function selectPage<R extends object>(
  db: Knex,
  map: TableMap<R>,
  host: Row,
  afterId: number,
  limit: number,
): Promise<R[]> {
  const rows: Row[] = await reading(db, `listing the power of ${map.table}`, async () =>
    db(map.table)
      .where({ ...host, deleted: 0 })
      .where("id", ">", afterId)
      .orderBy("id")
      .limit(limit)
      .select(...map.columns),
  );
  return rows.map((row) => map.fromRow(row));
}

/** Writes `report` to the node if its row is as it was `seen`. */
export async function updateAsSeen(
  db: Knex,
  seen: NodePower,
  report: PowerReport,
  updatedAt: Date | string,
): Promise<boolean> {
  const { id, instanceUuid, taskState, powerState, targetPowerState, fault, deploymentId } = seen;
  const dialect = dialectOf(db);
  const expected = { instanceUuid, taskState, powerState, targetPowerState, fault, deploymentId };
  const row = { ...nodesTable.toRow(dialect, report), updated_at: updatedAt };
  const count = await transact(db, `noting the power of node ${id}`, (trx) =>
    trx("bm_nodes")
      // Trap: SQL's = never matches NULL; knex makes IS NULL of a null here.
      .where({ id, deleted: 0, ...nodesTable.toRow(dialect, expected) })
      .update(row),
  );
  return count === 1;
}
