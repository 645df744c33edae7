// Block arithmetic: lock step, windows (RFC 7440 section 4), roll-over, no answer to duplicates (RFC 1123 4.2.3.1).
import { expect } from "chai";
import { ReceiveWindow, SendWindow } from "./windows.ts";

function drain(window: SendWindow): number[] {
  const blocks: number[] = [];
  for (let next = window.take(); next !== undefined; next = window.take()) blocks.push(next.block);
  return blocks;
}

describe("tftp SendWindow", () => {
  it("sends the OACK alone, then whole windows", () => {
    const window = new SendWindow({ beginsWithOack: true, lastBlock: 5, windowSize: 4 });
    expect(drain(window)).to.deep.equal([0]);
    expect(window.acknowledge(0)).to.equal("advanced");
    expect(drain(window)).to.deep.equal([1, 2, 3, 4]);
    expect(window.acknowledge(4)).to.equal("advanced");
    expect(drain(window)).to.deep.equal([5]);
    expect(window.isDone).to.equal(false);
    expect(window.acknowledge(5)).to.equal("advanced");
    expect(window.isDone).to.equal(true);
  });

  it("answers no duplicate, no future and no old ACK", () => {
    const window = new SendWindow({ beginsWithOack: false, lastBlock: 9, windowSize: 1 });
    expect(window.acknowledge(1)).to.equal("ignored");
    expect(drain(window)).to.deep.equal([1]);
    window.acknowledge(1);
    expect(drain(window)).to.deep.equal([2]);
    for (const wire of [1, 1, 0, 3, 65535]) {
      expect(window.acknowledge(wire), `ACK ${wire}`).to.equal("ignored");
      expect(drain(window)).to.deep.equal([]);
    }
  });

  it("resumes after an ACK in mid-window, counting repeats", () => {
    const window = new SendWindow({ beginsWithOack: false, lastBlock: 20, windowSize: 4 });
    drain(window);
    expect(window.acknowledge(2)).to.equal("advanced");
    expect(window.take()).to.deep.equal({ block: 3, isRepeat: true });
    expect(window.take()).to.deep.equal({ block: 4, isRepeat: true });
    expect(window.take()).to.deep.equal({ block: 5, isRepeat: false });
  });

  it("repeats from the first unacknowledged block after a timeout, and takes the late ACK of the first try", () => {
    const window = new SendWindow({ beginsWithOack: false, lastBlock: 20, windowSize: 3 });
    drain(window);
    window.rewind();
    expect(window.take()).to.deep.equal({ block: 1, isRepeat: true });
    expect(window.acknowledge(3)).to.equal("advanced");
    expect(drain(window)).to.deep.equal([4, 5, 6]);
  });

  it("rolls 65535 over to 0 and goes on counting", () => {
    const window = new SendWindow({ beginsWithOack: false, lastBlock: 140_000, windowSize: 8 });
    while (!window.isDone) {
      const blocks = drain(window);
      expect(blocks.length).to.be.greaterThan(0);
      expect(window.acknowledge((blocks.at(-1) ?? 0) & 0xffff)).to.equal("advanced");
    }
    expect(window.base).to.equal(140_001);
  });
});

describe("tftp ReceiveWindow", () => {
  it("acknowledges each window's end and the final block", () => {
    const window = new ReceiveWindow(3);
    expect([1, 2, 3, 4].map((block) => window.receive(block, false))).to.deep.equal([
      "accept",
      "accept",
      "accept-and-ack",
      "accept",
    ]);
    expect(window.receive(5, true)).to.equal("accept-and-ack");
    expect(window.lastWireBlock).to.equal(5);
  });

  it("reports a gap once and takes the repeat", () => {
    const window = new ReceiveWindow(4);
    expect([1, 3, 4].map((block) => window.receive(block, false))).to.deep.equal(["accept", "ack-again", "ignore"]);
    expect(window.lastWireBlock).to.equal(1);
    expect(window.receive(2, false)).to.equal("accept");
  });

  it("acknowledges the last block again and no older one", () => {
    const window = new ReceiveWindow(1);
    window.receive(1, false);
    window.receive(2, false);
    expect(window.receive(2, false)).to.equal("ack-again");
    expect(window.receive(1, false)).to.equal("ignore");
  });

  it("follows the roll-over", () => {
    const window = new ReceiveWindow(1);
    for (let block = 1; block <= 65_537; block++) {
      expect(window.receive(block & 0xffff, false)).to.equal("accept-and-ack");
    }
    expect(window.lastWireBlock).to.equal(1);
    expect(window.receive(0, false)).to.equal("ignore");
  });
});
