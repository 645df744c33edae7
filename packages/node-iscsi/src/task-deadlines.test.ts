// One timer for all deadlines: whose has passed expires, once and in time, whatever the order they came in.
import { expect } from "chai";
import { until } from "../test/fakes/until.ts";
import { TransportError } from "./errors.ts";
import { ScsiTask } from "./task.ts";
import { TaskDeadlines } from "./task-deadlines.ts";

const FAR_MS = 3_600_000;

function taskDueIn(deadlineMs: number): ScsiTask {
  const request = { name: "TEST UNIT READY", cdb: Buffer.alloc(6) };
  return new ScsiTask(request, 0, { operation: "test" }, deadlineMs, () => undefined);
}

describe("task deadlines", () => {
  let open: ScsiTask[];
  let expired: ScsiTask[];
  let deadlines: TaskDeadlines;

  beforeEach(() => {
    open = [];
    expired = [];
    deadlines = new TaskDeadlines(
      () => open,
      (task) => {
        expired.push(task);
        open = open.filter((other) => other !== task);
      },
    );
  });

  afterEach(() => deadlines.stop());

  const add = (deadlineMs: number) => {
    const task = taskDueIn(deadlineMs);
    open.push(task);
    deadlines.watch(task);
    return task;
  };

  it("expire whose time has passed, in any order of coming, and no other", async () => {
    const far = add(FAR_MS);
    const later = add(100);
    const soon = add(1);
    await until(() => expired.length === 2);
    expect(expired).to.have.members([soon, later]);
    expect(open).to.have.ordered.members([far]);
  });

  it("expire all that are due at once", async () => {
    const tasks = [add(1), add(0), add(1)];
    await until(() => expired.length === 3);
    expect(expired).to.have.members(tasks);
  });

  it("expire one among a quarter of a million that wait", async () => {
    open = new Array<ScsiTask>(250_000).fill(taskDueIn(FAR_MS));
    const task = add(1);
    await until(() => expired.length === 1);
    expect(expired).to.have.ordered.members([task]);
  });

  it("expire a task that came when all before it had settled", async () => {
    add(1);
    open = [];
    await new Promise((resolve) => setTimeout(resolve, 50));
    const task = add(1);
    await until(() => expired.length === 1);
    expect(expired).to.have.ordered.members([task]);
  });

  it("watch one that is added while another expires", async () => {
    let second: ScsiTask | undefined;
    deadlines = new TaskDeadlines(
      () => open,
      (task) => {
        expired.push(task);
        open = [];
        if (second === undefined) second = add(1);
      },
    );
    const first = add(1);
    await until(() => expired.length === 2);
    expect(expired).to.have.ordered.members([first, second]);
  });

  it("leave alone a task that is being aborted", async () => {
    const aborting = add(1);
    aborting.abortReason = new TransportError("on its way", { operation: "test" });
    const other = add(2);
    await until(() => expired.length === 1);
    expect(expired).to.have.ordered.members([other]);
    expect(open).to.have.ordered.members([aborting]);
  });

  it("never expire a task without end, nor anything once stopped", async () => {
    add(Number.POSITIVE_INFINITY);
    add(1);
    deadlines.stop();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(expired).to.deep.equal([]);
  });
});
