// NODE_ISCSI_PCAP read by tshark: whole sessions with our target and tgtd dissect without a complaint (Debian: tshark).
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { connect } from "node-iscsi";
import { IscsiTarget } from "node-iscsi/target";
import { captureFromEnvironment } from "../../src/pcap.ts";
import { Tgtd } from "./tgtd.ts";

const run = promisify(execFile);
const MIB = 1024 * 1024;
const targetName = "iqn.2026-11.test:pcap";

/** What tshark says, with every checksum checked. `filter` is a display filter. */
async function tshark(file: string, port: number, filter: string, fields: string[] = []): Promise<string[]> {
  const checks = ["ip", "tcp", "udp"].flatMap((protocol) => ["-o", `${protocol}.check_checksum:TRUE`]);
  const columns = fields.length === 0 ? [] : ["-T", "fields", ...fields.flatMap((field) => ["-e", field])];
  const args = ["-r", file, "-d", `tcp.port==${port},iscsi`, ...checks, "-Y", filter, ...columns];
  const { stdout } = await run("tshark", args, { maxBuffer: 64 * MIB });
  return stdout.split("\n").filter((line) => line !== "");
}

/** Segments with FIN in a capture, as far as it is written: classic pcap records of raw IP packets. */
async function finsIn(file: string): Promise<number> {
  const bytes = await readFile(file);
  let fins = 0;
  for (let at = 24; at + 16 + 60 <= bytes.length; at += 16 + bytes.readUInt32LE(at + 8)) {
    const ipBytes = bytes.readUInt8(at + 16) >> 4 === 6 ? 40 : 20;
    fins += bytes.readUInt8(at + 16 + ipBytes + 13) & 1;
  }
  return fins;
}

/** The file is written behind the session. Its last segments are a FIN of either side and the answer, written together. */
async function complete(file: string, streams: number): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const fins = await finsIn(file);
    if (fins === 2 * streams) return;
    if (Date.now() > deadline) throw new Error(`the capture has ${fins} FINs, not ${2 * streams}`);
  }
}

const COMPLAINTS =
  "_ws.malformed || tcp.analysis.flags || tcp.checksum.status==0 || ip.checksum.status==0 || _ws.expert.severity==8388608";

async function moveData(port: number, address: string, name: string, lbaBytes: number, bytes: number): Promise<void> {
  const session = await connect({
    address,
    port,
    targetName: name,
    lun: 1,
    wishes: { initialR2T: true, immediateData: false },
  });
  const device = await session.blockDevice();
  const data = randomBytes(bytes);
  await device.write(lbaBytes, data);
  expect((await device.read(lbaBytes, bytes)).equals(data)).to.equal(true);
  await session.logout();
}

