// Version 1 of the compute side's schema: Nova's and Glance's column names, as far as bare metal needs them.
import type { Knex } from "knex";
import { ensureIndex, ensureTable, longText, type Migration, time } from "../schema-steps.ts";

const TABLES = ["instances", "compute_nodes", "services", "flavors", "key_pairs", "images"] as const;

export const compute: Migration = {
  version: 1,
  up: async (trx) => {
    await createInstances(trx);
    await createComputeNodes(trx);
    await createServices(trx);
    await createFlavors(trx);
    await createKeyPairs(trx);
    await createImages(trx);
  },
  down: async (trx) => {
    for (const table of TABLES) await trx.schema.dropTableIfExists(table);
  },
};

function addTimes(table: Knex.CreateTableBuilder): void {
  for (const name of ["created_at", "updated_at", "deleted_at"]) time(table, name);
}

async function createInstances(trx: Knex.Transaction): Promise<void> {
  await ensureTable(trx, "instances", (table) => {
    addTimes(table);
    table.increments("id");
    table.string("uuid", 36).notNullable();
    for (const name of ["display_name", "hostname", "project_id", "user_id", "image_ref"]) {
      table.string(name, 255).notNullable();
    }
    for (const name of ["kernel_id", "ramdisk_id", "host", "node", "launched_on"]) table.string(name, 255);
    for (const name of ["task_state", "key_name", "availability_zone"]) table.string(name, 255);
    table.string("vm_state", 255).notNullable();
    for (const name of ["memory_mb", "vcpus", "root_gb", "ephemeral_gb"]) table.integer(name).notNullable();
    for (const name of ["power_state", "progress"]) table.integer(name).notNullable().defaultTo(0);
    for (const name of ["flavor", "key_data", "user_data", "metadata", "personality", "fault"]) longText(table, name);
    table.boolean("config_drive").notNullable().defaultTo(0);
    for (const name of ["scheduled_at", "launched_at", "terminated_at"]) time(table, name);
    table.integer("deleted").notNullable().defaultTo(0);
  });
  await ensureIndex(trx, "instances", "instances_uuid_ux", ["uuid"], "unique");
  await ensureIndex(trx, "instances", "instances_project_id_deleted", ["project_id", "deleted"]);
  await ensureIndex(trx, "instances", "instances_host_deleted", ["host", "deleted"]);
}

async function createComputeNodes(trx: Knex.Transaction): Promise<void> {
  await ensureTable(trx, "compute_nodes", (table) => {
    addTimes(table);
    table.increments("id");
    for (const name of ["host", "hypervisor_hostname", "hypervisor_type"]) table.string(name, 255).notNullable();
    table.integer("hypervisor_version").notNullable();
    for (const name of ["vcpus", "vcpus_used", "memory_mb", "memory_mb_used"]) table.integer(name).notNullable();
    for (const name of ["local_gb", "local_gb_used", "free_ram_mb", "free_disk_gb"]) table.integer(name).notNullable();
    table.integer("running_vms").notNullable();
    for (const name of ["cpu_info", "stats", "supported_instances"]) longText(table, name);
    table.integer("deleted").notNullable().defaultTo(0);
  });
  const key = ["host", "hypervisor_hostname", "deleted"];
  await ensureIndex(trx, "compute_nodes", "compute_nodes_host_hypervisor_hostname_ux", key, "unique");
}

async function createServices(trx: Knex.Transaction): Promise<void> {
  await ensureTable(trx, "services", (table) => {
    addTimes(table);
    table.increments("id");
    for (const name of ["host", "binary"]) table.string(name, 255).notNullable();
    table.integer("report_count").notNullable().defaultTo(0);
    table.boolean("disabled").notNullable().defaultTo(0);
    time(table, "last_seen_up");
    // Which process is this service now, and until when nobody else may be.
    table.string("lease_holder", 255);
    time(table, "lease_expires_at");
  });
  await ensureIndex(trx, "services", "services_host_binary_ux", ["host", "binary"], "unique");
}

async function createFlavors(trx: Knex.Transaction): Promise<void> {
  await ensureTable(trx, "flavors", (table) => {
    addTimes(table);
    table.increments("id");
    for (const name of ["flavorid", "name"]) table.string(name, 255).notNullable();
    for (const name of ["memory_mb", "vcpus", "root_gb"]) table.integer(name).notNullable();
    for (const name of ["ephemeral_gb", "swap"]) table.integer(name).notNullable().defaultTo(0);
    table.double("rxtx_factor").notNullable().defaultTo(1);
    table.boolean("is_public").notNullable().defaultTo(1);
    table.boolean("disabled").notNullable().defaultTo(0);
    for (const name of ["extra_specs", "description"]) longText(table, name);
  });
  await ensureIndex(trx, "flavors", "flavors_flavorid_ux", ["flavorid"], "unique");
  await ensureIndex(trx, "flavors", "flavors_name_ux", ["name"], "unique");
}

async function createKeyPairs(trx: Knex.Transaction): Promise<void> {
  await ensureTable(trx, "key_pairs", (table) => {
    addTimes(table);
    table.increments("id");
    for (const name of ["user_id", "name"]) table.string(name, 255).notNullable();
    table.string("type", 16).notNullable();
    table.string("fingerprint", 255).notNullable();
    longText(table, "public_key").notNullable();
  });
  await ensureIndex(trx, "key_pairs", "key_pairs_user_id_name_ux", ["user_id", "name"], "unique");
}

async function createImages(trx: Knex.Transaction): Promise<void> {
  await ensureTable(trx, "images", (table) => {
    addTimes(table);
    table.string("id", 36).primary();
    for (const name of ["name", "owner"]) table.string(name, 255);
    for (const name of ["status", "visibility"]) table.string(name, 32).notNullable();
    for (const name of ["protected", "os_hidden"]) table.boolean(name).notNullable().defaultTo(0);
    for (const name of ["container_format", "disk_format"]) table.string(name, 32);
    for (const name of ["min_disk", "min_ram"]) table.integer(name).notNullable().defaultTo(0);
    for (const name of ["size", "virtual_size"]) table.bigInteger(name);
    table.string("checksum", 32);
    table.string("os_hash_algo", 64);
    table.string("os_hash_value", 128);
    table.string("sha256", 64);
    for (const name of ["tags", "properties"]) longText(table, name);
  });
}
