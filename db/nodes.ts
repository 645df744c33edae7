// bm_nodes: the machines. Each change of state is one conditional UPDATE, keyed by the open deployment (R1, R2, R6).
import { randomUUID } from "node:crypto";
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import { insertInterface, type NewInterface } from "./interfaces.ts";
import { type PowerReport, selectPage, updateAsSeen } from "./node-power.ts";
import { NODE_TRANSITIONS, type NodeTransitionName } from "./node-states.ts";
import { applyTransition, type TransitionPatch } from "./node-transition.ts";
import type { DeploymentRecord, NodePower, NodeRecord } from "./records.ts";
import type { SecretBox } from "./secret-box.ts";
import { type Dialect, dialectOf, type Row, timeToDb } from "./table-map.ts";
import { deploymentsTable, nodePowerTable, nodesTable } from "./tables.ts";
import { isUniqueViolation, reading, transact, transactIf } from "./transaction.ts";

/** What a caller may say of a machine; nothing else is ever taken from outside (S4). */
export type NodeInventory = Partial<
  Pick<
    NodeRecord,
    | "name"
    | "cpus"
    | "memoryMb"
    | "localGb"
    | "pmAddress"
    | "pmUser"
    | "pmPassword"
    | "terminalPort"
    | "serviceHost"
    | "driver"
    | "driverInfo"
    | "maintenance"
  >
>;

const INVENTORY_FIELDS = [
  "name",
  "cpus",
  "memoryMb",
  "localGb",
  "pmAddress",
  "pmUser",
  "pmPassword",
  "terminalPort",
  "serviceHost",
  "driver",
  "driverInfo",
  "maintenance",
] as const satisfies readonly (keyof NodeInventory)[];

/** A new machine; `uuid` is made up if it is not given. */
export type NewNode = NodeInventory & { readonly uuid?: string };

/** Whom a node is taken for, and the sizes of the disk that is to be. Sizes in MiB. */
export interface Association {
  readonly instanceUuid: string;
  readonly instanceName: string;
  readonly serviceHost: string;
  readonly rootMb: number;
  readonly swapMb: number;
  readonly ephemeralMb: number;
  readonly ephemeralFormat: string | null;
  readonly preserveEphemeral: boolean;
}

/** The machines. */
export class NodeRepository {
  readonly #db: Knex;
  readonly #box: SecretBox;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, secretBox: SecretBox, clock: Clock) {
    this.#db = db;
    this.#box = secretBox;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  /** Nodes that are not deleted, by id. */
  async list(filter: { serviceHost?: string; associated?: boolean } = {}): Promise<NodeRecord[]> {
    const rows = await reading(this.#db, "listing the nodes", async () => {
      const query = this.#db("bm_nodes").where({ deleted: 0 }).orderBy("id");
      if (filter.serviceHost !== undefined) query.where({ service_host: filter.serviceHost });
      if (filter.associated === true) query.whereNotNull("instance_uuid");
      if (filter.associated === false) query.whereNull("instance_uuid");
      return await query;
    });
    return rows.map((row) => this.#record(row));
  }

  async get(id: number): Promise<NodeRecord | undefined> {
    return this.#first({ id });
  }

  async getByUuid(uuid: string): Promise<NodeRecord | undefined> {
    return this.#first({ uuid });
  }

  async getByInstanceUuid(instanceUuid: string): Promise<NodeRecord | undefined> {
    return this.#first({ instance_uuid: instanceUuid });
  }

