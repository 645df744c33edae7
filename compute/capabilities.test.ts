// Unit tests of the extra specs grammar (facts section 11).
import { expect } from "chai";
import { meetsRequirement, unmetSpec } from "./capabilities.ts";

describe("compute/capabilities", () => {
  const rows: [value: string, requirement: string, meets: boolean][] = [
    ["x86_64", "x86_64", true],
    ["x86_64", "i386", false],
    ["5", "= 4", true],
    ["3", "= 4", false],
    ["4", "== 4.0", true],
    ["4", "!= 4", false],
    ["x", "!= 4", false],
    ["", ">= 0", false],
    ["8", ">= 8", true],
    ["9", "<= 8", false],
    ["10", "<= 8", false],
    ["abc", "s== abc", true],
    ["abc", "s!= abc", false],
    ["10", "s< 9", true],
    ["b", "s>= b", true],
    ["b", "s> b", false],
    ["b", "s<= a", false],
    ["sse sse2 avx", "<in> sse2", true],
    ["sse", "<in>", false],
    ["i386", "<or> x86_64 <or> i386", true],
    ["arm", "<or> x86_64 <or> i386", false],
  ];
  for (const [value, requirement, meets] of rows) {
    it(`${JSON.stringify(value)} ${meets ? "meets" : "does not meet"} ${requirement}`, () => {
      expect(meetsRequirement(value, requirement)).to.equal(meets);
    });
  }

  it("looks at plain and capabilities: keys only", () => {
    const specs = { "capabilities:cpu_arch": "x86_64", "baremetal:deploy_kernel_id": "k", gpu: "<or> a <or> b" };
    expect(unmetSpec(specs, { cpu_arch: "x86_64", gpu: "b" })).to.equal(undefined);
    expect(unmetSpec(specs, { cpu_arch: "x86_64", gpu: "c" })).to.include("gpu");
    expect(unmetSpec(specs, { gpu: "a" })).to.include("the node has no cpu_arch");
  });

  it("takes no fact from the prototype", () => {
    expect(unmetSpec({ constructor: "<in> Object" }, {})).to.include("no constructor");
  });
});
