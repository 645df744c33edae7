import { expect } from "chai";
import { LookTally } from "./look-tally.ts";

const LIMITS = { intervalMs: 60_000 };
const STATE = { nodes: 5, inFlight: 0, failing: 0, missed: 0 };

describe("driver/power-sync: its numbers", () => {
  it("tells an interval's own looks, for debugging when all is well", () => {
    const tally = new LookTally();
    tally.note(12, true);
    tally.note(30.4, true);
    tally.note(0, false);
    const { level, message, fields } = tally.close(STATE, LIMITS);
    expect(level).to.equal("debug");
    expect(message).to.equal("power sync: 2 nodes seen, 1 looks without an answer, at most 30 ms late");
    expect(fields).to.include({ nodes: 5, seen: 2, failed: 1, maxLagMs: 30, acted: 0, missed: 0 });
    expect(tally.close(STATE, LIMITS).fields).to.include({ seen: 0, failed: 0, maxLagMs: 0 });
    expect(tally.totals).to.deep.equal({ seen: 2, failed: 1, acted: 0 });
  });

  it("tells when nodes have failed, come back or were acted on", () => {
    const tally = new LookTally();
    expect(tally.close({ ...STATE, failing: 2 }, LIMITS).level).to.equal("info");
    expect(tally.close({ ...STATE, failing: 2 }, LIMITS).level).to.equal("debug");
    expect(tally.close(STATE, LIMITS).level).to.equal("info");
    tally.noteAct();
    expect(tally.close(STATE, LIMITS)).to.include({ level: "info" });
  });

  it("warns of late looks and missed turns, of this interval only", () => {
    const tally = new LookTally();
    tally.note(31_000, true);
    expect(tally.close(STATE, LIMITS).level).to.equal("warn");
    const { level, fields } = tally.close({ ...STATE, missed: 7 }, LIMITS);
    expect({ level, missed: fields.missed }).to.deep.equal({ level: "warn", missed: 7 });
    expect(tally.close({ ...STATE, missed: 7 }, LIMITS).level).to.equal("debug");
  });
});
