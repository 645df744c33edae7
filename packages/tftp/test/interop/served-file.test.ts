// What is served from a real folder: symlinks inside yes, outside no; regular files only.
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { TftpError } from "../../src/errors.ts";
import { openRoot, openServedFile, type ServedRoot } from "../../src/path.ts";

describe("tftp served files", () => {
  let base: string;
  let top: string;
  let root: ServedRoot;

  const open = async (name: string): Promise<string> => {
    try {
      const { handle, sizeBytes } = await openServedFile(root, name);
      const text = await handle.readFile("utf8");
      await handle.close();
      return text.length === sizeBytes ? text : "size differs";
    } catch (error) {
      if (error instanceof TftpError) return `${error.code} ${error.tftpCode}`;
      throw error;
    }
  };

  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "tftp-root-"));
    top = join(base, "tftpboot");
    await mkdir(join(top, "uuid"), { recursive: true });
    await mkdir(join(top, "pxelinux.cfg"));
    await writeFile(join(top, "uuid", "config"), "config");
    await writeFile(join(base, "secret"), "secret");
    await mkdir(join(base, "tftpboot-old"));
    await writeFile(join(base, "tftpboot-old", "x"), "old");
    root = await openRoot(top);
  });
  afterEach(() => rm(base, { recursive: true, force: true }));

  it("serves pxelinux.cfg/01-mac: a symlink with an absolute target inside, and the absolute name of its target", async () => {
    await symlink(join(top, "uuid", "config"), join(top, "pxelinux.cfg", "01-52-54-00-00-00-01"));
    expect(await open("pxelinux.cfg/01-52-54-00-00-00-01")).to.equal("config");
    expect(await open(join(top, "uuid", "config"))).to.equal("config");
  });

  it("serves through relative symlinks, links to folders, and a root that is a symlink itself", async () => {
    await symlink("../uuid/config", join(top, "pxelinux.cfg", "default"));
    await symlink("uuid", join(top, "current"));
    expect(await open("pxelinux.cfg/default")).to.equal("config");
    expect(await open("current/config")).to.equal("config");
    await symlink(top, join(base, "alias"));
    root = await openRoot(join(base, "alias"));
    expect(await open(join(base, "alias", "uuid", "config"))).to.equal("config");
    expect(await open(join(top, "uuid", "config"))).to.equal("config");
  });

  it("no symlink leads out: file, folder, relative, a neighbour with the root's name as its beginning", async () => {
    await symlink(join(base, "secret"), join(top, "absolute"));
    await symlink("../secret", join(top, "relative"));
    await symlink(base, join(top, "folder"));
    await symlink(join(base, "tftpboot-old", "x"), join(top, "neighbour"));
    for (const name of ["absolute", "relative", "folder/secret", "neighbour", "../secret", "uuid/../../secret"]) {
      expect(await open(name), name).to.equal("AccessViolation 2");
    }
    expect(await open(join(base, "secret"))).to.equal("NotFound 1");
  });

  it("regular files only; loops and missing files have their numbers", async () => {
    execFileSync("mkfifo", [join(top, "fifo")]);
    await symlink("/dev/zero", join(top, "zero"));
    await symlink("loop", join(top, "loop"));
    for (const name of ["uuid", "fifo", "zero", "loop"]) expect(await open(name), name).to.equal("AccessViolation 2");
    for (const name of ["none", "uuid/config/deeper", "x".repeat(300)]) expect(await open(name)).to.equal("NotFound 1");
  });
});
