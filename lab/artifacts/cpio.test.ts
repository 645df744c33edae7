// The cpio writer, judged by busybox's cpio: another reader of the format that the kernel reads.
import { spawnSync } from "node:child_process";
import { expect } from "chai";
import { CpioWriter } from "./cpio.ts";
import { BUSYBOX } from "./initramfs.ts";

function list(archive: Buffer): string[] {
  const { status, stdout, stderr } = spawnSync(BUSYBOX, ["cpio", "-tv"], { input: archive });
  expect(status, String(stderr)).to.equal(0);
  return String(stdout).trimEnd().split("\n");
}

describe("lab: CpioWriter", () => {
  it("writes members that busybox's cpio lists with their types, permissions, sizes and targets", () => {
    const archive = new CpioWriter()
      .folder("bin")
      .file("bin/odd", "three", 0o755)
      .link("bin/sh", "busybox")
      .characterDevice("dev/console", 5, 1)
      .file("etc/name", "");
    // The date is the archive's zero in whatever zone.
    const seen = list(archive.toBuffer()).map((line) => line.replace(/ 19(70|69)-\d\d-\d\d \d\d:\d\d:\d\d/, ""));
    expect(seen.map((line) => line.replace(/ +/g, " "))).to.deep.equal([
      "drwxr-xr-x 0/0 0 bin",
      "-rwxr-xr-x 0/0 5 bin/odd",
      "lrwxrwxrwx 0/0 0 bin/sh -> busybox",
      "crw------- 0/0 0 dev/console",
      "-rw-r--r-- 0/0 0 etc/name",
    ]);
  });

  it("gives the content back byte for byte, whatever its padding", () => {
    for (const length of [0, 1, 2, 3, 4, 5, 4095]) {
      const content = Buffer.alloc(length, 0xa5);
      const archive = new CpioWriter().file("first", content).file("second", "end").toBuffer();
      const { stdout } = spawnSync(BUSYBOX, ["cpio", "-i", "--to-stdout"], { input: archive });
      expect(stdout.equals(Buffer.concat([content, Buffer.from("end")])), `${length} bytes`).to.equal(true);
    }
  });

  it("is the same for the same members, and aligned as the kernel wants it", () => {
    const build = () => new CpioWriter().file("abc", "12345").toBuffer();
    expect(build().equals(build())).to.equal(true);
    expect(build().length % 4).to.equal(0);
  });

  it("keeps device numbers in c_rdevmajor and c_rdevminor, which busybox does not list (buffer-format: bytes 78 and 86)", () => {
    const archive = new CpioWriter().characterDevice("dev/tty", 0xa5, 0x1c).toBuffer();
    expect(archive.toString("latin1", 78, 94)).to.equal("000000a50000001c");
  });
});
