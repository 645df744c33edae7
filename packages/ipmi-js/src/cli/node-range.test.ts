// Ranges and lists of BMCs: what each way of writing stands for, and what is said of those that are wrong.
import { expect } from "chai";
import { expandRange, expandTargets, MAX_TARGETS, parseTarget, splitList } from "./node-range.ts";
import { itemsOf } from "./target-list.ts";
import { UsageError } from "./usage-error.ts";

const names = (...hosts: string[]) => expandTargets(hosts.flatMap(splitList), 623).map(({ name }) => name);

describe("node ranges", () => {
  it("expand in the order given, zero padding kept", () => {
    expect(names("bmc[08-11,45].rack7")).to.deep.equal([
      "bmc08.rack7",
      "bmc09.rack7",
      "bmc10.rack7",
      "bmc11.rack7",
      "bmc45.rack7",
    ]);
    expect(names("n[8-11]")).to.deep.equal(["n8", "n9", "n10", "n11"]);
    expect(names("n[0-1]")).to.deep.equal(["n0", "n1"]);
    expect(names("n[001,2]")).to.deep.equal(["n001", "n2"]);
  });

  it("several ranges in a name count like digits, the last the fastest", () => {
    expect(names("r[1-2]n[01-02]")).to.deep.equal(["r1n01", "r1n02", "r2n01", "r2n02"]);
    expect(names("127.0.[0-1].[1-2]")).to.deep.equal(["127.0.0.1", "127.0.0.2", "127.0.1.1", "127.0.1.2"]);
  });

  it("lists go by commas and blanks outside brackets", () => {
    expect(splitList(" a,b[1,2] c,,d\n")).to.deep.equal(["a", "b[1,2]", "c", "d"]);
    expect(names("z,a[1,3],m")).to.deep.equal(["z", "a1", "a3", "m"]);
  });

  it("addresses, ports, and ranges of ports", () => {
    const target = (text: string) => {
      const { address, port } = parseTarget(text, 623);
      return `${address} ${port}`;
    };
    expect(target("10.0.0.7")).to.equal("10.0.0.7 623");
    expect(target("bmc-7_a.rack7:6230")).to.equal("bmc-7_a.rack7 6230");
    expect(target("[fe80::1]:6230")).to.equal("fe80::1 6230");
    expect(target("[fe80::1%eth0]")).to.equal("fe80::1%eth0 623");
    expect(target("fe80::1")).to.equal("fe80::1 623");
    expect(names("h:[1-3]")).to.deep.equal(["h:1", "h:2", "h:3"]);
    expect(names("[::1]:[623-624]")).to.deep.equal(["[::1]:623", "[::1]:624"]);
  });

  it("a BMC that is named twice is meant once", () => {
    expect(names("a,b,A,a:623,b:624")).to.deep.equal(["a", "b", "b:624"]);
  });

  it("stop at the bound before anything is built, in one range or in many", () => {
    for (const huge of ["n[1-999999999]", "n[1-300]x[1-300]", "n[1-256]x[1-256]x[1-256]x[1-256]x[1-256]x[1-256]"])
      expect(() => names(huge), huge).to.throw(UsageError, `${MAX_TARGETS} in all are the most at once`);
    expect(() => names("a[1-40000],b[1-40000]")).to.throw(UsageError, "b[1-40000] stands for 40000 BMCs");
    expect(expandRange("n[1-10]", 10)).to.have.length(10);
    expect(() => expandRange("n[1-11]", 10)).to.throw(UsageError);
  });

  it("say what is wrong and how to write it", () => {
    const wrong: readonly (readonly [string, string])[] = [
      ["bmc[5-1]", "goes backwards; write [1-5]"],
      ["bmc[1-04]", "padded at its end only; write [01-04]"],
      ["bmc[a-c]", '"a-c" in bmc[a-c] is no number'],
      ["bmc[]", "is no number"],
      ["bmc[1-40", "opens a bracket that is not closed"],
      ["bmc1-40]", "closes a bracket that is not open"],
      ["bmc[[1-2]]", "opens a bracket within a bracket"],
      ["10.0.0.300", "no IPv4 address"],
      ["10.0.0.[254-256]", '"10.0.0.256" is no IPv4 address'],
      ["[fe80::xyz]", "no IPv6 address"],
      ["bmc7:0", "1 to 65535"],
      ["bmc7:66000", "1 to 65535"],
      ["bmc7:", "1 to 65535"],
      ["bmc$7", "is no BMC"],
      ["-bmc", "is no BMC"],
      ["a:b:c", "1 to 65535"],
    ];
    for (const [text, message] of wrong) expect(() => names(text), text).to.throw(UsageError, message);
  });

  it("files: remarks, blank lines, several in a line, faults with their line", () => {
    const list = "# rack 7\nbmc[1-2]  # left\n\n  a,b c\r\n";
    expect(itemsOf(list, "list")).to.deep.equal(["bmc[1-2]", "a", "b", "c"]);
    expect(() => itemsOf("ok\nbmc[1", "list")).to.throw(UsageError, "list, line 2: ");
    expect(() => itemsOf("@other", "list")).to.throw(UsageError, "list, line 1: ");
    expect(() => itemsOf("-", "list")).to.throw(UsageError, "names another list");
  });
});
