// bm_deployments: job, progress and history of each attempt. Claimed by UPDATE, held by a lease, never lost (R3).
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import { FINAL_DEPLOYMENT_STATES, UNFINISHED_DEPLOYMENT_STATES } from "./node-states.ts";
import { applyTransition, type TransitionWrites } from "./node-transition.ts";
import type { DeploymentRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row, timeToDb } from "./table-map.ts";
import { deploymentsTable } from "./tables.ts";
import { reading, transact, transactIf } from "./transaction.ts";

/** What the driver has laid out before power. Sizes in MiB, if they differ from what the node was taken for. */
export interface Preparation {
  /** SHA-256 of the deploy key, lower-case hex. */
  readonly deployKeyHash: string;
  readonly iqn: string;
  readonly imagePath: string;
  readonly imageFormat: "raw" | "qcow2";
  readonly imageSha256: string | null;
  readonly pxeConfigPath: string;
  readonly configDrivePath: string | null;
  readonly rootMb?: number;
  readonly swapMb?: number;
  readonly ephemeralMb?: number;
  readonly ephemeralFormat?: string | null;
}

/** Where the ramdisk that called exports its disk. */
export interface AgentCall {
  readonly keyHash: string;
  readonly agentAddress: string;
  readonly agentPort: number;
  readonly agentLun: number;
}

export interface Progress {
  readonly step?: string | null;
  readonly bytesDone?: number;
  readonly bytesTotal?: number;
}

/** The deployments. */
export class DeploymentRepository {
  readonly #db: Knex;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  async get(id: number): Promise<DeploymentRecord | undefined> {
    return (await this.#select((query) => query.where({ id })))[0];
  }

  /** The open deployment of a node. */
  async current(nodeId: number): Promise<DeploymentRecord | undefined> {
    const open = this.#db("bm_nodes").where({ id: nodeId, deleted: 0 }).select("deployment_id");
    return (await this.#select((query) => query.whereIn("id", open)))[0];
  }

  /** All attempts for an instance, newest first. */
  async listByInstance(instanceUuid: string): Promise<DeploymentRecord[]> {
    return this.#select((query) => query.where({ instance_uuid: instanceUuid }).clearOrder().orderBy("id", "desc"));
  }

  /** Deployments of this host's that have work left, oldest first. */
  async listUnfinished(serviceHost: string): Promise<DeploymentRecord[]> {
    return this.#select((query) =>
      query.where({ service_host: serviceHost }).whereIn("state", [...UNFINISHED_DEPLOYMENT_STATES]),
    );
  }

