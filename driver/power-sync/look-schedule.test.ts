import { expect } from "chai";
import { type Look, LookSchedule, phaseOf } from "./look-schedule.ts";

const INTERVAL = 60_000;
const TICK = 50;

interface Rack {
  readonly ids: readonly number[];
  /** How long a look takes, in milliseconds; default 10. */
  readonly lookMs?: (id: number, atMs: number) => number;
  readonly isWell?: (id: number, atMs: number) => boolean;
  readonly maxInFlight?: number;
}

/** Runs a schedule against a rack in a time of its own, and keeps what happened. */
class Simulation {
  readonly schedule: LookSchedule;
  readonly starts: { id: number; at: number; lagMs: number }[] = [];
  readonly rack: Rack;
  now = 1_000_000_007;
  mostInFlight = 0;
  #ends: { look: Look; at: number }[] = [];

  constructor(rack: Rack) {
    this.rack = rack;
    let turn = 0;
    const random = () => (turn++ % 10) / 10;
    const { maxInFlight = 256 } = rack;
    this.schedule = new LookSchedule({ intervalMs: INTERVAL, maxInFlight, maxFailures: 3, random });
    for (const id of rack.ids) this.schedule.add(id, this.now);
  }

  run(durationMs: number): void {
    const { lookMs = () => 10, isWell = () => true } = this.rack;
    for (const end = this.now + durationMs; this.now < end; this.now += TICK) {
      const ended = this.#ends.filter(({ at }) => at <= this.now);
      this.#ends = this.#ends.filter(({ at }) => at > this.now);
      for (const { look } of ended) {
        this.schedule.end(look, this.now, isWell(look.nodeId, this.now) ? "answered" : "failed");
      }
      for (const look of this.schedule.take(this.now)) {
        const { nodeId: id, lagMs } = look;
        if (this.#ends.some((one) => one.look.nodeId === id)) throw new Error(`two looks at node ${id} at once`);
        this.starts.push({ id, at: this.now, lagMs });
        this.#ends.push({ look, at: this.now + lookMs(id, this.now) });
      }
      this.mostInFlight = Math.max(this.mostInFlight, this.#ends.length);
    }
  }

  timesOf(id: number): number[] {
    return this.starts.filter((start) => start.id === id).map(({ at }) => at);
  }

  get mostPerSecond(): number {
    let most = 0;
    for (let from = 0, to = 0; to < this.starts.length; to++) {
      while ((this.starts[to]?.at ?? 0) - (this.starts[from]?.at ?? 0) >= 1000) from += 1;
      most = Math.max(most, to - from + 1);
    }
    return most;
  }

  /** The longest time between two looks at a node, or without a first or another one. */
  longestGap(ids: readonly number[], from: number): number {
    const last = new Map(ids.map((id) => [id, from]));
    let longest = 0;
    for (const { id, at } of this.starts) {
      const before = last.get(id);
      if (before === undefined || at < from) continue;
      longest = Math.max(longest, at - before);
      last.set(id, at);
    }
    for (const at of last.values()) longest = Math.max(longest, this.now - at);
    return longest;
  }
}

const range = (count: number, step = 1) => Array.from({ length: count }, (_, index) => 1 + index * step);

describe("driver/power-sync: when nodes are looked at", () => {
  for (const [what, ids] of [
    ["consecutive ids", range(10_000)],
    ["every third id, as one of three hosts has them", range(10_000, 3)],
    ["every eighth id", range(10_000, 8)],
  ] as const) {
    it(`sees 10,000 nodes once a minute each, spread evenly: ${what}`, () => {
      const simulation = new Simulation({ ids });
      simulation.run(3 * INTERVAL);
      expect(simulation.starts.length).to.be.within(29_900, 30_000);
      expect(simulation.mostPerSecond, "the mean is 166.7").to.be.at.most(190);
      expect(simulation.longestGap(ids, simulation.now - 2 * INTERVAL)).to.be.at.most(INTERVAL + 2 * TICK);
      expect(Math.max(...simulation.starts.map(({ lagMs }) => lagMs))).to.be.at.most(2 * TICK);
      expect(simulation.schedule.missed).to.equal(0);
    });
  }

  it("gives a node the same phase after a restart", () => {
    const first = new Simulation({ ids: [7] });
    first.run(2 * INTERVAL);
    const second = new Simulation({ ids: range(50) });
    second.now += 12_345;
    second.run(3 * INTERVAL);
    const phases = [...first.timesOf(7), ...second.timesOf(7)].map((at) => at % INTERVAL);
    for (const phase of phases) expect(phase - phaseOf(7) * INTERVAL).to.be.within(0, TICK);
  });

  it("has no more looks under way than it may, and starves nobody when all BMCs are slow", () => {
    const ids = range(1000);
    // 1000 looks of 10 s by 100 at a time: a round takes 100 s, not 60.
    const simulation = new Simulation({ ids, lookMs: () => 10_000, maxInFlight: 100 });
    simulation.run(10 * INTERVAL);
    expect(simulation.mostInFlight).to.equal(100);
    expect(simulation.starts.length, "all places are used").to.be.at.least(5600);
    expect(simulation.longestGap(ids, simulation.now - 5 * INTERVAL)).to.be.at.most(2 * INTERVAL);
    expect(simulation.schedule.missed).to.be.greaterThan(1000);
    expect(Math.max(...simulation.starts.map(({ lagMs }) => lagMs)), "lag does not grow").to.be.below(2 * INTERVAL);
  });

  it("looks at a dead node less and less often, with jitter, and at its usual times from the first answer on", () => {
    let isDead = true;
    const simulation = new Simulation({ ids: [1], lookMs: () => 1000, isWell: () => !isDead });
    simulation.run(30 * INTERVAL);
    const times = simulation.timesOf(1);
    const gaps = times.slice(1).map((at, index) => (at - (times[index] ?? 0)) / INTERVAL);
    expect(gaps.slice(0, 2).map(Math.round), "until it counts as dead").to.deep.equal([1, 1]);
    expect(gaps[2]).to.be.within(1.5, 2.1);
    expect(gaps[3]).to.be.within(3, 4.1);
    for (const gap of gaps.slice(4)) expect(gap).to.be.within(3.75, 5.1);
    expect(new Set(gaps.slice(4).map((gap) => gap.toFixed(2))).size, "jitter").to.be.greaterThan(1);
    expect(simulation.schedule.failing).to.equal(1);
    isDead = false;
    simulation.run(10 * INTERVAL);
    const after = simulation.timesOf(1).slice(times.length + 1);
    expect(after.length).to.be.at.least(4);
    for (const at of after) expect((at % INTERVAL) - phaseOf(1) * INTERVAL).to.be.within(0, TICK);
    expect(simulation.schedule.failing).to.equal(0);
  });

  it("lets thousands of dead nodes not delay the others", () => {
    const ids = range(10_000);
    const dead = (id: number) => id <= 5000;
    const simulation = new Simulation({
      ids,
      isWell: (id) => !dead(id),
      lookMs: (id) => (dead(id) ? 10_000 : 20),
    });
    // Until they are known for dead they take their places as the others do.
    simulation.run(15 * INTERVAL);
    const from = simulation.now - 6 * INTERVAL;
    const late = simulation.starts.filter(({ id, at }) => at >= from && !dead(id)).map(({ lagMs }) => lagMs);
    expect(Math.max(...late)).to.be.at.most(2000);
    expect(
      simulation.longestGap(
        ids.filter((id) => !dead(id)),
        from,
      ),
    ).to.be.at.most(INTERVAL + 2000);
    expect(
      simulation.longestGap(ids.filter(dead), simulation.now - 9 * INTERVAL),
      "nor are they forgotten",
    ).to.be.below(9 * INTERVAL);
    expect(simulation.mostInFlight).to.be.at.most(256);
  });

  it("makes up for a pause of the process, or a clock put forward, at twice the pace: no stampede", () => {
    const ids = range(6000);
    const simulation = new Simulation({ ids });
    simulation.run(2 * INTERVAL);
    const before = simulation.starts.length;
    simulation.now += 3_600_000;
    simulation.run(2 * INTERVAL);
    expect(simulation.starts.length - before).to.be.at.least(11_000);
    expect(simulation.mostPerSecond, "the mean is 100").to.be.at.most(260);
    simulation.run(INTERVAL);
    expect(simulation.longestGap(ids, simulation.now - INTERVAL)).to.be.at.most(INTERVAL + 2 * TICK);
  });

  it("goes on at once when the clock is set back", () => {
    const simulation = new Simulation({ ids: range(600) });
    simulation.run(INTERVAL);
    simulation.now -= 3_600_000;
    const before = simulation.starts.length;
    simulation.run(2 * INTERVAL);
    expect(simulation.starts.length - before).to.be.within(1150, 1210);
  });

  it("forgets a removed node, also in the middle of a look, and never looks twice at once if it comes back", () => {
    const simulation = new Simulation({ ids: [1, 2], lookMs: () => 2.5 * INTERVAL });
    simulation.run(INTERVAL);
    expect(simulation.schedule.inFlight).to.equal(2);
    simulation.schedule.remove(1);
    simulation.schedule.add(1, simulation.now);
    simulation.schedule.remove(2);
    expect(simulation.schedule.size).to.equal(1);
    const before = simulation.timesOf(2).length;
    simulation.run(12 * INTERVAL);
    expect(simulation.timesOf(2).length).to.equal(before);
    expect(simulation.timesOf(1).length).to.be.at.least(4);
    expect(simulation.schedule.inFlight).to.be.at.most(1);
  });

  it("looks at a dead node in its interval again when its BMC's settings were mended", () => {
    const simulation = new Simulation({ ids: [1], isWell: () => false });
    simulation.run(20 * INTERVAL);
    const before = simulation.starts.length;
    simulation.schedule.renew(1, simulation.now);
    simulation.run(INTERVAL + TICK);
    expect(simulation.starts.length - before).to.equal(1);
    expect(simulation.schedule.failing).to.equal(0);
  });

  it("looks again soon when it is asked to, and counts a look that says nothing as none", () => {
    const schedule = new LookSchedule({ intervalMs: INTERVAL, maxInFlight: 8, maxFailures: 1 });
    let now = 5 * INTERVAL;
    schedule.add(3, now);
    schedule.take(now);
    const next = () => {
      now += schedule.waitMs(now) ?? 0;
      const [look] = schedule.take(now);
      if (look === undefined) throw new Error("nothing is due");
      return look;
    };
    const first = next();
    schedule.end(first, now, "answered", 7000);
    expect(schedule.waitMs(now)).to.equal(7000);
    schedule.end(next(), now, "void");
    expect(schedule.failing).to.equal(0);
    expect(schedule.waitMs(now)).to.be.within(1, INTERVAL);
    schedule.end(next(), now, "failed");
    expect(schedule.failing).to.equal(1);
    expect(schedule.waitMs(now)).to.be.within(1.5 * INTERVAL, 2 * INTERVAL);
  });

  it("has nothing to wait for without nodes", () => {
    const schedule = new LookSchedule({ intervalMs: INTERVAL, maxInFlight: 8, maxFailures: 3 });
    expect(schedule.waitMs(0)).to.equal(undefined);
    expect(schedule.take(0)).to.deep.equal([]);
  });
});
