// Version 11 of the bare-metal schema, ours: both state vocabularies, one live node per instance, deployments and events.
import type { Knex } from "knex";
import { BaremetalError } from "../../../lib/errors.ts";
import { dialectOf, type Row, timeToDb } from "../../table-map.ts";
import {
  dropColumn,
  dropIndex,
  ensureColumn,
  ensureIndex,
  ensureTable,
  longText,
  type Migration,
  modifyColumn,
  time,
} from "../schema-steps.ts";

const NODE_COLUMNS: Readonly<Record<string, (table: Knex.AlterTableBuilder) => void>> = {
  name: (table) => table.string("name", 255),
  driver: (table) => table.string("driver", 255),
  driver_info: (table) => longText(table, "driver_info"),
  provision_state: (table) => table.string("provision_state", 32).notNullable().defaultTo("available"),
  target_provision_state: (table) => table.string("target_provision_state", 32),
  power_state: (table) => table.string("power_state", 32),
  target_power_state: (table) => table.string("target_power_state", 32),
  maintenance: (table) => table.boolean("maintenance").notNullable().defaultTo(0),
  fault: (table) => table.string("fault", 255),
  last_error: (table) => longText(table, "last_error"),
  deployment_id: (table) => table.integer("deployment_id"),
};

const NODE_INDEXES = [
  ["bm_nodes_instance_uuid_ux", "instance_uuid", "unique"],
  ["bm_nodes_deployment_id_ux", "deployment_id", "unique"],
] as const;

const TIMED = [
  ["bm_nodes", "created_at"],
  ["bm_nodes", "updated_at"],
  ["bm_nodes", "deleted_at"],
  ["bm_interfaces", "created_at"],
  ["bm_interfaces", "updated_at"],
  ["bm_interfaces", "deleted_at"],
] as const;

export const deployments: Migration = {
  version: 11,
  up: async (trx) => {
    for (const [table, column] of TIMED) await modifyColumn(trx, table, column, "DATETIME(3)");
    await modifyColumn(trx, "bm_nodes", "pm_password", "TEXT");
    for (const [column, build] of Object.entries(NODE_COLUMNS)) await ensureColumn(trx, "bm_nodes", column, build);
    await adoptRows(trx);
    for (const [index, column, kind] of NODE_INDEXES) await ensureIndex(trx, "bm_nodes", index, [column], kind);
    await createDeployments(trx);
    await createEvents(trx);
    await adoptDeployments(trx);
  },
  down: async (trx) => {
    await trx.schema.dropTableIfExists("bm_events");
    await trx.schema.dropTableIfExists("bm_deployments");
    for (const [index] of NODE_INDEXES) await dropIndex(trx, "bm_nodes", index);
    for (const column of Object.keys(NODE_COLUMNS)) await dropColumn(trx, "bm_nodes", column);
    for (const [table, column] of TIMED) await modifyColumn(trx, table, column, "DATETIME");
  },
};

/** Fits the original's rows: states in the second vocabulary, one form of MAC, one node per instance. */
async function adoptRows(trx: Knex.Transaction): Promise<void> {
  await refuseDoubles(trx);
  await trx("bm_nodes").whereNull("deleted").update({ deleted: 0 });
  await trx("bm_interfaces").whereNull("deleted").update({ deleted: 0 });
  // A row that was deleted while in use (R9) must not keep its instance from the unique index.
  await trx("bm_nodes").where({ deleted: 1 }).update({ instance_uuid: null, instance_name: null });
  // Trap: a free node may only be null or `deleted`; Grizzly's leftovers such as `error` would never be taken again.
  await trx("bm_nodes").whereNull("instance_uuid").whereNotNull("task_state").update({ task_state: "deleted" });
  // The original leaves `deploy complete` when nova-compute restarts in its wait: the tenant runs.
  await trx("bm_nodes")
    .whereNotNull("instance_uuid")
    .whereIn("task_state", ["active", "deploy complete"])
    .update({ task_state: "active", provision_state: "active" });
  await setAside(trx);
  await trx("bm_interfaces").update({ address: trx.raw("LOWER(address)") });
}

/**
 * The nodes in use whose instance may be live or half-made: only an operator can tell.
 * Trap: `error` on a node in use makes the reconciler power it off and free it; maintenance keeps it away.
 */
async function setAside(trx: Knex.Transaction): Promise<void> {
  const nodes: Row[] = await trx("bm_nodes")
    .whereNotNull("instance_uuid")
    .andWhere((other) => other.whereNull("task_state").orWhereNot({ task_state: "active" }));
  for (const node of nodes) {
    const state = node.task_state === null ? "NULL" : `"${node.task_state}"`;
    await trx("bm_nodes")
      .where({ id: node.id })
      .update({
        provision_state: "error",
        task_state: "error",
        maintenance: 1,
        last_error: `taken over with task_state ${state}: nobody knows whether instance ${node.instance_uuid} runs on this node, so it is left as it is, in maintenance. If the instance is live, set task_state and provision_state to "active" in bm_nodes and clear maintenance; if it is not, only clear maintenance: the node is then powered off and freed`,
      });
  }
}

