// Bounded repetition without I/O (SAM-5 5.3.1, 5.14): growing delays, one deadline for all attempts, the worst effect of any attempt.
import { expect } from "chai";
import { errorOf } from "../test/fakes/error-of.ts";
import { AbortedError, type IscsiError, ScsiError, TransportError } from "./errors.ts";
import { type CommandRunner, executeWithRetry } from "./retry.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";

const context = { operation: "TEST UNIT READY" };
const BUSY = 0x08;
const CHECK_CONDITION = 0x02;
const RESERVATION_CONFLICT = 0x18;
/** UNIT ATTENTION, REPORTED LUNS DATA HAS CHANGED (3Fh/0Eh). */
const LUNS_CHANGED = {
  senseKey: 6,
  asc: 0x3f,
  ascq: 0x0e,
  isDeferred: false,
  information: undefined,
  senseKeySpecific: undefined,
};

const refusal = (status: number, sense?: ScsiError["sense"]) => new ScsiError(status, sense, context);

interface Attempt {
  readonly at: number;
  readonly deadlineMs: number | undefined;
}

/** Fails with each of `errors` in turn, then succeeds; remembers when it was asked and with what deadline. */
function runnerOf(errors: readonly IscsiError[], checkUnit?: CommandRunner["checkUnit"]) {
  const attempts: Attempt[] = [];
  const retries: number[] = [];
  const runner: CommandRunner = {
    execute: async (command, { deadlineMs }) => {
      attempts.push({ at: performance.now(), deadlineMs });
      const error = errors[attempts.length - 1];
      if (error !== undefined) throw error;
      return command.decode(Buffer.alloc(0));
    },
    ...(checkUnit === undefined ? {} : { checkUnit }),
    contextOf: (operation) => ({ operation }),
    commandDeadlineMs: () => 30_000,
    onRetry: (_error, attempt) => retries.push(attempt),
  };
  return { runner, attempts, retries };
}

/** Timers of Node may fire a little before their time. */
const EARLY_MS = 2;

describe("executeWithRetry", () => {
  it("waits twice as long after each BUSY, from 10 ms on", async () => {
    const { runner, attempts, retries } = runnerOf(Array.from({ length: 6 }, () => refusal(BUSY)));
    await executeWithRetry(runner, testUnitReady(), {});
    expect(retries).to.deep.equal([1, 2, 3, 4, 5, 6]);
    const waits = attempts.slice(1).map(({ at }, index) => at - (attempts[index] as Attempt).at);
    for (const [index, least] of [10, 20, 40, 80, 160, 320].entries())
      expect(waits[index], `wait ${index + 1}`).to.be.at.least(least - EARLY_MS);
  });

  it("gives each attempt only what is left of the one deadline", async () => {
    const { runner, attempts } = runnerOf([refusal(BUSY), refusal(BUSY), refusal(BUSY)]);
    await executeWithRetry(runner, testUnitReady(), { deadlineMs: 20_000 });
    const [first, second, third, fourth] = attempts.map(({ deadlineMs }) => deadlineMs ?? Number.NaN);
    expect(first).to.equal(20_000);
    expect(second).to.be.at.most(20_000 - 10 + EARLY_MS);
    expect(third).to.be.at.most(20_000 - 30 + EARLY_MS);
    expect(fourth).to.be.at.most(20_000 - 70 + EARLY_MS);
  });

  it("ends with the last status when the next wait would be beyond the deadline", async () => {
    const { runner, attempts } = runnerOf(Array.from({ length: 100 }, () => refusal(BUSY)));
    const error = await errorOf(executeWithRetry(runner, testUnitReady(), { deadlineMs: 100 }));
    expect((error as ScsiError).statusText).to.equal("BUSY");
    // 10 + 20 + 40 ms; the next 80 do not fit.
    expect(attempts.length).to.be.at.most(4);
  });

  it("reports the worst that any attempt may have done", async () => {
    const lostOnTheWay = refusal(BUSY).withEffect("unknown");
    const { runner } = runnerOf([lostOnTheWay, refusal(BUSY), refusal(RESERVATION_CONFLICT)]);
    const error = await errorOf(executeWithRetry(runner, testUnitReady(), {}));
    expect([(error as ScsiError).status, error.effect]).to.deep.equal([RESERVATION_CONFLICT, "unknown"]);
    const { runner: harmless } = runnerOf([refusal(BUSY), refusal(RESERVATION_CONFLICT)]);
    expect((await errorOf(executeWithRetry(harmless, testUnitReady(), {}))).effect).to.equal("none");
  });

  it("keeps that effect when the caller aborts the wait, or the unit turns out to be another", async () => {
    const controller = new AbortController();
    const busy = runnerOf([refusal(BUSY).withEffect("unknown")]);
    const waiting = errorOf(executeWithRetry(busy.runner, testUnitReady(), { signal: controller.signal }));
    controller.abort();
    const aborted = await waiting;
    expect(aborted).to.be.instanceOf(AbortedError);
    expect(aborted.effect).to.equal("unknown");
    const refused = runnerOf([refusal(BUSY)]);
    const early = errorOf(executeWithRetry(refused.runner, testUnitReady(), { signal: AbortSignal.abort() }));
    expect((await early).effect).to.equal("none");
    const exchanged = async () => {
      throw new TransportError("another unit", { ...context, effect: "none" });
    };
    const changed = runnerOf([refusal(CHECK_CONDITION, LUNS_CHANGED).withEffect("unknown")], exchanged);
    const error = await errorOf(executeWithRetry(changed.runner, testUnitReady(), {}));
    expect([error.reason, error.effect]).to.deep.equal(["another unit", "unknown"]);
    expect(changed.attempts.length).to.equal(1);
  });

  it("repeats at once after UNIT ATTENTION, but not for ever", async () => {
    const attention = () => refusal(CHECK_CONDITION, LUNS_CHANGED);
    const few = runnerOf([attention(), attention(), attention()]);
    await executeWithRetry(few.runner, testUnitReady(), {});
    expect(few.attempts.length).to.equal(4);
    const many = runnerOf(Array.from({ length: 100 }, attention));
    expect((await errorOf(executeWithRetry(many.runner, testUnitReady(), {}))).code).to.equal("Scsi");
    expect(many.attempts.length).to.equal(11);
  });
});
