// The lease on a fake clock: renewed, lost, cancelled, and given up in time when the database is silent.
import { expect } from "chai";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import { silentLogger } from "../lib/log.ts";
import { Lease, type LeaseStore } from "./lease.ts";

/** Time that is moved; sleepers wake in order. */
class ManualClock implements Clock {
  #now = 0;
  #sleepers: { at: number; wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = () => reject(new BaremetalError("Cancelled", "the wait was cancelled"));
      if (signal?.aborted) return cancel();
      signal?.addEventListener("abort", cancel, { once: true });
      const wake = () => {
        signal?.removeEventListener("abort", cancel);
        resolve();
      };
      this.#sleepers.push({ at: this.#now + ms, wake });
    });
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      this.#sleepers.sort((a, b) => a.at - b.at);
      const next = this.#sleepers[0];
      if (next === undefined || next.at > end) break;
      this.#sleepers.shift();
      this.#now = next.at;
      next.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#now = end;
  }
}

describe("Lease", () => {
  const progress = () => ({ step: "write image", bytesDone: 5, bytesTotal: 10 });
  let clock: ManualClock;
  let lease: Lease;
  function hold(renew: LeaseStore["renew"]): Lease {
    clock = new ManualClock();
    lease = new Lease({ store: { renew }, clock, logger: silentLogger, id: 1, holder: "h", leaseMs: 30_000, progress });
    return lease;
  }
  afterEach(() => lease.end());

  it("renews often, with progress", async () => {
    const seen: unknown[] = [];
    hold(async (...args) => {
      seen.push(args);
      return { cancelRequested: false };
    });
    await clock.advance(60_000);
    expect(seen).to.have.length(30);
    expect(seen[0]).to.deep.equal([1, "h", 30_000, progress()]);
    expect(lease.signal.aborted).to.equal(false);
  });
  it("stops at once when it is lost", async () => {
    hold(async () => undefined);
    await clock.advance(2000);
    expect(lease.stopped).to.equal("lost");
    expect(lease.signal.reason).to.be.instanceOf(BaremetalError).with.property("code", "Cancelled");
  });
  it("stops when a cancel is asked for, and keeps the lease meanwhile", async () => {
    let renewals = 0;
    hold(async () => {
      renewals++;
      return { cancelRequested: true };
    });
    await clock.advance(10_000);
    expect(lease.stopped).to.equal("cancelled");
    expect(renewals).to.equal(5);
  });
  for (const [name, renew] of [
    ["fails", () => Promise.reject(new Error("database away"))],
    ["hangs", () => new Promise<never>(() => {})],
  ] as const) {
    it(`stops before the lease ends when the database ${name}`, async () => {
      hold(renew);
      await clock.advance(20_000);
      expect(lease.stopped).to.equal(undefined);
      await clock.advance(9_000);
      expect(lease.stopped).to.equal("lost");
    });
  }
  it("keeps the first reason for the work, and tells the strongest", () => {
    hold(async () => ({ cancelRequested: false }));
    const strongest = (["deadline", "cancelled", "shutdown", "deadline", "lost", "shutdown"] as const).map((reason) => {
      lease.stop(reason, reason, reason === "deadline" ? "DeadlineExceeded" : "Cancelled");
      return lease.stopped;
    });
    expect(strongest).to.deep.equal(["deadline", "deadline", "shutdown", "shutdown", "lost", "lost"]);
    expect(lease.signal.reason).to.have.property("code", "DeadlineExceeded");
  });
  it("is lost when the database stays away after a cancel", async () => {
    let isAway = false;
    hold(async () => {
      if (isAway) throw new Error("database away");
      isAway = true;
      return { cancelRequested: true };
    });
    await clock.advance(3000);
    expect(lease.stopped).to.equal("cancelled");
    await clock.advance(30_000);
    expect(lease.stopped).to.equal("lost");
  });
});