/** Each node in use gets a deployment: without one it could never be given back. */
async function adoptDeployments(trx: Knex.Transaction): Promise<void> {
  const nodes: Row[] = await trx("bm_nodes").whereNotNull("instance_uuid").whereNull("deployment_id");
  const now = timeToDb(dialectOf(trx), new Date());
  for (const node of nodes) {
    const [id] = await trx("bm_deployments").insert({
      bm_node_id: node.id,
      node_uuid: node.uuid,
      instance_uuid: node.instance_uuid,
      instance_name: node.instance_name ?? "",
      service_host: node.service_host ?? "",
      state: node.task_state === "active" ? "active" : "failed",
      created_at: now,
      updated_at: now,
      finished_at: now,
      root_mb: node.root_mb ?? 0,
      swap_mb: node.swap_mb ?? 0,
      ephemeral_mb: node.ephemeral_mb ?? 0,
      image_path: node.image_path,
      pxe_config_path: node.pxe_config_path,
    });
    await trx("bm_nodes").where({ id: node.id }).update({ deployment_id: id, deploy_key: null });
  }
}

async function refuseDoubles(trx: Knex.Transaction): Promise<void> {
  const doubles = await trx("bm_nodes")
    .whereNotNull("instance_uuid")
    .andWhere((live) => live.whereNull("deleted").orWhere({ deleted: 0 }))
    .groupBy("instance_uuid")
    .havingRaw("COUNT(*) > 1")
    .pluck("instance_uuid");
  if (doubles.length === 0) return;
  throw new BaremetalError(
    "Conflict",
    `the database has more than one node for these instances: ${doubles.join(", ")}; set instance_uuid to NULL on the nodes that are not theirs, then run db sync again`,
    { data: { instances: doubles } },
  );
}

async function createDeployments(trx: Knex.Transaction): Promise<void> {
  await ensureTable(trx, "bm_deployments", (table) => {
    table.increments("id");
    table.integer("bm_node_id").notNullable();
    table.string("node_uuid", 36).notNullable();
    table.string("instance_uuid", 36).notNullable();
    table.string("instance_name", 255).notNullable();
    table.string("service_host", 255).notNullable();
    table.string("state", 32).notNullable();
    for (const name of ["created_at", "updated_at"]) time(table, name).notNullable();
    time(table, "finished_at");
    table.string("deploy_key_hash", 64);
    table.string("iqn", 255);
    table.string("image_path", 1024);
    table.string("image_format", 16);
    table.string("image_sha256", 64);
    table.string("pxe_config_path", 1024);
    table.string("config_drive_path", 1024);
    for (const name of ["root_mb", "swap_mb", "ephemeral_mb"]) table.integer(name).notNullable();
    table.string("ephemeral_format", 32);
    table.boolean("preserve_ephemeral").notNullable().defaultTo(0);
    table.string("agent_address", 255);
    table.integer("agent_port");
    table.integer("agent_lun");
    table.string("step", 255);
    for (const name of ["bytes_done", "bytes_total"]) table.bigInteger(name).notNullable().defaultTo(0);
    table.string("root_uuid", 64);
    longText(table, "result");
    longText(table, "error");
    table.boolean("cancel_requested").notNullable().defaultTo(0);
    table.string("lease_holder", 255);
    time(table, "lease_expires_at");
    table.integer("attempts").notNullable().defaultTo(0);
  });
  await ensureIndex(trx, "bm_deployments", "bm_deployments_state", ["state", "lease_expires_at"]);
  await ensureIndex(trx, "bm_deployments", "bm_deployments_instance_uuid", ["instance_uuid"]);
  await ensureIndex(trx, "bm_deployments", "bm_deployments_bm_node_id", ["bm_node_id"]);
}

async function createEvents(trx: Knex.Transaction): Promise<void> {
  await ensureTable(trx, "bm_events", (table) => {
    table.bigIncrements("id");
    time(table, "at").notNullable();
    table.integer("deployment_id");
    table.integer("bm_node_id");
    table.string("instance_uuid", 36);
    table.string("source", 64).notNullable();
    table.string("step", 255).notNullable();
    table.string("kind", 16).notNullable();
    longText(table, "message").notNullable();
    longText(table, "data");
  });
  for (const column of ["deployment_id", "bm_node_id", "instance_uuid"]) {
    await ensureIndex(trx, "bm_events", `bm_events_${column}`, [column]);
  }
}