describe("NODE_ISCSI_PCAP", () => {
  let directory: string;
  let count = 0;
  let file: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "pcap-"));
  });

  after(() => rm(directory, { recursive: true, force: true }));

  beforeEach(() => {
    // A path of its own: the writer of a path lives as long as the process.
    count += 1;
    file = join(directory, `${count}.pcap`);
    process.env["NODE_ISCSI_PCAP"] = file;
  });

  afterEach(() => {
    delete process.env["NODE_ISCSI_PCAP"];
  });

  async function expectWholeSession(port: number, lba: number, blocks: number): Promise<void> {
    await complete(file, 1);
    expect(await tshark(file, port, COMPLAINTS)).to.deep.equal([]);
    const opcodes = (await tshark(file, port, "iscsi", ["iscsi.opcode"])).flatMap((line) => line.split(","));
    // RFC 7143 11.2.1.2: login 03/23, SCSI command 01, R2T 31, Data-Out 05, SCSI response 21, Data-In 25, logout 06/26.
    for (const opcode of ["0x03", "0x23", "0x01", "0x31", "0x05", "0x21", "0x25", "0x06", "0x26"])
      expect(opcodes).to.include(opcode);
    const writes = await tshark(file, port, "iscsi.opcode==0x01 && scsi_sbc.opcode==0x8a", [
      "scsi.lun",
      "scsi_sbc.rdwr16.lba",
      "scsi_sbc.rdwr12.xferlen",
    ]);
    expect(writes.length).to.be.above(0);
    const [luns, lbas, lengths] = (writes[0] ?? "").split("\t").map((cell) => cell.split(","));
    expect(luns?.[0]).to.equal("0x0001");
    expect(BigInt(`0x${(lbas?.[0] ?? "").replace(/[^0-9a-f]/gi, "")}`)).to.equal(BigInt(lba));
    expect(Number(lengths?.[0])).to.equal(blocks);
  }

  it("captures a session with our target, over IPv4 and IPv6", async () => {
    for (const address of ["127.0.0.1", "::1"]) {
      file = process.env["NODE_ISCSI_PCAP"] = join(directory, `own-${address.length}.pcap`);
      const backing = { memoryBytes: 16 * MIB };
      const target = await IscsiTarget.listen({ address, targetName, backing, limits: { maxBurstBytes: 65_536 } });
      try {
        await moveData(target.port, address, targetName, 77 * 512, 300 * 512);
        await expectWholeSession(target.port, 77, 300);
      } finally {
        await target.close();
      }
    }
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
  });

  it("captures a session with tgtd", async () => {
    const tgtd = await Tgtd.start({ sizeBytes: 16 * MIB });
    try {
      await moveData(tgtd.port, "127.0.0.1", tgtd.targetName, 99 * 512, 1024 * 512);
      await expectWholeSession(tgtd.port, 99, 1024);
    } finally {
      await tgtd.stop();
    }
  });

  it("keeps several sessions at once apart, and adds later ones", async () => {
    const target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: 16 * MIB } });
    try {
      // Each in a place of its own: they read back what they wrote.
      const at = (mebibytes: number) => moveData(target.port, "127.0.0.1", targetName, mebibytes * MIB, 2 * MIB);
      await Promise.all([at(0), at(4), at(8)]);
      await at(12);
      await complete(file, 4);
      expect(await tshark(file, target.port, COMPLAINTS)).to.deep.equal([]);
      expect(new Set(await tshark(file, target.port, "tcp", ["tcp.stream"])).size).to.equal(4);
      const logouts = await tshark(file, target.port, "iscsi.opcode==0x26");
      expect(logouts).to.have.length(4);
    } finally {
      await target.close();
    }
  });

  it("keeps order and checksums when it is given more than the disk takes, odd lengths included", async () => {
    const capture = captureFromEnvironment({
      localAddress: "::ffff:10.0.0.1",
      localPort: 40_000,
      remoteAddress: "10.0.0.7",
      remotePort: 3260,
    });
    const bytes = randomBytes(200_003);
    for (let at = 0; at < 300; at++) capture?.sent(bytes.subarray(at % 7, bytes.length - (at % 3)));
    capture?.received(bytes.subarray(1, 2));
    capture?.end();
    await complete(file, 1);
    expect(await tshark(file, 4000, COMPLAINTS)).to.deep.equal([]);
    const segments = await tshark(file, 4000, "tcp.srcport==40000 && tcp.len>0", ["tcp.len", "ip.src", "ip.dst"]);
    const total = segments.reduce((sum, line) => sum + Number(line.split("\t")[0]), 0);
    let expected = 0;
    for (let at = 0; at < 300; at++) expected += bytes.length - (at % 7) - (at % 3);
    expect(total).to.equal(expected);
    expect(segments[0]?.split("\t").slice(1)).to.deep.equal(["10.0.0.1", "10.0.0.7"]);
  });

  it("warns once and leaves the session alone when it cannot write", async () => {
    const elsewhere = join(directory, "elsewhere");
    await writeFile(elsewhere, "mine");
    const link = join(directory, "link.pcap");
    await symlink(elsewhere, link);
    const target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: 16 * MIB } });
    const warnings: string[] = [];
    const onWarning = (warning: Error) => {
      if (warning.name === "IscsiCaptureWarning") warnings.push(warning.message);
    };
    process.on("warning", onWarning);
    try {
      for (const path of [join(directory, "missing", "x.pcap"), link, "/dev/full"]) {
        warnings.length = 0;
        process.env["NODE_ISCSI_PCAP"] = path;
        await moveData(target.port, "127.0.0.1", targetName, 0, MIB);
        await moveData(target.port, "127.0.0.1", targetName, 0, MIB);
        expect(warnings, path).to.have.length(1);
        expect(warnings[0]).to.contain(path);
      }
      expect((await stat(elsewhere)).size).to.equal(4);
    } finally {
      process.removeListener("warning", onWarning);
      await target.close();
    }
  });
});
