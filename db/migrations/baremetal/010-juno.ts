// Version 10 of the bare-metal schema: the original's last tables, as Juno had them (nova-baremetal 2.1).
import type { Knex } from "knex";
import { ensureIndex, ensureTable, type Migration } from "../schema-steps.ts";

function addCommonColumns(table: Knex.CreateTableBuilder): void {
  table.datetime("created_at");
  table.datetime("updated_at");
  table.datetime("deleted_at");
  table.boolean("deleted");
}

export const juno: Migration = {
  version: 10,
  up: async (trx) => {
    await ensureTable(trx, "bm_nodes", (table) => {
      addCommonColumns(table);
      table.specificType("id", idType(trx)).notNullable();
      for (const name of ["cpus", "memory_mb", "local_gb"]) table.integer(name);
      for (const name of ["pm_address", "pm_user", "pm_password", "service_host"]) table.string(name, 255);
      table.string("instance_uuid", 36);
      table.string("task_state", 255);
      table.integer("terminal_port");
      for (const name of ["image_path", "pxe_config_path", "deploy_key"]) table.string(name, 255);
      table.integer("root_mb");
      table.integer("swap_mb");
      table.string("uuid", 36);
      table.string("instance_name", 255);
      table.integer("ephemeral_mb");
      table.boolean("preserve_ephemeral").defaultTo(0);
    });
    await ensureIndex(trx, "bm_nodes", "uuid_ux", ["uuid"], "unique");
    await ensureIndex(trx, "bm_nodes", "deploy_key_idx", ["deploy_key"]);
    await ensureIndex(trx, "bm_nodes", "idx_bm_nodes_service_host_deleted", ["service_host", "deleted"]);
    await ensureIndex(trx, "bm_nodes", "idx_bm_nodes_instance_uuid_deleted", ["instance_uuid", "deleted"]);
    const sizes = ["service_host", "memory_mb", "cpus", "local_gb", "deleted"];
    await ensureIndex(trx, "bm_nodes", "idx_bm_nodes_hmcld", sizes);

    await ensureTable(trx, "bm_interfaces", (table) => {
      addCommonColumns(table);
      table.specificType("id", idType(trx)).notNullable();
      table.integer("bm_node_id");
      table.string("address", 255);
      table.string("datapath_id", 255);
      table.integer("port_no");
      table.string("vif_uuid", 36);
    });
    await ensureIndex(trx, "bm_interfaces", "bm_interfaces_address_ux", ["address"], "unique");
    await ensureIndex(trx, "bm_interfaces", "bm_interfaces_vif_uuid_ux", ["vif_uuid"], "unique");
    await ensureIndex(trx, "bm_interfaces", "idx_bm_interfaces_bm_node_id_deleted", ["bm_node_id", "deleted"]);
  },
  down: async (trx) => {
    await trx.schema.dropTableIfExists("bm_interfaces");
    await trx.schema.dropTableIfExists("bm_nodes");
  },
};

/** Signed, as SQLAlchemy made it; knex's own would be unsigned. */
function idType(trx: Knex.Transaction): string {
  return trx.client.dialect === "mysql" ? "INT AUTO_INCREMENT PRIMARY KEY" : "INTEGER PRIMARY KEY AUTOINCREMENT";
}
