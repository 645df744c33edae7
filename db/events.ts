// bm_events: the timeline of the deployments and the audit log (R22). Rows are only ever added.
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import type { EventRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row } from "./table-map.ts";
import { eventsTable } from "./tables.ts";
import { reading, transact } from "./transaction.ts";

/** A line of the timeline; the time is now unless it is given. `data` must hold no secret. */
export type NewEvent = Pick<EventRecord, "source" | "step" | "kind" | "message"> & Partial<Omit<EventRecord, "id">>;

export interface EventFilter {
  readonly deploymentId?: number;
  readonly nodeId?: number;
  readonly instanceUuid?: string;
  /** Only events after this id: for readers that follow. */
  readonly afterId?: number;
  /** Most events to give, the newest; default 1000. */
  readonly limit?: number;
}

/** The timeline. */
export class EventRepository {
  readonly #db: Knex;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  async append(event: NewEvent): Promise<EventRecord> {
    const record = {
      at: event.at ?? new Date(this.#clock.now()),
      deploymentId: event.deploymentId ?? null,
      nodeId: event.nodeId ?? null,
      instanceUuid: event.instanceUuid ?? null,
      source: event.source,
      step: event.step,
      kind: event.kind,
      message: event.message,
      data: event.data ?? {},
    };
    const row = eventsTable.toRow(this.#dialect, record);
    const [id] = await transact(this.#db, "writing an event", (trx) => trx("bm_events").insert(row));
    return { id: Number(id), ...record };
  }

  /** In the order they were written. With `afterId` the oldest `limit` after it, else the newest `limit`. */
  async list(filter: EventFilter = {}): Promise<EventRecord[]> {
    const isFollowing = filter.afterId !== undefined;
    const rows: Row[] = await reading(this.#db, "listing events", async () => {
      const query = this.#db("bm_events")
        .orderBy("id", isFollowing ? "asc" : "desc")
        .limit(filter.limit ?? 1000);
      if (filter.deploymentId !== undefined) query.where({ deployment_id: filter.deploymentId });
      if (filter.nodeId !== undefined) query.where({ bm_node_id: filter.nodeId });
      if (filter.instanceUuid !== undefined) query.where({ instance_uuid: filter.instanceUuid });
      if (filter.afterId !== undefined) query.where("id", ">", filter.afterId);
      return await query;
    });
    return (isFollowing ? rows : rows.reverse()).map((row) => eventsTable.fromRow(row));
  }
}
