// Recovery without I/O: one at a time, back-off and bounds, who waits and who gives up.
import { expect } from "chai";
import { AbortedError, type IscsiError, LoginError, RecoveryError, TimeoutError, TransportError } from "./errors.ts";
import { type LostConnection, Recovery } from "./recovery.ts";
import type { SessionHooks } from "./session-options.ts";

const context = { operation: "WRITE(16)" };
const cut = new TransportError("cut", context);
const lost: LostConnection = { error: cut, at: 0, time2WaitSeconds: 0 };
const quick = { maxAttempts: 3, maxReissues: 1, firstBackoffMs: 1, longestBackoffMs: 2 };

function waiter(deadlineMs = 5000, signal?: AbortSignal) {
  return { context, deadlineMs, signal };
}

const errorOf = (promise: Promise<unknown>): Promise<IscsiError> =>
  promise.then(
    () => {
      throw new Error("did not fail");
    },
    (error) => error,
  );

function failingTimes(count: number, error: IscsiError) {
  let attempts = 0;
  const establish = async () => {
    attempts += 1;
    if (attempts <= count) throw error;
    return `phase ${attempts}`;
  };
  return { establish, attempts: () => attempts };
}

describe("Recovery", () => {
  it("is shared by all who wait, tries again after failures, and tells the hooks", async () => {
    const { establish, attempts } = failingTimes(2, cut);
    const told: string[] = [];
    const hooks: SessionHooks = {
      onRecoveryAttemptFailed: (_error, attempt) => told.push(`failed ${attempt}`),
      onRecovered: (report) => told.push(`recovered after ${report.attempts}`),
    };
    const recovery = new Recovery(establish, quick, hooks);
    const phases = await Promise.all([1, 2, 3].map(() => recovery.join(lost, context, waiter())));
    expect(phases).to.deep.equal(["phase 3", "phase 3", "phase 3"]);
    expect(attempts()).to.equal(3);
    expect(told).to.deep.equal(["failed 1", "failed 2", "recovered after 3"]);
  });

  it("gives up after maxAttempts with a RecoveryError that keeps the last cause", async () => {
    const refused = new TransportError("connect ECONNREFUSED", context);
    const { establish, attempts } = failingTimes(99, refused);
    const error = (await errorOf(new Recovery(establish, quick, {}).join(lost, context, waiter()))) as RecoveryError;
    expect(error).to.be.instanceOf(RecoveryError);
    expect([error.attempts, attempts(), error.cause]).to.deep.equal([3, 3, refused]);
    expect(error.message).to.contain("cut").and.contain("ECONNREFUSED");
  });

  it("does not try again when the target says no, and does when it is only busy", async () => {
    const refusal = (statusClass: number) => new LoginError("no", context, { statusClass, statusDetail: 1 });
    const denied = failingTimes(99, refusal(2));
    await errorOf(new Recovery(denied.establish, quick, {}).join(lost, context, waiter()));
    expect(denied.attempts()).to.equal(1);
    const busy = failingTimes(1, refusal(3));
    expect(await new Recovery(busy.establish, quick, {}).join(lost, context, waiter())).to.equal("phase 2");
  });

  it("lets each waiter go at its own deadline or signal, and stops when nobody is left", async () => {
    let signal: AbortSignal | undefined;
    const never = (stop: AbortSignal) => {
      signal = stop;
      return new Promise<string>((_resolve, reject) => stop.addEventListener("abort", () => reject(stop.reason)));
    };
    const recovery = new Recovery(never, quick, {});
    const controller = new AbortController();
    const late = errorOf(recovery.join(lost, context, waiter(10)));
    const patient = errorOf(recovery.join(lost, context, waiter(60_000, controller.signal)));
    expect(await late).to.be.instanceOf(TimeoutError);
    expect(signal?.aborted).to.equal(false);
    controller.abort();
    expect(await patient).to.be.instanceOf(AbortedError);
    expect(signal?.aborted).to.equal(true);
    await recovery.close(cut);
  });

  it("begins anew for the next command after one that failed", async () => {
    const { establish } = failingTimes(3, cut);
    const recovery = new Recovery(establish, quick, {});
    await errorOf(recovery.join(lost, context, waiter()));
    expect(await recovery.join(lost, context, waiter())).to.equal("phase 4");
  });

  it("waits longer after each failure, up to longestBackoffMs, and tells for how long", async () => {
    const loginsAt: number[] = [];
    const delays: number[] = [];
    const establish = async () => {
      loginsAt.push(performance.now());
      throw cut;
    };
    const hooks: SessionHooks = {
      onRecoveryAttemptFailed: (_error, _attempt, nextDelayMs) => delays.push(nextDelayMs),
    };
    const options = { ...quick, maxAttempts: 6, firstBackoffMs: 16, longestBackoffMs: 80 };
    await errorOf(new Recovery(establish, options, hooks).join(lost, context, waiter(60_000)));
    expect(delays.length).to.equal(6);
    // Each is half of the back-off at least, and all of it at most: 16, 32, 64, 80, 80; none after the last login.
    for (const [index, most] of [16, 32, 64, 80, 80, 0].entries())
      expect(delays[index], `delay ${index + 1}`).to.be.within(most / 2, most);
    // Timers may fire a little early.
    for (const [index, at] of loginsAt.slice(1).entries())
      expect(at - (loginsAt[index] as number), `wait ${index + 1}`).to.be.at.least((delays[index] as number) - 2);
  });

  it("waits until DefaultTime2Wait has passed since the loss (RFC 7143 13.15)", async () => {
    const startedAt = performance.now();
    let loginAt = 0;
    const establish = async () => {
      loginAt = performance.now();
      return "phase";
    };
    const at = startedAt - 900;
    await new Recovery(establish, quick, {}).join({ error: cut, at, time2WaitSeconds: 1 }, context, waiter());
    expect(loginAt - at).to.be.at.least(999);
  });
});
