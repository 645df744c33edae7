import { expect } from "chai";
import type { DeploymentRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import { waitForDeployment } from "./deployment-wait.ts";

const row = (patch: Partial<DeploymentRecord>) =>
  ({
    id: 7,
    instanceUuid: "i-7",
    bytesDone: 0,
    bytesTotal: 0,
    step: null,
    error: null,
    result: {},
    ...patch,
  }) as DeploymentRecord;

/** Time passes only when somebody sleeps. */
function fakeClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    sleep: async (ms, signal) => {
      if (signal?.aborted) throw signal.reason;
      now += ms;
    },
  };
}

function wait(rows: (DeploymentRecord | undefined)[], patch: { deadlineMs?: number; signal?: AbortSignal } = {}) {
  const reader = { get: async () => (rows.length > 1 ? rows.shift() : rows[0]) };
  return waitForDeployment(reader, 7, {
    clock: fakeClock(),
    intervalMs: 100,
    deadlineMs: 1000,
    startedAt: 0,
    ...patch,
  }).then(
    (value) => ({ value, error: undefined }),
    (error: unknown) => ({ value: undefined, error: error as BaremetalError }),
  );
}

describe("driver: waiting for the deploy helper", () => {
  it("ends when the helper is done", async () => {
    const { value } = await wait([
      row({ state: "prepared" }),
      row({ state: "deploying" }),
      row({ state: "deploy complete" }),
    ]);
    expect(value?.state).to.equal("deploy complete");
  });

  it("ends in the helper's error", async () => {
    const { error } = await wait([row({ state: "deploying" }), row({ state: "failed", error: "disk too small" })]);
    expect(error).to.be.instanceOf(BaremetalError).and.include({
      code: "DeployFailed",
      message: "PXE deploy failed for instance i-7: disk too small",
    });
  });

  it("tells a refused image from a failed machine", async () => {
    const refused = row({
      state: "failed",
      error: "it has a backing file",
      result: { errorCode: "ImageUnacceptable" },
    });
    expect((await wait([refused])).error?.code).to.equal("ImageUnacceptable");
  });

  it("outlives a database that is away for a while", async () => {
    let calls = 0;
    const reader = {
      get: async () => {
        calls += 1;
        if (calls < 4) throw new BaremetalError("PeerUnreachable", "the database is away");
        return row({ state: "deploy complete" });
      },
    };
    const options = { clock: fakeClock(), intervalMs: 100, deadlineMs: 1000, startedAt: 0 };
    expect((await waitForDeployment(reader, 7, options)).state).to.equal("deploy complete");
    expect(calls).to.equal(4);
  });

  it("ends when the row is gone", async () => {
    expect((await wait([undefined])).error?.code).to.equal("Conflict");
  });

  for (const [state, hint] of [
    ["prepared", "never called the deploy helper"],
    ["queued", "no deploy helper took the job"],
    ["deploying", 'at "write image", 5 of 9 bytes'],
  ] as const) {
    it(`ends after the deadline in state ${state}, and says what was last seen`, async () => {
      const { error } = await wait([row({ state, step: "write image", bytesDone: 5, bytesTotal: 9 })]);
      expect(error?.code).to.equal("DeadlineExceeded");
      expect(error?.message).to.include(hint);
    });
  }

  it("ends when it is called off", async () => {
    const reason = new BaremetalError("Cancelled", "deleted");
    const { error } = await wait([row({ state: "prepared" })], { signal: AbortSignal.abort(reason) });
    expect(error).to.equal(reason);
  });
});
