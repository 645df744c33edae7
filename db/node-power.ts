// What the power sync reads and writes of bm_nodes: narrow pages, and a write only if the row is as it was read.
import type { Knex } from "knex";
import type { NodePower, PowerState } from "./records.ts";
import { dialectOf, type Row } from "./table-map.ts";
import { nodePowerTable, nodesTable } from "./tables.ts";
import { reading, transact } from "./transaction.ts";

/** What is known of a machine's power. */
export interface PowerReport {
  readonly powerState?: PowerState | null;
  readonly targetPowerState?: PowerState | null;
  readonly fault?: string | null;
  readonly lastError?: string | null;
}

/** The rows of a page of a host's machines: those with an id above `afterId`, by id. */
export async function selectPower(db: Knex, serviceHost: string, afterId: number, limit: number): Promise<Row[]> {
  return reading(db, "listing the nodes' power", async () =>
    db("bm_nodes")
      .where({ service_host: serviceHost, deleted: 0 })
      .where("id", ">", afterId)
      .orderBy("id")
      .limit(limit)
      .select(...nodePowerTable.columns),
  );
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
  const count = await transact(db, `noting the power of node ${id}`, (trx) => {
    const query = trx("bm_nodes").where({ id, deleted: 0 });
    // Trap: SQL's = never matches NULL.
    for (const [column, value] of Object.entries(nodesTable.toRow(dialect, expected))) {
      if (value === null) query.whereNull(column);
      else query.where(column, value as string | number);
    }
    return query.update(row);
  });
  return count === 1;
}
