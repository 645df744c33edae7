// Edit distances worked out by hand.
import { expect } from "chai";
import { editDistance, nearestName } from "./nearest-name.ts";

describe("nearestName", () => {
  it("counts added, dropped, changed and swapped letters", () => {
    const cases = [
      ["", "abc", 3],
      ["same", "same", 0],
      ["root", "rot", 1],
      ["rot", "root", 1],
      ["root", "boot", 1],
      ["tftp", "ttfp", 1],
      ["kitten", "sitting", 3],
    ] as const;
    for (const [a, b, distance] of cases) expect(editDistance(a, b), `${a} ${b}`).to.equal(distance);
  });

  it("gives the nearest within the limit", () => {
    expect(nearestName("tftp_rot", ["tftp_host", "tftp_root"], 2)).to.equal("tftp_root");
    expect(nearestName("qwerty", ["tftp_host", "tftp_root"], 2)).to.equal(undefined);
  });
});
