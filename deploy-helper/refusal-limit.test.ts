// Refusals become events once in a while, and never without bound.
import { expect } from "chai";
import type { Clock } from "../lib/clock.ts";
import { RefusalLimit } from "./refusal-limit.ts";

describe("RefusalLimit", () => {
  let now = 1000;
  const clock: Clock = { now: () => now, sleep: () => Promise.reject(new Error("nobody sleeps here")) };

  it("keeps one in 10 s for each node, peer and reason", () => {
    const limit = new RefusalLimit(clock);
    expect(limit.isDue(1, "192.0.2.1", "wrong key")).to.equal(true);
    expect(limit.isDue(1, "192.0.2.1", "wrong key")).to.equal(false);
    expect(limit.isDue(2, "192.0.2.1", "wrong key")).to.equal(true);
    expect(limit.isDue(1, "192.0.2.2", "wrong key")).to.equal(true);
    expect(limit.isDue(1, "192.0.2.1", "wrong port")).to.equal(true);
    now += 9999;
    expect(limit.isDue(1, "192.0.2.1", "wrong key")).to.equal(false);
    now += 1;
    expect(limit.isDue(1, "192.0.2.1", "wrong key")).to.equal(true);
  });

  it("keeps no more than 256 in an interval, from however many peers", () => {
    const limit = new RefusalLimit(clock);
    const flood = () => Array.from({ length: 1000 }, (_, peer) => limit.isDue(1, `peer ${peer}`, "wrong key"));
    expect(flood().filter(Boolean)).to.have.length(256);
    now += 10_000;
    expect(flood().filter(Boolean)).to.have.length(256);
  });
});
