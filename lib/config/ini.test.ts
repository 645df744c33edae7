// The INI form of oslo.config, by hand-written texts.
import { expect } from "chai";
import { parseIni } from "./ini.ts";

const pairs = (text: string) => parseIni(text, "f").map(({ section, key, value, line }) => [section, key, value, line]);

describe("parseIni", () => {
  it("reads sections, both separators, comments and blank lines", () => {
    const text = "top = 0\n\n# c\n[a]\nx = 1\n; c = 2\ny: two words  \n[ b ]\nz=\n";
    expect(pairs(text)).to.deep.equal([
      ["DEFAULT", "top", "0", 1],
      ["a", "x", "1", 5],
      ["a", "y", "two words", 7],
      ["b", "z", "", 9],
    ]);
  });

  it("keeps separators and comment signs that stand inside a value", () => {
    const url = "mysql://u:p#a;b=c@h:3306/nova_bm?x=y";
    expect(pairs(`k = ${url}`)).to.deep.equal([["DEFAULT", "k", url, 1]]);
    expect(pairs("k = cpu_arch:{i386|x86_64}")).to.deep.equal([["DEFAULT", "k", "cpu_arch:{i386|x86_64}", 1]]);
  });

  it("goes on with a line that begins with blanks, past comments, up to an empty line", () => {
    expect(pairs("k = a\n  b\n# c\n\tc\n")).to.deep.equal([["DEFAULT", "k", "a\nb\nc", 1]]);
    expect(() => parseIni("k = a\n\n  b", "nova.conf")).to.throw(/^nova.conf:3: .*continuation/);
  });

  it("keeps repeated keys, line ends of Windows, a byte order mark, and takes quotes off", () => {
    expect(pairs("\uFEFFk = 1\r\nk = \" 2 \"\r\nk = 'it''s'\r\n")).to.deep.equal([
      ["DEFAULT", "k", "1", 1],
      ["DEFAULT", "k", " 2 ", 2],
      ["DEFAULT", "k", "it''s", 3],
    ]);
  });

  it("says where a line is neither, and shows little of it", () => {
    expect(() => parseIni("a = 1\nsecretsecretsecretsecret", "x.conf")).to.throw(/^x.conf:2: "secretsecretsecr\.\.\."/);
    expect(() => parseIni("[]", "x.conf")).to.throw(/^x.conf:1: a section without a name/);
  });
});
