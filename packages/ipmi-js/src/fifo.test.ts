// The queue of a BMC: order, giving up while waiting.
import { expect } from "chai";
import { startBudget } from "./budget.ts";
import { Fifo } from "./fifo.ts";

describe("Fifo", () => {
  it("gives the turn in order of asking", async () => {
    const fifo = new Fifo();
    const order: number[] = [];
    const work = [1, 2, 3].map(async (number) => {
      expect(await fifo.take(startBudget(5000))).to.equal(undefined);
      order.push(number);
      await Promise.resolve();
      fifo.pass();
    });
    await Promise.all(work);
    expect(order).to.deep.equal([1, 2, 3]);
    expect(fifo.isIdle).to.equal(true);
  });

  it("lets one who waits give up without holding up the next", async () => {
    const fifo = new Fifo();
    await fifo.take(startBudget(5000));
    const controller = new AbortController();
    const aborted = fifo.take(startBudget(5000, controller.signal));
    const late = fifo.take(startBudget(10));
    const next = fifo.take(startBudget(5000));
    controller.abort();
    expect(await aborted).to.equal("aborted");
    expect(await late).to.equal("deadline");
    fifo.pass();
    expect(await next).to.equal(undefined);
  });
});
