import { expect } from "chai";
import { DueQueue } from "./due-queue.ts";

describe("driver/power-sync: what is due next", () => {
  it("gives back all that was put in, by time, with puts between the gets", () => {
    const queue = new DueQueue<{ dueAt: number }>();
    let seed = 7;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % 1000;
    };
    const kept: number[] = [];
    for (let round = 0; round < 2000; round++) {
      const dueAt = random();
      queue.push({ dueAt });
      kept.push(dueAt);
      if (round % 3 !== 2) continue;
      kept.sort((a, b) => a - b);
      expect(queue.peek()?.dueAt).to.equal(kept[0]);
      expect(queue.pop()?.dueAt).to.equal(kept.shift());
    }
    kept.sort((a, b) => a - b);
    expect(queue.size).to.equal(kept.length);
    expect(Array.from(kept, () => queue.pop()?.dueAt)).to.deep.equal(kept);
    expect(queue.pop()).to.equal(undefined);
    expect(queue.peek()).to.equal(undefined);
  });
});
