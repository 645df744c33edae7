// The embedded image store's catalogue, with Glance's column names. The bytes are files: see compute/image-store.ts.
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { ImageRecord } from "./records.ts";
import { type Dialect, dialectOf, type Row, timeToDb } from "./table-map.ts";
import { imagesTable } from "./tables.ts";
import { isUniqueViolation, reading, transact } from "./transaction.ts";

/** A new image; what is not given is null, false, 0 or empty, its status `queued`, its visibility `shared`. */
export type NewImage = Pick<ImageRecord, "id"> & Partial<Omit<ImageRecord, "id" | "createdAt" | "updatedAt">>;

/** What may change. */
export type ImagePatch = Partial<Omit<ImageRecord, "id" | "createdAt" | "updatedAt">>;

export interface ImageFilter {
  readonly name?: string;
  readonly status?: ImageRecord["status"];
  readonly visibility?: ImageRecord["visibility"];
  readonly owner?: string;
  /** Public images and those of this owner. */
  readonly visibleTo?: string;
}

/** The images. A deleted one's row stays, so that nobody can take its id over; it is not shown. */
export class ImageRepository {
  readonly #db: Knex;
  readonly #clock: Clock;
  readonly #dialect: Dialect;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#dialect = dialectOf(db);
  }

  /** @throws BaremetalError `Conflict` if the id is taken, or was by an image that is deleted. */
  async create(values: NewImage): Promise<ImageRecord> {
    const now = new Date(this.#clock.now());
    const row = imagesTable.toRow(this.#dialect, {
      status: "queued",
      visibility: "shared",
      protected: false,
      hidden: false,
      ...values,
      createdAt: now,
      updatedAt: now,
    });
    try {
      return await transact(this.#db, `creating image ${values.id}`, async (trx) => {
        await trx("images").insert(row);
        return imagesTable.fromRow(await trx("images").where({ id: values.id }).first());
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new BaremetalError("Conflict", `there already is an image ${values.id}`, {
        data: { kind: "image", id: values.id },
      });
    }
  }

  async get(id: string): Promise<ImageRecord | undefined> {
    const row = await reading(this.#db, `reading image ${id}`, () =>
      this.#db("images").where({ id }).whereNot({ status: "deleted" }).first(),
    );
    return row === undefined ? undefined : imagesTable.fromRow(row);
  }

  /** Newest first, then by id, as Glance lists. */
  async list(filter: ImageFilter = {}): Promise<ImageRecord[]> {
    const rows: Row[] = await reading(this.#db, "listing images", async () => {
      const query = this.#db("images")
        .whereNot({ status: "deleted" })
        .orderBy([{ column: "created_at", order: "desc" }, "id"]);
      if (filter.name !== undefined) query.where({ name: filter.name });
      if (filter.status !== undefined) query.where({ status: filter.status });
      if (filter.visibility !== undefined) query.where({ visibility: filter.visibility });
      if (filter.owner !== undefined) query.where({ owner: filter.owner });
      const { visibleTo } = filter;
      if (visibleTo !== undefined) {
        query.where((either) => either.whereIn("visibility", ["public", "community"]).orWhere({ owner: visibleTo }));
      }
      return await query;
    });
    return rows.map((row) => imagesTable.fromRow(row));
  }

  /** Writes `patch`, if the image is there and, when given, in the expected status. False: nothing was written. */
  async update(
    id: string,
    patch: ImagePatch,
    expected: { expectedStatus?: ImageRecord["status"] } = {},
  ): Promise<boolean> {
    const row = imagesTable.toRow(this.#dialect, { ...patch, updatedAt: new Date(this.#clock.now()) });
    const count = await transact(this.#db, `updating image ${id}`, (trx) => {
      const query = trx("images").where({ id }).whereNot({ status: "deleted" });
      if (expected.expectedStatus !== undefined) query.where({ status: expected.expectedStatus });
      return query.update(row);
    });
    return count === 1;
  }

  /** Deletes it, but for its id; false if there is none. Whether it may go (protected) is the caller's policy. */
  async destroy(id: string): Promise<boolean> {
    const deletedAt = timeToDb(this.#dialect, new Date(this.#clock.now()));
    const row = { status: "deleted", properties: "{}", tags: "[]", deleted_at: deletedAt };
    const count = await transact(this.#db, `deleting image ${id}`, (trx) =>
      trx("images").where({ id }).whereNot({ status: "deleted" }).update(row),
    );
    return count === 1;
  }
}
