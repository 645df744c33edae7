// Arguments, output and the small readers of words: no I/O.
import { expect } from "chai";
import {
  commandIndex,
  noWords,
  oneOf,
  parseCipherSuites,
  parseCommand,
  parsePrivilege,
  parseProtocol,
} from "./arguments.ts";
import { formatFields, formatJson, formatRow, formatTable, formatTime, safeLine } from "./output.ts";
import { parseByte } from "./raw.ts";
import { faultsOf } from "./status.ts";
import { UsageError } from "./usage-error.ts";
import { vendorName } from "./vendors.ts";

describe("arguments of the command", () => {
  it("the command is found behind options with and without values", () => {
    const at = (line: string) => commandIndex(line.split(" "));
    expect(at("power on -H a")).to.equal(0);
    expect(at("-H a -U root power on")).to.equal(4);
    expect(at("-Ha --json --user=root power on")).to.equal(3);
    expect(at("-y sel clear")).to.equal(1);
    expect(at("-H a")).to.equal(-1);
    expect(at("--version")).to.equal(-1);
  });

  it("unknown options are refused, and ipmitool's -P with what to do instead", () => {
    expect(() => parseCommand(["--nonsense"], {})).to.throw(UsageError, "unknown option '--nonsense'");
    expect(() => parseCommand(["-P", "secret"], {}))
      .to.throw(UsageError, "--password-file")
      .with.property("message")
      .that.does.not.contain("secret");
    expect(() => parseCommand(["-Psecret"], {}))
      .to.throw(UsageError, "--password-file")
      .with.property("message")
      .that.does.not.contain("secret");
  });

  it("words", () => {
    expect(oneOf("sel", [], ["list", "info"])).to.equal(undefined);
    expect(oneOf("sel", ["info"], ["list", "info"])).to.equal("info");
    expect(() => oneOf("sel", ["lst"], ["list", "info"])).to.throw(UsageError, 'sel takes list | info, not "lst"');
    expect(() => oneOf("power", ["10.0.0.7"], ["on"])).to.throw(UsageError, "if that is a BMC, write -H 10.0.0.7");
    expect(() => oneOf("power", ["on", "bmc7"], ["on"])).to.throw(UsageError, '"bmc7" is too much');
    expect(() => noWords("fru", ["bmc7"])).to.throw(UsageError, "if that is a BMC, write -H bmc7");
  });

  it("cipher suites, privileges, raw bytes", () => {
    expect(parseCipherSuites("17,3")).to.deep.equal([17, 3]);
    for (const wrong of ["", "17,", "x", "-1"]) expect(() => parseCipherSuites(wrong)).to.throw(UsageError, "17,3");
    expect(parsePrivilege("ADMIN")).to.equal("administrator");
    expect(() => parsePrivilege("root")).to.throw(UsageError, "callback | user | operator | administrator");
    expect(["2.0", "1.5", "auto"].map(parseProtocol)).to.deep.equal(["2.0", "1.5", "auto"]);
    for (const wrong of ["2", "", "lanplus"])
      expect(() => parseProtocol(wrong)).to.throw(UsageError, "--protocol takes 2.0 | 1.5 | auto");
    expect(["6", "0x06", "06h", "255", "0xFF", "0"].map(parseByte)).to.deep.equal([6, 6, 6, 255, 255, 0]);
    for (const wrong of ["256", "0x100", "fg", "", "-1", "ff"]) expect(() => parseByte(wrong)).to.throw(UsageError);
  });
});

describe("output of the command", () => {
  it("fields and tables line up, and fields without a value are left out", () => {
    expect(
      formatFields([
        ["a", "1"],
        ["long", "2"],
        ["x", undefined],
        ["y", ""],
      ]),
    ).to.deep.equal(["a     1", "long  2"]);
    expect(
      formatTable([
        ["a", "bb", "c"],
        ["aaa", "b", ""],
      ]),
    ).to.deep.equal(["a    bb  c", "aaa  b"]);
    expect(formatRow(["on", "none", "last"], [5, 2, 0])).to.equal("on     none  last");
    expect(formatTable([])).to.deep.equal([]);
  });

  it("JSON is one line, with bytes in hex and times as they are usual", () => {
    const value = { data: Buffer.from("00ff", "hex"), at: new Date(0), nested: [Buffer.from("a")], none: undefined };
    expect(formatJson(value)).to.equal('{"data":"00ff","at":"1970-01-01T00:00:00.000Z","nested":["61"]}');
    expect(formatTime(new Date(0))).to.equal("1970-01-01 00:00:00Z");
  });

  it("a line stays one line, without commands and without turning around; JSON tells what it was", () => {
    // Ends of lines of all sorts, escape, delete, right-to-left override, zero width space, a tag outside the first plane.
    const bad = "\n\r\v\f\u0085\u2028\u2029\t\x1b\x7f\x9b\u202e\u200b\u{e0041}";
    expect(safeLine(`a${bad}b é 温`)).to.equal(`a${"?".repeat([...bad].length)}b é 温`);
    const json = formatJson({ name: `a${bad}b é 温` });
    expect(safeLine(json)).to.equal(json);
    expect(JSON.parse(json)).to.deep.equal({ name: `a${bad}b é 温` });
  });

  it("faults and vendors have names", () => {
    const status = { isPowerOn: true, powerRestorePolicy: "previous", hasPowerOverload: true } as const;
    expect(faultsOf({ ...status, hasPowerFault: true, hasPowerControlFault: true })).to.deep.equal([
      "overload",
      "power fault",
      "control fault",
    ]);
    expect(vendorName(674)).to.equal("Dell (674)");
    expect(vendorName(99999)).to.equal("99999");
  });
});
