// Serial arithmetic and the command window across the 32-bit wrap (RFC 7143 3.2.2.1, 4.2.2.1).
import { expect } from "chai";
import { CommandWindow, isSerialAfter, serialAdd, serialDistance } from "./serial.ts";

describe("serial numbers", () => {
  it("wrap at 2^32", () => {
    expect(serialAdd(0xffffffff, 1)).to.equal(0);
    expect(serialAdd(0, -1)).to.equal(0xffffffff);
    expect(serialDistance(2, 0xfffffffe)).to.equal(4);
    expect(isSerialAfter(0, 0xffffffff)).to.equal(true);
    expect(isSerialAfter(0xffffffff, 0)).to.equal(false);
    expect(isSerialAfter(7, 7)).to.equal(false);
  });
});

describe("CommandWindow", () => {
  it("opens, closes and goes on across the wrap", () => {
    const window = new CommandWindow(0xfffffffe, 0xfffffffe, 0xffffffff);
    expect(window.take()).to.equal(0xfffffffe);
    expect(window.isOpen).to.equal(true);
    expect(window.take()).to.equal(0xffffffff);
    expect(window.isOpen).to.equal(false);
    expect(window.update(0, 1)).to.equal(true);
    expect(window.take()).to.equal(0);
    expect(window.take()).to.equal(1);
    expect(window.isOpen).to.equal(false);
  });

  it("never moves back", () => {
    const window = new CommandWindow(10, 10, 20);
    expect(window.update(9, 15)).to.equal(false);
    expect([window.expCmdSn, window.maxCmdSn]).to.deep.equal([10, 20]);
  });

  it("ignores a MaxCmdSN before ExpCmdSN - 1", () => {
    const window = new CommandWindow(10, 10, 20);
    expect(window.update(40, 30)).to.equal(false);
    expect(window.expCmdSn).to.equal(10);
    // MaxCmdSN = ExpCmdSN - 1 is legal: the window is closed.
    expect(window.update(22, 21)).to.equal(true);
  });
});
