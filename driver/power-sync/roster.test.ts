import { expect } from "chai";
import { nodeRow } from "../../test/fakes/power-rack.ts";
import { LookSchedule } from "./look-schedule.ts";
import { Roster } from "./roster.ts";

describe("driver/power-sync: which nodes there are", () => {
  const schedule = () => new LookSchedule({ intervalMs: 60_000, maxInFlight: 8, maxFailures: 3 });
  const rows = Array.from({ length: 2600 }, (_, index) => nodeRow(index + 1, { instanceUuid: `i${index + 1}` }));
  const page = <T extends { readonly id: number }>(all: readonly T[], after: number, limit: number) =>
    all.filter(({ id }) => id > after).slice(0, limit);
  const instances = rows.map(({ id }) => ({ id, uuid: `i${id}`, vmState: "active", taskState: null, powerState: 1 }));

  it("reads all pages, ties instances to nodes, and lets others run between two pages", async () => {
    let turns = 0;
    const turn = () => {
      turns += 1;
      timer = setImmediate(turn);
    };
    let timer = setImmediate(turn);
    const listed: number[] = [];
    const looks = schedule();
    const roster = new Roster(
      {
        listNodes: async (after, limit) => page(rows, after, limit),
        listInstances: async (after, limit) => page(instances, after, limit),
        onListed: (ids) => void listed.push(ids.size),
      },
      looks,
    );
    await roster.refresh(() => 0);
    clearImmediate(timer);
    expect(looks.size).to.equal(2600);
    expect(roster.get(2600)?.instance?.uuid).to.equal("i2600");
    expect(turns).to.be.at.least(20);
    expect(listed).to.deep.equal([2600]);
  });

  it("stays as it was if a page cannot be read", async () => {
    let isAway = false;
    const listed: number[] = [];
    const looks = schedule();
    const roster = new Roster(
      {
        listNodes: async (after, limit) => {
          if (isAway && after > 1000) throw new Error("away");
          return page(isAway ? rows.slice(500) : rows, after, limit);
        },
        listInstances: async () => [],
        onListed: (ids) => void listed.push(ids.size),
      },
      looks,
    );
    await roster.refresh(() => 0);
    isAway = true;
    const error = await roster.refresh(() => 0).catch((reason: Error) => reason);
    expect(error).to.be.instanceOf(Error).with.property("message", "away");
    expect(looks.size).to.equal(2600);
    expect(listed).to.deep.equal([2600]);
  });
});
