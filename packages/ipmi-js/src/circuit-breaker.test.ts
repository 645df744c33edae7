import { expect } from "chai";
import { CircuitBreaker } from "./circuit-breaker.ts";

describe("circuit breaker", () => {
  const breaker = () =>
    new CircuitBreaker({ failures: 3, coolDownMs: 1000, longestCoolDownMs: 6000 }, () => 0.5 /* no jitter */);

  it("opens at the limit, and for twice as long with each further failure, up to the longest", () => {
    const it = breaker();
    const waits = [1, 2, 3, 4, 5, 6, 7].map((n) => {
      it.failed(n * 10_000);
      return it.waitMs(n * 10_000);
    });
    expect(waits).to.deep.equal([0, 0, 1000, 2000, 4000, 6000, 6000]);
    expect(it.failures).to.equal(7);
  });

  it("lets one through when the time is over, and closes with an answer", () => {
    const it = breaker();
    for (let n = 0; n < 3; n += 1) it.failed(0);
    expect(it.waitMs(400)).to.equal(600);
    expect(it.waitMs(1000)).to.equal(0);
    it.succeeded();
    it.failed(2000);
    expect(it.waitMs(2000)).to.equal(0);
  });

  it("spreads the ends of the waits by a tenth up and down", () => {
    const ends = [0, 0.999].map((random) => {
      const it = new CircuitBreaker({ failures: 1, coolDownMs: 1000 }, () => random);
      it.failed(0);
      return Math.round(it.waitMs(0));
    });
    expect(ends).to.deep.equal([900, 1100]);
  });
});
