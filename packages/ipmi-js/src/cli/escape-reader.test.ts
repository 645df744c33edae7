// Escapes of the console: where they count, and that no key is lost or doubled whatever way the reads are cut.
import { expect } from "chai";
import { EscapeReader } from "./escape-reader.ts";

/** Characters as text, what is meant for us in angle brackets. */
function read(...keys: string[]): string {
  const reader = new EscapeReader();
  return keys
    .flatMap((each) => reader.read(Buffer.from(each, "latin1")))
    .map((typed) => (typed.kind === "characters" ? typed.data.toString("latin1") : `<${typed.kind}>`))
    .join("");
}

describe("console escapes", () => {
  it("count at the beginning of a line only", () => {
    expect(read("~.")).to.equal("<leave>");
    expect(read("ls\r~.")).to.equal("ls\r<leave>");
    expect(read("ls\n~b~?x~.")).to.equal("ls\n<break><help>x~.");
    expect(read("cd ~\r")).to.equal("cd ~\r");
    expect(read("a~.")).to.equal("a~.");
  });

  it("two tildes are one, and one with anything else is both", () => {
    expect(read("~~.")).to.equal("~.");
    expect(read("~x\r~\r~.")).to.equal("~x\r~\r<leave>");
    expect(read("~~~.")).to.equal("~~.");
  });

  it("do not care how the reads are cut", () => {
    const keys = "a\r~~b\r~b\xff\0~\r~x~.\r~?\r~.";
    expect(read(...keys)).to.equal(read(keys));
    expect(read(keys)).to.equal("a\r~b\r<break>\xff\0~\r~x~.\r<help>\r<leave>");
  });
});
