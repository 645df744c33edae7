// bm_interfaces: the network ports of the nodes. A MAC belongs to one node only, and is kept in one form (R14).
import type { Knex } from "knex";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { InterfaceRecord } from "./records.ts";
import { dialectOf, timeToDb } from "./table-map.ts";
import { interfacesTable } from "./tables.ts";
import { isUniqueViolation, reading, transact } from "./transaction.ts";

/** What a caller says of a port. */
export interface NewInterface {
  /** Six octets in hex, any case, colons or dashes. */
  readonly address: string;
  readonly datapathId?: string | null;
  readonly portNo?: number | null;
}

/**
 * The one form we keep a MAC in: lower case, colons.
 * @throws BaremetalError `BadInput`
 */
export function normaliseMac(address: string): string {
  const mac = address.trim().toLowerCase().replaceAll("-", ":");
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) {
    throw new BaremetalError("BadInput", `${JSON.stringify(address)} is no MAC address: write xx:xx:xx:xx:xx:xx`, {
      data: { field: "address" },
    });
  }
  return mac;
}

/** Inserts one port inside a transaction of the caller's. @throws BaremetalError `Conflict` if the MAC is taken. */
export async function insertInterface(
  trx: Knex.Transaction,
  clock: Clock,
  nodeId: number,
  values: NewInterface,
): Promise<number> {
  const address = normaliseMac(values.address);
  try {
    const [id] = await trx("bm_interfaces").insert({
      bm_node_id: nodeId,
      address,
      datapath_id: values.datapathId ?? null,
      port_no: values.portNo ?? null,
      created_at: timeToDb(dialectOf(trx), new Date(clock.now())),
      deleted: 0,
    });
    return Number(id);
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new BaremetalError(
      "Conflict",
      `the MAC address ${address} already belongs to a node; remove it there first`,
      {
        data: { kind: "interface", address },
      },
    );
  }
}

/** The ports of the nodes. */
export class InterfaceRepository {
  readonly #db: Knex;
  readonly #clock: Clock;

  constructor(db: Knex, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** By id; empty for a node without ports or for no node. */
  async listByNode(nodeId: number): Promise<InterfaceRecord[]> {
    return this.#select({ bm_node_id: nodeId }, `listing the interfaces of node ${nodeId}`);
  }

  async listAll(): Promise<InterfaceRecord[]> {
    return this.#select({}, "listing the interfaces");
  }

  /** The port with this MAC, in any case. */
  async getByAddress(address: string): Promise<InterfaceRecord | undefined> {
    return (await this.#select({ address: normaliseMac(address) }, "looking up a MAC address"))[0];
  }

  /** @throws BaremetalError `NotFound` if there is no such node, `Conflict` if the MAC is taken, `BadInput` if it is none. */
  async create(nodeId: number, values: NewInterface): Promise<InterfaceRecord> {
    const address = normaliseMac(values.address);
    return transact(this.#db, `adding the interface ${address} to node ${nodeId}`, async (trx) => {
      const node = await trx("bm_nodes").where({ id: nodeId, deleted: 0 }).first("id");
      if (node === undefined) {
        throw new BaremetalError("NotFound", `Node ${nodeId} could not be found.`, {
          data: { kind: "node", id: nodeId },
        });
      }
      const id = await insertInterface(trx, this.#clock, nodeId, values);
      return interfacesTable.fromRow(await trx("bm_interfaces").where({ id }).first());
    });
  }

  /**
   * Removes the node's port that matches all that is given; false if none does.
   * @throws BaremetalError `Conflict` if an instance is on the node: enrolled elsewhere, its MAC would boot this machine
   * into another's deployment.
   */
  async destroyBy(nodeId: number, by: { id?: number | undefined; address?: string | undefined }): Promise<boolean> {
    if (by.id === undefined && by.address === undefined) {
      throw new BaremetalError("BadInput", "Must specify id or address", { data: { field: "address" } });
    }
    const where: Record<string, unknown> = { bm_node_id: nodeId };
    if (by.id !== undefined) where.id = by.id;
    if (by.address !== undefined) where.address = normaliseMac(by.address);
    return transact(this.#db, `removing an interface of node ${nodeId}`, async (trx) => {
      // Trap: a lock, not a look: the node must not be taken between this and the delete.
      const node = await trx("bm_nodes").where({ id: nodeId }).forUpdate().first("instance_uuid");
      const instanceUuid = node?.instance_uuid ?? null;
      if (instanceUuid !== null) {
        throw new BaremetalError(
          "Conflict",
          `node ${nodeId} is in use by instance ${instanceUuid}; delete the instance before you remove an interface`,
          { data: { kind: "node", id: nodeId, instanceUuid } },
        );
      }
      return (await trx("bm_interfaces").where(where).delete()) > 0;
    });
  }

  /** Ties a port to a virtual interface, or frees it with null. @throws BaremetalError `NotFound`, `Conflict` */
  async setVif(id: number, vifUuid: string | null): Promise<void> {
    const now = timeToDb(dialectOf(this.#db), new Date(this.#clock.now()));
    try {
      const count = await transact(this.#db, `plugging interface ${id}`, (trx) =>
        trx("bm_interfaces").where({ id }).update({ vif_uuid: vifUuid, updated_at: now }),
      );
      if (count === 0) {
        throw new BaremetalError("NotFound", `there is no interface ${id}`, { data: { kind: "interface", id } });
      }
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new BaremetalError("Conflict", `the virtual interface ${vifUuid} is already plugged elsewhere`, {
        data: { kind: "vif", id: vifUuid },
      });
    }
  }

  /** Frees all ports of a node. */
  async clearVifs(nodeId: number): Promise<void> {
    const now = timeToDb(dialectOf(this.#db), new Date(this.#clock.now()));
    await transact(this.#db, `unplugging node ${nodeId}`, (trx) =>
      trx("bm_interfaces")
        .where({ bm_node_id: nodeId })
        .whereNotNull("vif_uuid")
        .update({ vif_uuid: null, updated_at: now }),
    );
  }

  async #select(where: Record<string, unknown>, what: string): Promise<InterfaceRecord[]> {
    const rows = await reading(this.#db, what, async () => await this.#db("bm_interfaces").where(where).orderBy("id"));
    return rows.map((row) => interfacesTable.fromRow(row));
  }
}
