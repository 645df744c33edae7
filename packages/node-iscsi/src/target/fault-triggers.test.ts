// When faults strike: counting, scopes, chance by seed, and byte cuts.
import { expect } from "chai";
import { FaultTriggers } from "./fault-triggers.ts";
import type { ByteCut, CommandTrigger, FaultTrigger } from "./faults.ts";

const A = {};
const B = {};

/** Which of `count` occasions strike, as a string of 0 and 1. */
function pattern(triggers: FaultTriggers, trigger: FaultTrigger, count: number, connection: object = A): string {
  return Array.from({ length: count }, () => (triggers.strikes(trigger, connection) ? "1" : "0")).join("");
}

describe("fault triggers", () => {
  it("leave `after` occasions alone and strike `times`", () => {
    const triggers = new FaultTriggers();
    expect(pattern(triggers, {}, 3)).to.equal("100");
    expect(pattern(triggers, { after: 2 }, 5)).to.equal("00100");
    expect(pattern(triggers, { after: 1, times: 2 }, 5)).to.equal("01100");
    expect(pattern(triggers, { after: 1, times: Number.POSITIVE_INFINITY }, 5)).to.equal("01111");
    expect(triggers.strikes(undefined, A)).to.equal(false);
  });

  it("count for all connections together, or for each on its own", () => {
    const triggers = new FaultTriggers();
    const shared: FaultTrigger = { after: 1 };
    expect([A, B, A, B].map((key) => triggers.strikes(shared, key))).to.deep.equal([false, true, false, false]);
    const each: FaultTrigger = { after: 1, scope: "connection" };
    expect([A, B, A, B].map((key) => triggers.strikes(each, key))).to.deep.equal([false, false, true, true]);
  });

  it("start afresh with a new object", () => {
    const triggers = new FaultTriggers();
    expect(pattern(triggers, { after: 1 }, 2)).to.equal("01");
    expect(pattern(triggers, { after: 1 }, 2)).to.equal("01");
  });

  it("strike a share of the occasions, the same ones for the same seed", () => {
    const wish = { chance: 0.25, times: Number.POSITIVE_INFINITY };
    const first = pattern(new FaultTriggers(), { ...wish, seed: 5 }, 400);
    expect(pattern(new FaultTriggers(), { ...wish, seed: 5 }, 400)).to.equal(first);
    expect(pattern(new FaultTriggers(), { ...wish, seed: 6 }, 400)).not.to.equal(first);
    expect([...first].filter((strike) => strike === "1").length).to.be.within(70, 130);
  });

  it("pass over other opcodes", () => {
    const triggers = new FaultTriggers();
    const trigger: CommandTrigger = { after: 1, opcode: 0x8a };
    const strikes = [0x88, 0x8a, 0x88, 0x8a, 0x8a].map((opcode) => triggers.strikesOn(trigger, opcode, A));
    expect(strikes).to.deep.equal([false, false, false, true, false]);
  });
});

describe("byte cuts", () => {
  /** Bytes that pass of each chunk. */
  const passing = (
    triggers: FaultTriggers,
    cut: number | ByteCut | undefined,
    chunks: number[],
    connection: object,
  ) => {
    let total = 0;
    return chunks.map((bytes) => {
      const passed = triggers.passing(cut, bytes, connection, total);
      total += bytes;
      return passed;
    });
  };

  it("let everything pass without a cut", () => {
    expect(passing(new FaultTriggers(), undefined, [10, 20], A)).to.deep.equal([10, 20]);
  });

  it("cut each connection at a plain number of its bytes", () => {
    const triggers = new FaultTriggers();
    for (const key of [A, B]) expect(passing(triggers, 25, [10, 10, 10, 10], key)).to.deep.equal([10, 10, 5, 0]);
  });

  it("cut once over all connections, and start afresh for the next cut", () => {
    const triggers = new FaultTriggers();
    const once: ByteCut = { after: 25 };
    expect(passing(triggers, once, [20], A)).to.deep.equal([20]);
    expect(passing(triggers, once, [20, 20], B)).to.deep.equal([5, 20]);
    const twice: ByteCut = { after: 25, times: 2 };
    expect(passing(triggers, twice, [30, 30, 30], A)).to.deep.equal([25, 25, 30]);
  });

  it("cut each connection on its own", () => {
    const triggers = new FaultTriggers();
    const each: ByteCut = { after: 25, scope: "connection" };
    for (const key of [A, B]) expect(passing(triggers, each, [20, 5, 1], key)).to.deep.equal([20, 5, 0]);
  });

  it("draw the place within the range", () => {
    const placesOf = (seed: number) => {
      const triggers = new FaultTriggers();
      const cut: ByteCut = { after: { from: 100, to: 900, seed }, times: 5 };
      return [1, 2, 3, 4, 5].map(() => triggers.passing(cut, 1000, A, 0));
    };
    const places = placesOf(1);
    for (const place of places) expect(place).to.be.within(100, 900);
    expect(new Set(places).size).to.be.above(2);
    expect(placesOf(1)).to.deep.equal(places);
    expect(placesOf(2)).not.to.deep.equal(places);
  });
});