  /**
   * All files lie ready: writes what the helper needs, to node and deployment, with state `prepared`. Before power on (R1).
   * False: the deployment is not `building` any more.
   */
  async prepare(id: number, values: Preparation): Promise<boolean> {
    const { deployKeyHash, imagePath, pxeConfigPath } = values;
    return this.#step(id, "prepare", async (trx) => {
      const before = await trx("bm_deployments").where({ id }).first("root_mb", "swap_mb", "ephemeral_mb");
      return {
        nodeRow: {
          image_path: imagePath,
          pxe_config_path: pxeConfigPath,
          deploy_key: deployKeyHash,
          root_mb: values.rootMb ?? before?.root_mb,
          swap_mb: values.swapMb ?? before?.swap_mb,
          ephemeral_mb: values.ephemeralMb ?? before?.ephemeral_mb,
        },
        deploymentRow: deploymentsTable.toRow(this.#dialect, values),
      };
    });
  }

  /**
   * Takes the ramdisk's one call: the key must match and is spent (S1). Undefined: wrong state or key; nothing was written.
   */
  async acceptCall(nodeId: number, call: AgentCall): Promise<DeploymentRecord | undefined> {
    return transactIf(this.#db, `taking the call of node ${nodeId}`, async (trx) => {
      const node = await trx("bm_nodes").where({ id: nodeId, deleted: 0 }).first("deployment_id");
      const id = Number(node?.deployment_id ?? 0);
      await applyTransition(trx, this.#date(), id, "queue", {
        nodeWhere: (query) => query.where({ id: nodeId, deploy_key: call.keyHash }),
        deploymentWhere: (query) => query.where({ deploy_key_hash: call.keyHash }),
        nodeRow: { deploy_key: null },
        deploymentRow: {
          deploy_key_hash: null,
          agent_address: call.agentAddress,
          agent_port: call.agentPort,
          agent_lun: call.agentLun,
        },
      });
      return this.#read(trx, id);
    });
  }

  /**
   * Takes the oldest job that is queued, or whose holder's lease has run out. Undefined: there is none now.
   * Any number of helpers may call at once: the conditional UPDATE lets one win, and the losers look for the next job.
   */
  async claim(holder: string, leaseMs: number): Promise<DeploymentRecord | undefined> {
    for (;;) {
      const now = this.#clock.now();
      const [candidate] = await this.#select((query) => query.where(this.#claimable(now)).limit(1));
      if (candidate === undefined) return undefined;
      const won = await transactIf(this.#db, `claiming deployment ${candidate.id}`, async (trx) => {
        await applyTransition(trx, new Date(now), candidate.id, "startDeploy", {
          deploymentWhere: (query) => query.where(this.#claimable(now)),
          deploymentRow: {
            lease_holder: holder,
            lease_expires_at: this.#at(now + leaseMs),
            attempts: trx.raw("attempts + 1"),
          },
        });
        return this.#read(trx, candidate.id);
      });
      if (won !== undefined) return won;
      // A candidate whose node is gone can never be claimed: without this it would be looked at for ever.
      await this.#dropIfOrphaned(candidate);
    }
  }

  /**
   * Keeps the lease and notes progress. Undefined: the lease is lost, to another helper or to the node's release: stop writing.
   * A lease that ran out but was taken by nobody is renewed.
   */
  async renew(
    id: number,
    holder: string,
    leaseMs: number,
    progress: Progress = {},
  ): Promise<{ cancelRequested: boolean } | undefined> {
    const now = this.#clock.now();
    return transact(this.#db, `renewing the lease of deployment ${id}`, async (trx) => {
      const count = await trx("bm_deployments")
        .where({ id, state: "deploying", lease_holder: holder })
        .update({
          ...deploymentsTable.toRow(this.#dialect, progress),
          lease_expires_at: this.#at(now + leaseMs),
          updated_at: this.#at(now),
        });
      if (count !== 1) return undefined;
      return { cancelRequested: (await this.#read(trx, id)).cancelRequested };
    });
  }

  /**
   * Disk and PXE configuration are ready and only the node's word is missing: kept with the outcome, as `result.written`, so
   * that whoever claims the job next does not write again. False: the lease was lost, or the node was taken back.
   */
  async markWritten(
    id: number,
    holder: string,
    outcome: { rootUuid: string; result: Readonly<Record<string, unknown>> },
  ): Promise<boolean> {
    const values = { rootUuid: outcome.rootUuid, result: { ...outcome.result, written: true } };
    const count = await transact(this.#db, `marking deployment ${id} as written`, (trx) =>
      trx("bm_deployments")
        .where({ id, state: "deploying", lease_holder: holder })
        .update({ ...deploymentsTable.toRow(this.#dialect, values), updated_at: this.#at(this.#clock.now()) }),
    );
    return count === 1;
  }

  /** The image is on the disk: `deploy complete`. False: the lease was lost, or the node was taken back. */
  async complete(
    id: number,
    holder: string,
    outcome: { rootUuid: string | null; result: Readonly<Record<string, unknown>> },
  ): Promise<boolean> {
    return this.#step(id, "completeDeploy", async () => ({
      patch: outcome,
      deploymentWhere: (query) => query.where({ lease_holder: holder }),
      deploymentRow: { lease_holder: null, lease_expires_at: null },
    }));
  }

  /**
   * Ends the deployment as failed, with its cause. `holder` must hold the lease; null: whoever may say so without one. `code` is the product's error code, kept as `result.errorCode`: the driver
   * decides by it whether another node would fare better. False: it had already ended, or was lost.
   */
  async fail(id: number, holder: string | null, error: string, code?: string): Promise<boolean> {
    return this.#step(id, "failDeploy", async () => ({
      patch: { error, ...(code === undefined ? {} : { result: { errorCode: code } }) },
      deploymentWhere: (query) => {
        if (holder !== null) query.where({ lease_holder: holder });
      },
      nodeRow: { deploy_key: null },
      deploymentRow: { deploy_key_hash: null, lease_holder: null, lease_expires_at: null },
    }));
  }

  /**
   * Takes the ramdisk's one call that brings only its error: the deployment fails, and the key is spent as in `acceptCall`.
   * False: wrong state or key; nothing was written, whatever another call with the same key has begun.
   */
  async failCall(nodeId: number, keyHash: string, error: string): Promise<boolean> {
    const done = await transactIf(this.#db, `taking the error of node ${nodeId}`, async (trx) => {
      const node = await trx("bm_nodes").where({ id: nodeId, deleted: 0 }).first("deployment_id");
      await applyTransition(trx, this.#date(), Number(node?.deployment_id ?? 0), "failDeploy", {
        patch: { error },
        nodeWhere: (query) => query.where({ id: nodeId, deploy_key: keyHash }),
        deploymentWhere: (query) => query.where({ deploy_key_hash: keyHash, state: "prepared" }),
        nodeRow: { deploy_key: null },
        deploymentRow: { deploy_key_hash: null },
      });
      return true;
    });
    return done ?? false;
  }

  /**
   * The holder has stopped working on a deployment that was ended by somebody else. The driver's undo waits for this.
   * One that is still to be done keeps its lease: that is handed over by time alone.
   */
  async letGo(id: number, holder: string): Promise<void> {
    await transact(this.#db, `letting go of deployment ${id}`, (trx) =>
      trx("bm_deployments")
        .where({ id, lease_holder: holder })
        .whereIn("state", [...FINAL_DEPLOYMENT_STATES])
        .update({ lease_holder: null, lease_expires_at: null }),
    );
  }

  /** Asks whoever works on it to stop; it hears so at its next renewal. False: it has ended. */
  async requestCancel(id: number): Promise<boolean> {
    const count = await transact(this.#db, `cancelling deployment ${id}`, (trx) =>
      trx("bm_deployments")
        .where({ id })
        .whereIn("state", [...UNFINISHED_DEPLOYMENT_STATES])
        .update({ cancel_requested: 1, updated_at: this.#at(this.#clock.now()) }),
    );
    return count === 1;
  }

  async #step(
    id: number,
    name: "prepare" | "completeDeploy" | "failDeploy",
    writes: (trx: Knex.Transaction) => Promise<TransitionWrites>,
  ): Promise<boolean> {
    const done = await transactIf(this.#db, `${name} of deployment ${id}`, async (trx) => {
      await applyTransition(trx, this.#date(), id, name, await writes(trx));
      return true;
    });
    return done ?? false;
  }

  #claimable(now: number): (query: Knex.QueryBuilder) => void {
    return (query) => {
      query
        .where({ state: "queued" })
        .orWhere((lost) => lost.where({ state: "deploying" }).where("lease_expires_at", "<", this.#at(now)));
    };
  }

  async #dropIfOrphaned(candidate: DeploymentRecord): Promise<void> {
    const now = this.#at(this.#clock.now());
    await transact(this.#db, `dropping the orphaned deployment ${candidate.id}`, (trx) =>
      trx("bm_deployments")
        .where({ id: candidate.id })
        .whereIn("state", ["queued", "deploying"])
        .whereNotExists(
          trx("bm_nodes")
            .select("id")
            .where({ deployment_id: candidate.id, deleted: 0 })
            .whereIn("task_state", ["prepared", "deploying"])
            .where({ provision_state: "deploying" }),
        )
        .update({ state: "cancelled", finished_at: now, updated_at: now, lease_holder: null, lease_expires_at: null }),
    );
  }

  async #read(trx: Knex.Transaction, id: number): Promise<DeploymentRecord> {
    return deploymentsTable.fromRow(await trx("bm_deployments").where({ id }).first());
  }

  async #select(narrow: (query: Knex.QueryBuilder) => unknown): Promise<DeploymentRecord[]> {
    const rows: Row[] = await reading(this.#db, "reading deployments", async () => {
      const query = this.#db("bm_deployments").orderBy("id");
      narrow(query);
      return await query;
    });
    return rows.map((row) => deploymentsTable.fromRow(row));
  }

  #date(): Date {
    return new Date(this.#clock.now());
  }

  #at(ms: number): Date | string {
    return timeToDb(this.#dialect, new Date(ms));
  }
}
