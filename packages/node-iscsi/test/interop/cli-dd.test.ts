// node-iscsi dd where copies go wrong: the same bytes at both ends, outputs without offsets, too much data, targets that fail.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { link, mkdtemp, open, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { type Backing, IscsiTarget } from "node-iscsi/target";
import { FileDevice } from "../../src/cli/file-device.ts";
import { COMMAND, cli, outcomeOf, start } from "./cli-command.ts";

const run = promisify(execFile);
const MIB = 1024 * 1024;
const SIZE = 4 * MIB;

/** Resolves with the offset of the first write for which `isMeant` is true; it and the others are carried out all the same. */
function onWrite(backing: Backing, isMeant: (offset: number) => boolean): Promise<number> {
  const write = backing.write.bind(backing);
  return new Promise((resolve) => {
    backing.write = (offset, data) => {
      if (isMeant(offset)) resolve(offset);
      return write(offset, data);
    };
  });
}

async function contentOf({ backing }: IscsiTarget): Promise<Buffer> {
  const content = Buffer.alloc(backing.sizeBytes);
  await backing.read(0, content);
  return content;
}

describe("node-iscsi dd", () => {
  let directory: string;
  let target: IscsiTarget;
  let url: string;
  const file = (name: string) => join(directory, name);
  const urlOf = ({ port, targetName }: IscsiTarget) => `iscsi://127.0.0.1:${port}/${targetName}/1`;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "cli-dd-"));
    target = await IscsiTarget.listen({
      address: "127.0.0.1",
      targetName: "iqn.2026-11.test:dd",
      backing: { memoryBytes: SIZE },
    });
    url = urlOf(target);
  });

  afterEach(async () => {
    await target.close();
    await rm(directory, { recursive: true, force: true });
  });

  it("leaves a file alone that is its own source, under whatever name", async () => {
    const data = randomBytes(5000);
    await writeFile(file("image"), data);
    await link(file("image"), file("hard"));
    await symlink(file("image"), file("soft"));
    const fromStdin = `"$@" dd --if - --of ${file("image")} < ${file("image")}`;
    const outcomes = await Promise.all([
      ...[`${directory}/./image`, file("hard"), file("soft")].map((to) => cli("dd", "--if", file("image"), "--of", to)),
      run("sh", ["-c", fromStdin, "sh", ...COMMAND]).then(
        () => ({ status: 0, stderr: "" }),
        (error) => ({ status: error.code, stderr: error.stderr }),
      ),
    ]);
    for (const { status, stderr } of outcomes) {
      expect(status, stderr).to.equal(2);
      expect(stderr).to.contain("are the same file; nothing was changed");
    }
    expect((await readFile(file("image"))).equals(data)).to.equal(true);
  });

  it("refuses two URLs of one disk", async () => {
    const other = url.replace("127.0.0.1", "localhost");
    const { status, stderr } = await cli("dd", "--if", url, "--of", other, "--seek", "1M");
    expect(status, stderr).to.equal(2);
    expect(stderr).to.contain("are the same disk; nothing was changed");
  });

  it("copies disk to disk, and back to a file with --sparse over old data", async () => {
    const second = await IscsiTarget.listen({
      address: "127.0.0.1",
      targetName: "iqn.2026-11.test:dd2",
      backing: { memoryBytes: SIZE },
    });
    try {
      const data = Buffer.alloc(SIZE);
      randomBytes(MIB).copy(data, MIB);
      await target.backing.write(0, data);
      await second.backing.write(0, randomBytes(SIZE));
      const copied = await cli("dd", "--if", url, "--of", urlOf(second), "--sparse", "--verify", "sha256");
      expect(copied.status, copied.stderr).to.equal(0);
      expect((await contentOf(second)).equals(data)).to.equal(true);
      const old = randomBytes(SIZE + 5000);
      await writeFile(file("old"), old);
      const back = await cli("dd", "--if", urlOf(second), "--of", file("old"), "--sparse", "--seek", "100");
      expect(back.status, back.stderr).to.equal(0);
      expect((await readFile(file("old"))).equals(Buffer.concat([old.subarray(0, 100), data]))).to.equal(true);
    } finally {
      await second.close();
    }
  });

  it("writes zeros where old data may stand, and holes only where a file was cut", async () => {
    const old = Buffer.alloc(MIB, 0xee);
    await writeFile(file("kept"), old);
    // As a block device is: opened, and never cut.
    const device = await FileDevice.toWrite(file("kept"));
    await device.writeZeroes(4096, 8192);
    await device.close();
    const expected = Buffer.from(old).fill(0, 4096, 4096 + 8192);
    expect((await readFile(file("kept"))).equals(expected)).to.equal(true);
    const cut = await FileDevice.toWrite(file("kept"));
    await cut.cut(0);
    await cut.writeZeroes(0, MIB);
    await cut.setSize(MIB);
    await cut.close();
    expect((await readFile(file("kept"))).equals(Buffer.alloc(MIB))).to.equal(true);
    expect((await stat(file("kept"))).blocks).to.equal(0);
  });

  it("writes to /dev/null and to a pipe, which have no offsets", async () => {
    await target.backing.write(0, randomBytes(SIZE));
    await run("mkfifo", [file("pipe")]);
    const reader = open(file("pipe"), "r").then(async (pipe) => {
      const data = await pipe.readFile();
      await pipe.close();
      return data;
    });
    const [toNull, toPipe, seek, verify] = await Promise.all([
      cli("dd", "--if", url, "--of", "/dev/null"),
      cli("dd", "--if", url, "--of", file("pipe"), "--bs", "64k"),
      cli("dd", "--if", url, "--of", "/dev/null", "--seek", "512"),
      cli("dd", "--if", url, "--of", "/dev/null", "--verify", "sha256"),
    ]);
    for (const { status, stderr } of [toNull, toPipe]) {
      expect(status, stderr).to.equal(0);
      expect(stderr).to.contain(`${SIZE} bytes`);
    }
    expect((await reader).equals(await contentOf(target))).to.equal(true);
    expect([seek.status, verify.status]).to.deep.equal([2, 2]);
    expect(seek.stderr).to.contain("--seek needs a disk or a file");
    expect(verify.stderr).to.contain("--verify cannot read back what went to /dev/null");
  });

  it("ends without a word when nobody reads its output any more", async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    const script = '"$@" | head -c 10 | wc -c; echo "status ${PIPESTATUS[0]}"';
    const { stdout, stderr } = await run("bash", ["-c", script, "bash", ...COMMAND, "dd", "--if", url, "--of", "-"]);
    expect([stdout, stderr]).to.deep.equal(["10\nstatus 141\n", ""]);
  });

  it("refuses a file that is larger than the disk before it writes", async () => {
    await writeFile(file("large"), Buffer.alloc(SIZE + 1, 1));
    const { status, stderr } = await cli("dd", "--if", file("large"), "--of", url);
    expect(status, stderr).to.equal(1);
    expect(stderr).to.contain("the input is larger than the disk").and.contain("nothing was written");
    expect((await contentOf(target)).every((byte) => byte === 0)).to.equal(true);
  });

  it("fills the disk from a standard input that is larger, and says so", async () => {
    const data = randomBytes(SIZE + 100_000);
    const { status, stderr } = await outcomeOf(start(["dd", "--if", "-", "--of", url, "--bs", "64k"]), data);
    expect(status, stderr).to.equal(1);
    expect(stderr).to.contain(
      `the input is larger than the disk (${SIZE} bytes): the first ${SIZE} bytes were written`,
    );
    expect((await contentOf(target)).equals(data.subarray(0, SIZE))).to.equal(true);
    const fitting = await outcomeOf(start(["dd", "--if", "-", "--of", url]), data.subarray(0, SIZE));
    expect(fitting.status, fitting.stderr).to.equal(0);
  });

  it("names its own options, and a way out", async () => {
    const cases = [
      [["--if", url, "--of", "/dev/null", "--bs", "1000"], 2, "--bs 1000 is not a multiple of 512"],
      [["--if", "/dev/zero", "--of", url, "--seek", "7"], 2, "--seek 7 is not a multiple of 512"],
      [["--if", "/dev/zero", "--of", url, "--seek", "1G"], 2, "--seek 1073741824 is beyond the end"],
      [["--if", url, "--of", "/dev/null", "--skip", "5M"], 2, "--skip 5242880 is beyond the end"],
      [["--if", "-", "--of", url, "--skip", "5"], 2, "--skip 5 is beyond the end of standard input, which has 0"],
      [["--if", file("missing"), "--of", url], 1, "there is no such file; check the path"],
      [["--if", url, "--of", file("missing/image")], 1, "its directory does not exist; check the path"],
      [["--if", url, "--of", directory], 1, "that is a directory"],
    ] as const;
    const outcomes = await Promise.all(cases.map(([args]) => cli("dd", ...args)));
    for (const [index, { status, stderr }] of outcomes.entries()) {
      expect(stderr)
        .to.contain(cases[index]?.[2])
        .and.not.match(/chunkBytes|start \d|ENOENT/);
      expect(status, stderr).to.equal(cases[index]?.[1]);
    }
  });

  it("says once that a read-only disk is as it was", async () => {
    target.faults.isWriteProtected = true;
    const { status, stderr } = await cli("dd", "--if", "/dev/zero", "--of", url, "--count", "1M", "--bs", "64k");
    expect(status, stderr).to.equal(1);
    expect(stderr).to.contain(`nothing was written to ${url}\n`).and.contain("write protected");
    expect(stderr).to.not.match(/may have been|untouched/);
  });

  it("finds by --verify what the disk did not keep", async () => {
    const { backing } = target;
    const write = backing.write.bind(backing);
    backing.write = async (offset, data) => {
      const kept = Buffer.from(data);
      if (offset <= MIB && offset + kept.length > MIB) kept[MIB - offset] = 0xff;
      await write(offset, kept);
    };
    const args = ["dd", "--if", "/dev/zero", "--of", url, "--count", "2M", "--verify", "sha256"];
    const { status, stderr } = await cli(...args);
    expect(status, stderr).to.equal(1);
    expect(stderr).to.contain("verification failed").and.not.contain("verified");
  });

  it("gives up in order when the target is gone in the middle", async () => {
    target.faults.delayMs = 20;
    const begun = onWrite(target.backing, (offset) => offset > 32 * 4096);
    const done = cli("dd", "--if", "/dev/zero", "--of", url, "--bs", "4k", "--timeout", "2");
    await begun;
    await target.close();
    const { status, stderr } = await done;
    expect(status, stderr).to.equal(1);
    const acknowledged = Number(/^(\d+) bytes from 0 on were acknowledged/m.exec(stderr)?.[1]);
    expect(acknowledged).to.be.above(0).and.below(SIZE);
    expect(stderr)
      .to.contain("later ones may have been written too")
      .and.match(/ECONNREFUSED|lost/);
  });

  for (const [signal, expected] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    it(`ends a copy in order on ${signal} and says what the disk acknowledged`, async () => {
      target.faults.delayMs = 20;
      // Every command is slow: the disk is not full before the signal comes.
      const begun = onWrite(target.backing, (offset) => offset > 32 * 4096);
      const child = start(["dd", "--if", "/dev/zero", "--of", url, "--bs", "4k"]);
      const done = outcomeOf(child);
      await begun;
      child.kill(signal);
      const { status, stderr } = await done;
      expect(status, stderr).to.equal(expected);
      const acknowledged = Number(/^(\d+) bytes from 0 on were acknowledged/m.exec(stderr)?.[1]);
      expect(acknowledged).to.be.above(0).and.below(SIZE);
      expect(stderr).to.contain(`interrupted by ${signal}`);
    });
});