  /**
   * Enrols a machine with its ports, in one transaction: a duplicate MAC leaves nothing behind (R11).
   * @throws BaremetalError `Conflict` for a taken MAC, uuid or name; `BadInput` for a MAC that is none.
   */
  async create(values: NewNode, interfaces: readonly NewInterface[] = []): Promise<NodeRecord> {
    const row = {
      ...this.#inventoryRow(values),
      uuid: values.uuid ?? randomUUID(),
      provision_state: "available",
      preserve_ephemeral: 0,
      deleted: 0,
      created_at: this.#now(),
    };
    try {
      return await transact(this.#db, "enrolling a node", async (trx) => {
        const [id] = await trx("bm_nodes").insert(row);
        for (const one of interfaces) await insertInterface(trx, this.#clock, Number(id), one);
        return this.#record(await trx("bm_nodes").where({ id }).first());
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new BaremetalError("Conflict", `there already is a node with the uuid ${row.uuid}`, {
        data: { kind: "node", id: row.uuid },
      });
    }
  }

  /** Changes what an operator may say of a machine; false if there is no such node. */
  async update(id: number, values: NodeInventory): Promise<boolean> {
    const row = { ...this.#inventoryRow(values), updated_at: this.#now() };
    return this.#update(id, row, `changing node ${id}`);
  }

  /**
   * Takes a machine off the books, with its ports.
   * @throws BaremetalError `NotFound`; `Conflict` if an instance is on it (R9).
   */
  async destroy(id: number): Promise<void> {
    await transact(this.#db, `deleting node ${id}`, async (trx) => {
      const now = this.#now();
      const count = await trx("bm_nodes")
        .where({ id, deleted: 0 })
        .whereNull("instance_uuid")
        .update({ deleted: 1, deleted_at: now });
      if (count === 1) {
        await trx("bm_interfaces").where({ bm_node_id: id }).delete();
        return;
      }
      const row = await trx("bm_nodes").where({ id, deleted: 0 }).first("instance_uuid");
      if (row === undefined) {
        throw new BaremetalError("NotFound", `Node ${id} could not be found.`, { data: { kind: "node", id } });
      }
      throw new BaremetalError(
        "Conflict",
        `node ${id} is in use by instance ${row.instance_uuid}; delete the instance first`,
        { data: { kind: "node", id, instanceUuid: row.instance_uuid } },
      );
    });
  }

  /**
   * Takes a free node for an instance and opens the deployment: one conditional UPDATE and one row, in one transaction.
   * @throws BaremetalError `NotFound`; `Conflict` "node ... is in use", also if the instance already has another node.
   */
  async associate(nodeUuid: string, values: Association): Promise<DeploymentRecord> {
    try {
      return await transact(this.#db, `taking node ${nodeUuid}`, async (trx) => {
        if ((await this.#take(trx, nodeUuid, values)) !== 1) throw await this.#whyNotTaken(trx, nodeUuid);
        const node = await trx("bm_nodes").where({ uuid: nodeUuid }).first("id", "uuid");
        const id = await this.#openDeployment(trx, node, values);
        await trx("bm_nodes").where({ id: node.id }).update({ deployment_id: id });
        return deploymentsTable.fromRow(await trx("bm_deployments").where({ id }).first());
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new BaremetalError("Conflict", `the instance ${values.instanceUuid} already has a node`, {
        data: { kind: "instance", id: values.instanceUuid },
      });
    }
  }

  /**
   * Writes the named step of {@link NODE_TRANSITIONS} to the node and its deployment, if both are in a state that allows
   * it and the node still belongs to this deployment. False: nothing was written (a late worker, R2).
   */
  async transition(
    deploymentId: number,
    name: Exclude<NodeTransitionName, "associate" | "release">,
    patch: TransitionPatch = {},
  ): Promise<boolean> {
    const done = await transactIf(this.#db, `${name} of deployment ${deploymentId}`, async (trx) => {
      await applyTransition(trx, new Date(this.#clock.now()), deploymentId, name, { patch });
      return true;
    });
    return done ?? false;
  }

  /** Gives the node back after a whole undo: it is free, and nothing of the deployment stays on it. */
  async release(deploymentId: number): Promise<boolean> {
    const done = await transactIf(this.#db, `releasing the node of deployment ${deploymentId}`, async (trx) => {
      await applyTransition(trx, new Date(this.#clock.now()), deploymentId, "release", {
        nodeRow: {
          instance_uuid: null,
          instance_name: null,
          deployment_id: null,
          image_path: null,
          pxe_config_path: null,
          deploy_key: null,
          root_mb: 0,
          swap_mb: 0,
          ephemeral_mb: 0,
          preserve_ephemeral: 0,
          // A fault is the machine's, not the deployment's: it outlives it, with its reason.
          last_error: trx.raw("CASE WHEN fault IS NULL THEN NULL ELSE last_error END"),
        },
        deploymentRow: { deploy_key_hash: null, lease_holder: null, lease_expires_at: null },
      });
      return true;
    });
    return done ?? false;
  }

  /** Writes what the BMC said; false if there is no such node. */
  async setPower(nodeId: number, report: PowerReport): Promise<boolean> {
    const row = { ...nodesTable.toRow(this.#dialect, report), updated_at: this.#now() };
    return this.#update(nodeId, row, `writing the power state of node ${nodeId}`);
  }

  /** A page of the machines of a host, as far as their power goes: those with an id above `afterId`, by id. */
  async listPower(serviceHost: string, afterId: number, limit: number): Promise<NodePower[]> {
    const page = await selectPage(this.#db, nodePowerTable, { service_host: serviceHost }, afterId, limit);
    return page.map((one) => this.#opened(one));
  }

  /** Writes what a look at the machine's power found, if its row still is as it was `seen`. False: nothing was written. */
  notePower(seen: NodePower, report: PowerReport): Promise<boolean> {
    return updateAsSeen(this.#db, seen, report, this.#now());
  }

  /** Writes the reason that people see; null clears it. */
  async setLastError(nodeId: number, lastError: string | null): Promise<boolean> {
    return this.#update(
      nodeId,
      { last_error: lastError, updated_at: this.#now() },
      `noting the error of node ${nodeId}`,
    );
  }

  async #take(trx: Knex.Transaction, nodeUuid: string, values: Association): Promise<number> {
    const rule = NODE_TRANSITIONS.associate;
    return trx("bm_nodes")
      .where({ uuid: nodeUuid, deleted: 0, maintenance: 0, provision_state: rule.provisionFrom[0] })
      .whereNull("instance_uuid")
      .andWhere((either) => either.whereNull("task_state").orWhere("task_state", "deleted"))
      .update({
        instance_uuid: values.instanceUuid,
        instance_name: values.instanceName,
        task_state: rule.taskState,
        provision_state: rule.provisionState,
        target_provision_state: rule.targetProvisionState,
        preserve_ephemeral: values.preserveEphemeral ? 1 : 0,
        last_error: null,
        updated_at: this.#now(),
      });
  }

  async #openDeployment(
    trx: Knex.Transaction,
    node: { id: number; uuid: string },
    values: Association,
  ): Promise<number> {
    const now = new Date(this.#clock.now());
    const [id] = await trx("bm_deployments").insert(
      deploymentsTable.toRow(this.#dialect, {
        nodeId: node.id,
        nodeUuid: node.uuid,
        instanceUuid: values.instanceUuid,
        instanceName: values.instanceName,
        serviceHost: values.serviceHost,
        state: NODE_TRANSITIONS.associate.deploymentState,
        createdAt: now,
        updatedAt: now,
        rootMb: values.rootMb,
        swapMb: values.swapMb,
        ephemeralMb: values.ephemeralMb,
        ephemeralFormat: values.ephemeralFormat,
        preserveEphemeral: values.preserveEphemeral,
        bytesDone: 0,
        bytesTotal: 0,
        cancelRequested: false,
        attempts: 0,
      }),
    );
    return Number(id);
  }

  async #whyNotTaken(trx: Knex.Transaction, nodeUuid: string): Promise<BaremetalError> {
    const row: Row | undefined = await trx("bm_nodes").where({ uuid: nodeUuid, deleted: 0 }).first();
    const data = { kind: "node", id: nodeUuid };
    if (row === undefined) return new BaremetalError("NotFound", `Node ${nodeUuid} could not be found.`, { data });
    if (row.instance_uuid !== null) {
      return new BaremetalError("Conflict", `node ${nodeUuid} is in use`, {
        data: { ...data, instanceUuid: row.instance_uuid },
      });
    }
    const states = { taskState: row.task_state, provisionState: row.provision_state };
    if (Number(row.maintenance) === 1) {
      return new BaremetalError("Conflict", `node ${nodeUuid} is in maintenance`, { data: { ...data, ...states } });
    }
    return new BaremetalError(
      "Conflict",
      `node ${nodeUuid} is not free: its task_state is ${states.taskState}, its provision_state ${states.provisionState}`,
      { data: { ...data, ...states } },
    );
  }

  async #update(id: number, row: Row, what: string): Promise<boolean> {
    const count = await transact(this.#db, what, (trx) => trx("bm_nodes").where({ id, deleted: 0 }).update(row));
    return count === 1;
  }

  async #first(where: Record<string, unknown>): Promise<NodeRecord | undefined> {
    const row = await reading(this.#db, "reading a node", () =>
      this.#db("bm_nodes")
        .where({ ...where, deleted: 0 })
        .first(),
    );
    return row === undefined ? undefined : this.#record(row);
  }

  #inventoryRow(values: NodeInventory): Row {
    const allowed: Record<string, unknown> = {};
    for (const field of INVENTORY_FIELDS) allowed[field] = values[field];
    const password = values.pmPassword;
    if (typeof password === "string") allowed.pmPassword = this.#box.seal(password);
    return nodesTable.toRow(this.#dialect, allowed as Partial<NodeRecord>);
  }

  #record(row: Row): NodeRecord {
    return this.#opened(nodesTable.fromRow(row));
  }

  /**
   * Trap: a row of the original's holds its password as it is; it is sealed when it is next written. One that was sealed
   * with another key is this node's trouble only: thrown here, it would take the whole list with it.
   */
  #opened<R extends Pick<NodeRecord, "pmPassword">>(record: R): R & Pick<NodeRecord, "pmPasswordError"> {
    const kept = record.pmPassword;
    if (kept === null || !this.#box.isSealed(kept)) return record;
    try {
      return { ...record, pmPassword: this.#box.open(kept) };
    } catch (error) {
      return { ...record, pmPassword: null, pmPasswordError: describeError(error) };
    }
  }

  #now(): Date | string {
    return timeToDb(this.#dialect, new Date(this.#clock.now()));
  }
}
