// nova.instances: what users rented. Updates are conditional on the states the caller saw; rows are deleted softly.
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import { selectPage } from "./node-power.ts";
import type { InstancePowerState, InstanceRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row, timeToDb } from "./table-map.ts";
import { instancePowerTable, instancesTable } from "./tables.ts";
import { isUniqueViolation, reading, transact } from "./transaction.ts";

type Required =
  | "uuid"
  | "displayName"
  | "hostname"
  | "projectId"
  | "userId"
  | "imageRef"
  | "flavor"
  | "memoryMb"
  | "vcpus"
  | "rootGb"
  | "ephemeralGb"
  | "vmState";
type Kept = "id" | "createdAt" | "updatedAt" | "deleted";

/** A new instance; what is not given is null, 0, false or empty. */
export type NewInstance = Pick<InstanceRecord, Required> & Partial<Omit<InstanceRecord, Required | Kept>>;

/** What may change. */
export type InstancePatch = Partial<Omit<InstanceRecord, Kept | "uuid">>;

/** States the row must be in for an update: one value, or any of a list. */
export interface ExpectedStates {
  readonly expectedVmState?: string | readonly string[];
  readonly expectedTaskState?: string | null | readonly (string | null)[];
  /** When it was last written, as it was read. */
  readonly expectedUpdatedAt?: Date;
}

export interface InstanceFilter {
  readonly projectId?: string;
  readonly userId?: string;
  /** Exact display name. */
  readonly name?: string;
  readonly host?: string;
  readonly node?: string;
  readonly vmState?: string | readonly string[];
  readonly includeDeleted?: boolean;
}

/** The instances. */
export class InstanceRepository {
  readonly #db: Knex;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  /** @throws BaremetalError `Conflict` if the uuid is taken. */
  async create(values: NewInstance): Promise<InstanceRecord> {
    const now = new Date(this.#clock.now());
    const row = {
      ...instancesTable.toRow(this.#dialect, {
        configDrive: false,
        stoppedByUser: false,
        ...values,
        createdAt: now,
        updatedAt: now,
      }),
      deleted: 0,
    };
    try {
      return await transact(this.#db, `creating instance ${values.uuid}`, async (trx) => {
        const [id] = await trx("instances").insert(row);
        return instancesTable.fromRow(await trx("instances").where({ id }).first());
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new BaremetalError("Conflict", `there already is an instance ${values.uuid}`, {
        data: { kind: "instance", id: values.uuid },
      });
    }
  }

  /** Undefined for a deleted one, unless it is asked for. */
  async get(uuid: string, options: { includeDeleted?: boolean } = {}): Promise<InstanceRecord | undefined> {
    const row = await reading(this.#db, `reading instance ${uuid}`, () => {
      const query = this.#db("instances").where({ uuid });
      if (options.includeDeleted !== true) query.where({ deleted: 0 });
      return query.first();
    });
    return row === undefined ? undefined : instancesTable.fromRow(row);
  }

  /** Newest first, as Nova lists. */
  async list(filter: InstanceFilter = {}): Promise<InstanceRecord[]> {
    const rows: Row[] = await reading(this.#db, "listing instances", async () => {
      const query = this.#db("instances").orderBy("id", "desc");
      if (filter.includeDeleted !== true) query.where({ deleted: 0 });
      if (filter.projectId !== undefined) query.where({ project_id: filter.projectId });
      if (filter.userId !== undefined) query.where({ user_id: filter.userId });
      if (filter.name !== undefined) query.where({ display_name: filter.name });
      if (filter.host !== undefined) query.where({ host: filter.host });
      if (filter.node !== undefined) query.where({ node: filter.node });
      if (filter.vmState !== undefined) query.whereIn("vm_state", [filter.vmState].flat() as string[]);
      return await query;
    });
    return rows.map((row) => instancesTable.fromRow(row));
  }

  /** A page of the instances of a host, as far as their power goes: those with an id above `afterId`, by id. */
  async listPowerStates(host: string, afterId: number, limit: number): Promise<InstancePowerState[]> {
    return selectPage(this.#db, instancePowerTable, { host }, afterId, limit);
  }

  /** Writes `patch` if the row is there and in the expected states. False: nothing was written. */
  async update(uuid: string, patch: InstancePatch, expected: ExpectedStates = {}): Promise<boolean> {
    const row = instancesTable.toRow(this.#dialect, { ...patch, updatedAt: new Date(this.#clock.now()) });
    return this.#write(uuid, row, expected);
  }

  /** Marks it deleted: vm_state `deleted`, no task; `terminated_at` is now. False: not there, or not as expected. */
  async destroy(uuid: string, expected: ExpectedStates = {}): Promise<boolean> {
    const now = new Date(this.#clock.now());
    const row = {
      ...instancesTable.toRow(this.#dialect, {
        vmState: "deleted",
        taskState: null,
        terminatedAt: now,
        updatedAt: now,
      }),
      // Nova's way: a deleted row carries its own id, so that unique indexes may hold `deleted`.
      deleted: this.#db.ref("id"),
      deleted_at: instancesTable.toRow(this.#dialect, { updatedAt: now }).updated_at,
    };
    return this.#write(uuid, row, expected);
  }

  async #write(uuid: string, row: Row, expected: ExpectedStates): Promise<boolean> {
    const count = await transact(this.#db, `updating instance ${uuid}`, (trx) => {
      const query = trx("instances").where({ uuid, deleted: 0 });
      if (expected.expectedVmState !== undefined) query.where(anyOf("vm_state", expected.expectedVmState));
      if (expected.expectedTaskState !== undefined) query.where(anyOf("task_state", expected.expectedTaskState));
      if (expected.expectedUpdatedAt !== undefined) {
        query.where("updated_at", timeToDb(this.#dialect, expected.expectedUpdatedAt));
      }
      return query.update(row);
    });
    return count === 1;
  }
}

/** `column` is one of `values`. Trap: SQL's IN never matches NULL. */
function anyOf(column: string, values: string | null | readonly (string | null)[]): (query: Knex.QueryBuilder) => void {
  const list = Array.isArray(values) ? (values as readonly (string | null)[]) : [values as string | null];
  return (query) => {
    query.whereIn(
      column,
      list.filter((value) => value !== null),
    );
    if (list.includes(null)) query.orWhereNull(column);
  };
}
