// Names to paths, without touching a file system. Symlinks and file kinds: test/interop/served-file.test.ts.
import { expect } from "chai";
import { TftpError } from "./errors.ts";
import { isInside, relativePath, type ServedRoot } from "./path.ts";

const root: ServedRoot = { path: "/srv/tftp", prefixes: [["srv", "tftp", "deep"], ["srv", "tftp"], ["tftpboot"]] };
const codeOf = (name: string) => {
  try {
    return relativePath(root, name);
  } catch (error) {
    return error instanceof TftpError ? error.code : error;
  }
};

describe("tftp names", () => {
  it("takes relative, absolute, prefixed and backslashed names", () => {
    const cases: Record<string, string> = {
      "pxelinux.0": "pxelinux.0",
      "/pxelinux.0": "pxelinux.0",
      "//pxelinux.cfg//01-aa": "pxelinux.cfg/01-aa",
      "/tftpboot/uuid/kernel": "uuid/kernel",
      "/srv/tftp/uuid/kernel": "uuid/kernel",
      "/srv/tftp/deep/x": "x",
      "\\tftpboot\\uuid\\kernel": "uuid/kernel",
      "boot\\x.efi": "boot/x.efi",
      "./a/./b": "a/b",
      "a/../b": "b",
    };
    for (const [name, path] of Object.entries(cases)) expect(codeOf(name), name).to.equal(path);
  });

  it("takes a prefix at a component's end only, and only off an absolute name", () => {
    expect(codeOf("/tftpbootx/a")).to.equal("tftpbootx/a");
    expect(codeOf("tftpboot/a")).to.equal("tftpboot/a");
  });

  it("does not climb out", () => {
    for (const name of [
      "../x",
      "/../x",
      "a/../../x",
      "..\\x",
      "/tftpboot/../etc/passwd",
      "/srv/tftp/../../etc/passwd",
      "..",
    ]) {
      expect(codeOf(name), name).to.equal("AccessViolation");
    }
  });

  it("keeps an absolute path outside below the root, and decodes nothing", () => {
    expect(codeOf("/etc/passwd")).to.equal("etc/passwd");
    expect(codeOf("a%00b")).to.equal("a%00b");
    expect(codeOf("%2e%2e/b")).to.equal("%2e%2e/b");
  });

  it("refuses NUL and names of nothing", () => {
    expect(codeOf("a\0b")).to.equal("AccessViolation");
    for (const name of ["/", ".", "/tftpboot", "a/.."]) expect(codeOf(name), name).to.equal("NotFound");
  });

  it("knows inside from beside", () => {
    expect(isInside("/srv/tftp", "/srv/tftp/a")).to.equal(true);
    expect(isInside("/srv/tftp", "/srv/tftpx/a")).to.equal(false);
    expect(isInside("/", "/etc")).to.equal(true);
  });
});
