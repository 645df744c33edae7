// The node-iscsi command as an operator runs it: against tgtd and our own target, and beside libiscsi's tools.
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { IscsiTarget } from "node-iscsi/target";
import { cli, outcomeOf, start } from "./cli-command.ts";
import { Tgtd } from "./tgtd.ts";

const run = promisify(execFile);
const MIB = 1024 * 1024;
describe("node-iscsi command against tgtd", () => {
  let tgtd: Tgtd;
  let directory: string;
  let url: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "cli-"));
    tgtd = await Tgtd.start({ sizeBytes: 32 * MIB, blockSize: 4096 });
    url = `iscsi://127.0.0.1:${tgtd.port}/${tgtd.targetName}/1`;
  });

  after(async () => {
    await tgtd?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it("ls -s lists what iscsi-ls lists", async () => {
    const portal = `iscsi://127.0.0.1:${tgtd.port}`;
    const [ours, theirs] = await Promise.all([cli("ls", "-s", "--json", portal), run("iscsi-ls", ["-s", portal])]);
    expect([ours.status, ours.stderr]).to.deep.equal([0, ""]);
    const [target] = JSON.parse(ours.stdout.toString());
    expect(target.targetName).to.equal(tgtd.targetName);
    expect(target.portals).to.deep.equal([{ address: "127.0.0.1", port: tgtd.port, tpgt: 1 }]);
    const disk = target.luns.find((each: { lun: number }) => each.lun === 1);
    expect([disk.type, disk.sizeBytes, disk.blockSize]).to.deep.equal(["disk", 32 * MIB, 4096]);
    for (const { lun } of target.luns) expect(theirs.stdout).to.contain(`Lun:${lun} `);
    expect(theirs.stdout.match(/^Lun:/gm)).to.have.length(target.luns.length);
  });

  it("ls prints lines, and URLs to copy", async () => {
    const text = await cli("ls", "-s", `iscsi://127.0.0.1:${tgtd.port}`);
    expect(text.stdout.toString()).to.match(/ {2}lun 1 +disk +32 MiB {2}4096-byte blocks {2}IET VIRTUAL-DISK\n/);
    const urls = await cli("ls", "-s", "--url", `iscsi://127.0.0.1:${tgtd.port}`);
    expect(urls.stdout.toString()).to.equal(`${url}\n`);
  });

  it("inq says what iscsi-inq says", async () => {
    const theirs = (await run("iscsi-inq", [url])).stdout;
    const ours = JSON.parse((await cli("inq", "--json", url)).stdout.toString());
    for (const [name, value] of [
      ["Vendor", ours.vendor],
      ["Product", ours.product],
      ["Revision", ours.revision],
    ])
      expect(theirs).to.match(new RegExp(`^${name}:${value} *$`, "m"));
    const serial = (await run("iscsi-inq", ["-e", "1", "-c", "128", url])).stdout;
    const page = JSON.parse((await cli("inq", "-e", "1", "-c", "0x80", "--json", url)).stdout.toString());
    expect(page.serialNumber).to.have.length.above(0);
    expect(serial).to.contain(page.serialNumber);
  });

  it("inq of a LUN that is not there fails, and dd says that LUN 0 is no disk", async () => {
    const [missing, page, controller, noDisk] = await Promise.all([
      cli("inq", url.replace(/1$/, "9")),
      cli("inq", "-c", "0x83", url.replace(/1$/, "9")),
      cli("dd", "--if", "/dev/zero", "--of", url.replace(/1$/, "0"), "--count", "1M"),
      cli("dd", "--if", url.replace(/1$/, "9"), "--of", join(directory, "never")),
    ]);
    for (const { status, stderr } of [missing, page]) {
      expect(status, stderr).to.equal(1);
      expect(stderr).to.contain("LUN").and.contain("ls -s");
    }
    expect(controller.status, controller.stderr).to.equal(1);
    expect(controller.stderr).to.contain("LUN 0 of").and.contain("is no disk but a storage controller");
    expect(controller.stderr).to.contain(`"node-iscsi ls -s iscsi://127.0.0.1:${tgtd.port}"`);
    expect([noDisk.status, noDisk.stderr.includes("no such LUN")], noDisk.stderr).to.deep.equal([1, true]);
  });

  it("dd writes an image, verified, to the disk behind the target, and reads it back with its holes", async () => {
    const image = Buffer.alloc(9 * MIB + 4097);
    randomBytes(3 * MIB).copy(image, MIB);
    randomBytes(4097).copy(image, 9 * MIB);
    const source = join(directory, "image.raw");
    await writeFile(source, image);
    const written = await cli("dd", "--if", source, "--of", url, "--seek", "1M", "--sparse", "--verify", "sha256");
    expect([written.status, written.stdout.length]).to.deep.equal([0, 0]);
    expect(written.stderr).to.contain(`${image.length} bytes (9.0 MiB) copied`);
    expect(written.stderr).to.contain(`verified, sha256 ${createHash("sha256").update(image).digest("hex")}`);
    expect((await readFile(tgtd.backingPath)).subarray(MIB, MIB + image.length).equals(image)).to.equal(true);
    const copy = join(directory, "copy.raw");
    const back = await cli(
      ...["dd", "--if", url, "--of", copy, "--skip", "1M", "--count", String(image.length), "--sparse"],
    );
    expect(back.status, back.stderr).to.equal(0);
    expect((await readFile(copy)).equals(image)).to.equal(true);
    expect((await stat(copy)).blocks * 512).to.be.below(image.length - 4 * MIB);
  });

  it("dd copies standard input to the disk and the disk to standard output", async () => {
    const data = randomBytes(3 * MIB + 5);
    const written = await outcomeOf(start(["dd", "--if", "-", "--of", url, "--bs", "64k"]), data);
    expect(written.status, written.stderr).to.equal(0);
    const back = await cli("dd", "--if", url, "--of", "-", "--count", String(data.length - 7), "--skip", "7");
    expect(back.status, back.stderr).to.equal(0);
    expect(back.stdout.equals(data.subarray(7))).to.equal(true);
  });

  it("perf measures, and refuses to write without --dataloss", async () => {
    const measured = await cli("perf", url, "--runtime", "1.2", "--random", "--json");
    expect(measured.status, measured.stderr).to.equal(0);
    const result = JSON.parse(measured.stdout.toString());
    expect(result.operation).to.equal("random read");
    expect(result.commands).to.be.above(10);
    expect(result.latencyMs.p99).to.be.at.least(result.latencyMs.p50);
    expect(result.perSecond).to.have.length(1);
    const before = await readFile(tgtd.backingPath);
    const refused = await cli("perf", "--write", url);
    expect([refused.status, refused.stdout.length]).to.deep.equal([2, 0]);
    expect(refused.stderr).to.contain("--dataloss");
    expect((await readFile(tgtd.backingPath)).equals(before)).to.equal(true);
  });
});

