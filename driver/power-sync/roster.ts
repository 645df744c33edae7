// The nodes that are looked at, with their instances: read by pages now and then, so that a look itself reads no row.
import { setImmediate } from "node:timers/promises";
import type { InstancePowerState, NodePower } from "../../db/records.ts";
import { POWER_FAULT } from "../context.ts";
import { hasSameBmc } from "../power/power-control.ts";
import type { LookSchedule } from "./look-schedule.ts";

/** Where the rows come from, in the order of their ids. */
export interface RosterSource {
  listNodes(afterId: number, limit: number): Promise<NodePower[]>;
  listInstances(afterId: number, limit: number): Promise<InstancePowerState[]>;
  /** Told after each reading: no other node is this host's. */
  onListed(nodeIds: ReadonlySet<number>): void;
}

/** What is known of one node between its looks. */
export interface Watch {
  node: NodePower;
  instance: InstancePowerState | undefined;
  /** The node and its instance disagree since this look; undefined: not at the last one. */
  amiss: { readonly isOn: boolean; readonly sinceMs: number } | undefined;
  /** How often this disagreement was acted on, and when it may be again. */
  acts: { readonly count: number; readonly notBeforeMs: number };
}

export const NO_ACTS: Watch["acts"] = { count: 0, notBeforeMs: 0 };
/** Rows of one query: small, for SQLite and the opening of passwords stop the process for the time of a page. */
const PAGE = 250;

/** Keeps a {@link LookSchedule} to the nodes that there are. */
export class Roster {
  readonly #source: RosterSource;
  readonly #schedule: LookSchedule;
  readonly #isFaultsOnly: boolean;
  readonly #watches = new Map<number, Watch>();

  /** `isFaultsOnly`: only nodes with a power fault are looked at, and no instance. */
  constructor(source: RosterSource, schedule: LookSchedule, isFaultsOnly = false) {
    this.#source = source;
    this.#schedule = schedule;
    this.#isFaultsOnly = isFaultsOnly;
  }

  get(nodeId: number): Watch | undefined {
    return this.#watches.get(nodeId);
  }

  /** Reads all pages, then takes in what is new, forgets what is gone. If a page cannot be read, all stays as it was. */
  async refresh(now: () => number): Promise<void> {
    const all = await readPages((after) => this.#source.listNodes(after, PAGE));
    const rows = this.#isFaultsOnly ? [] : await readPages((after) => this.#source.listInstances(after, PAGE));
    const nodes = this.#isFaultsOnly ? all.filter(({ fault }) => fault === POWER_FAULT) : all;
    const instances = new Map(rows.map((row) => [row.uuid, row]));
    const nowMs = now();
    const gone = new Set(this.#watches.keys());
    for (const node of nodes) {
      gone.delete(node.id);
      this.#take(node, node.instanceUuid === null ? undefined : instances.get(node.instanceUuid), nowMs);
    }
    for (const id of gone) {
      this.#watches.delete(id);
      this.#schedule.remove(id);
    }
    this.#source.onListed(new Set(all.map(({ id }) => id)));
  }

  #take(node: NodePower, instance: InstancePowerState | undefined, nowMs: number): void {
    const known = this.#watches.get(node.id);
    if (known === undefined) {
      this.#watches.set(node.id, { node, instance, amiss: undefined, acts: NO_ACTS });
      this.#schedule.add(node.id, nowMs, node.fault === POWER_FAULT);
      return;
    }
    if (!hasSameBmc(known.node, node)) this.#schedule.renew(node.id, nowMs);
    known.node = node;
    known.instance = instance;
  }
}

async function readPages<T extends { readonly id: number }>(read: (afterId: number) => Promise<T[]>): Promise<T[]> {
  const all: T[] = [];
  for (let after = 0; ; ) {
    const page = await read(after);
    for (const row of page) all.push(row);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return all;
    after = last.id;
    // Trap: SQLite answers at once; without this pause all pages would be read, and all else stand still, in one go.
    await setImmediate();
  }
}
