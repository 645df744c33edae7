// Session sequence numbers: each counts once, order does not matter within the window.
import { expect } from "chai";
import { nextSequence, SequenceWindow } from "./sequence-window.ts";

describe("session sequence numbers", () => {
  it("takes each number once, in any order within 32", () => {
    const window = new SequenceWindow();
    const sent = [1, 3, 2, 2, 3, 40, 9, 8, 40, 41];
    expect(sent.map((number) => window.accept(number))).to.deep.equal([
      true,
      true,
      true,
      false,
      false,
      true,
      true,
      false,
      false,
      true,
    ]);
  });

  it("takes numbers far ahead, and then none from before", () => {
    const window = new SequenceWindow();
    expect(window.accept(5)).to.equal(true);
    expect(window.accept(0x80000000)).to.equal(true);
    expect(window.accept(5)).to.equal(false);
    expect(window.accept(0x80000000 - 31)).to.equal(true);
    expect(window.accept(0x80000000 - 31)).to.equal(false);
    expect(window.accept(0x80000000 - 32)).to.equal(false);
  });

  it("never takes 0, and leaves it out when counting", () => {
    expect(new SequenceWindow().accept(0)).to.equal(false);
    expect(nextSequence(0)).to.equal(1);
    expect(nextSequence(0xffffffff)).to.equal(1);
  });
});