describe("node-iscsi command", () => {
  const chap = { user: "deploy", secret: "a-good-long-secret" };
  const targetName = "iqn.2026-11.test:cli";
  let target: IscsiTarget;
  let directory: string;
  let url: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "cli-"));
    target = await IscsiTarget.listen({
      address: "127.0.0.1",
      targetName,
      backing: { memoryBytes: 64 * MIB },
      chap,
    });
    url = `iscsi://127.0.0.1:${target.port}/${targetName}/1`;
  });

  after(async () => {
    await target?.close();
    await rm(directory, { recursive: true, force: true });
  });

  it("takes the secret from a file or the environment and never shows it", async () => {
    const file = join(directory, "secret");
    await writeFile(file, `${chap.secret}\n`, { mode: 0o600 });
    const fromFile = await cli("inq", url, "--chap-user", chap.user, "--chap-secret-file", file);
    expect(fromFile.status, fromFile.stderr).to.equal(0);
    expect(fromFile.stdout.toString()).to.contain("NODE-ISCSI DISK");
    const withUser = url.replace("//", `//${chap.user}@`);
    const environment = { NODE_ISCSI_CHAP_SECRET: chap.secret };
    expect((await outcomeOf(start(["inq", withUser], environment))).status).to.equal(0);
    const wrong = await outcomeOf(start(["inq", withUser], { NODE_ISCSI_CHAP_SECRET: "this-is-not-the-one" }));
    expect(wrong.status).to.equal(1);
    expect(wrong.stderr).to.contain("--chap-user").and.not.contain("this-is-not-the-one");
    expect(wrong.stderr.trim().split("\n")).to.have.length(1);
  });

  it("says in its own options what is wrong with the credentials", async () => {
    const withUser = url.replace("//", `//${chap.user}@`);
    const outcomes = await Promise.all([
      cli("inq", url),
      cli("ls", `iscsi://127.0.0.1:${target.port}`),
      cli("inq", withUser),
      outcomeOf(start(["inq", withUser], { NODE_ISCSI_CHAP_SECRET: "short" })),
    ]);
    const expected = [
      [1, "the target wants CHAP credentials and none were given; add --chap-user NAME and --chap-secret-file FILE"],
      [1, "the target wants CHAP credentials and none were given; add --chap-user NAME and --chap-secret-file FILE"],
      [2, "the secret of the CHAP user deploy is missing; give --chap-secret-file FILE or set NODE_ISCSI_CHAP_SECRET"],
      [2, "the secret of the CHAP user deploy has 5 bytes and needs at least 12"],
    ] as const;
    for (const [index, [status, text]] of expected.entries()) {
      expect(outcomes[index]?.stderr)
        .to.contain(text)
        .and.not.match(/allowShortSecrets|option chap/);
      expect(outcomes[index]?.status).to.equal(status);
    }
  });

  it("has a version", async () => {
    const manifest = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
    const { status, stdout } = await cli("--version");
    expect([status, stdout.toString()]).to.deep.equal([0, `${manifest.version}\n`]);
  });

  it("explains wrong arguments in one line with status 2", async () => {
    const cases = [
      [["frobnicate"], "there is no command frobnicate"],
      [["inq"], "expected iscsi://host[:port]/target-name/lun"],
      [["inq", "iscsi://127.0.0.1"], "names no target"],
      [["ls", "--colour", "iscsi://127.0.0.1"], "unknown option '--colour'"],
      [["dd", "--if", "-"], "--of is missing"],
      [["dd", "--if", "-", "--of", "-", "--bs", "much"], "--bs takes a size such as"],
      [["inq", `iscsi://deploy%secret99@127.0.0.1/${targetName}/1`], "password"],
    ] as const;
    const outcomes = await Promise.all(cases.map(([args]) => cli(...args)));
    for (const [index, { status, stderr }] of outcomes.entries()) {
      expect(status, stderr).to.equal(2);
      expect(stderr).to.contain(cases[index]?.[1]).and.not.contain("secret99");
      expect(stderr.trim().split("\n")).to.have.length(1);
    }
  });

  it("explains itself with --help", async () => {
    const overview = await cli("--help");
    expect(overview.status).to.equal(0);
    const names = ["ls", "inq", "dd", "perf"];
    const helps = await Promise.all(names.map((name) => cli(name, "--help")));
    for (const [index, help] of helps.entries()) {
      const name = names[index];
      expect(overview.stdout.toString()).to.match(new RegExp(`^ {2}${name} `, "m"));
      expect(help.status).to.equal(0);
      expect(help.stdout.toString()).to.contain(`Usage: node-iscsi ${name}`).and.contain("--chap-secret-file");
    }
  });
});
