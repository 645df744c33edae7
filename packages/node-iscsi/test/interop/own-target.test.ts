// Our target driven by real initiators: libiscsi's tools and qemu-img's iscsi:// driver (Debian: libiscsi-bin, qemu-block-extra).
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { connect, discover, LoginError } from "node-iscsi";
import { IscsiTarget } from "node-iscsi/target";

const run = promisify(execFile);
const MIB = 1024 * 1024;
const targetName = "iqn.2026-11.test:own";
const chap = { user: "deploy", secret: "a-good-long-secret" };

for (const blockSize of [512, 4096]) {
  describe(`own target with ${blockSize}-byte blocks and real initiators`, () => {
    let directory: string;
    let target: IscsiTarget;
    let url: string;

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "own-target-"));
      const backing = { path: join(directory, "disk.img"), sizeBytes: 32 * MIB };
      target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing, blockSize });
      url = `iscsi://127.0.0.1:${target.port}/${targetName}/1`;
    });

    after(async () => {
      await target?.close();
      await rm(directory, { recursive: true, force: true });
    });

    it("is listed by iscsi-ls with its LUN", async () => {
      const { stdout } = await run("iscsi-ls", ["-s", `iscsi://127.0.0.1:${target.port}`]);
      expect(stdout).to.contain(`Target:${targetName}`).and.contain(`127.0.0.1:${target.port},1`).and.contain("Lun:1");
    });

    it("answers iscsi-inq and iscsi-readcapacity16", async () => {
      const { stdout } = await run("iscsi-inq", [url]);
      expect(stdout).to.contain("NODE-ISCSI DISK").and.contain("DIRECT_ACCESS");
      const limits = await run("iscsi-inq", ["-e", "1", "-c", "178", url]);
      expect(limits.stdout).to.match(/lbprz:\s*1/i);
      const capacity = await run("iscsi-readcapacity16", [url]);
      expect(capacity.stdout).to.contain(`Total size:${32 * MIB}`);
      expect(capacity.stdout).to.contain(`LOGICAL BLOCK LENGTH IN BYTES:${blockSize}`);
    });

    it("takes an image from qemu-img, holes zeroed over old data, and gives it back", async () => {
      const image = Buffer.alloc(32 * MIB);
      for (const at of [0, 5, 17, 31]) randomBytes(MIB - 4096).copy(image, at * MIB);
      const source = join(directory, "source.raw");
      await writeFile(source, image);
      const stale = await open(join(directory, "disk.img"), "r+");
      await stale.write(randomBytes(MIB), 0, MIB, 9 * MIB);
      await stale.close();
      // The file was written behind the target's back: a new target on it must count everything as data.
      await target.close();
      const backing = { path: join(directory, "disk.img"), sizeBytes: 32 * MIB };
      target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing, blockSize });
      url = `iscsi://127.0.0.1:${target.port}/${targetName}/1`;
      await run("qemu-img", ["convert", "-n", "-W", "-m", "8", "-f", "raw", "-O", "raw", source, url]);
      expect((await readFile(join(directory, "disk.img"))).equals(image)).to.equal(true);
      const { stdout } = await run("qemu-img", ["compare", "-f", "raw", "-F", "raw", source, url]);
      expect(stdout).to.contain("Images are identical");
    });
  });
}

describe("own target with digests, cuts and faults, and real initiators", () => {
  const image = randomBytes(8 * MIB);
  let directory: string;
  let source: string;
  let target: IscsiTarget;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "own-target-"));
    source = join(directory, "source.raw");
    await writeFile(source, image);
    target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: image.length } });
  });

  afterEach(async () => {
    await target?.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** qemu-img's arguments for the target as a host device, with the digests of both kinds as given. */
  const destination = (digest: string) => [
    "--target-image-opts",
    `driver=iscsi,transport=tcp,portal=127.0.0.1:${target.port},target=${targetName},lun=1,header-digest=${digest}`,
  ];

  async function stored(): Promise<Buffer> {
    const bytes = Buffer.alloc(image.length);
    await target.backing.read(0, bytes);
    return bytes;
  }

  /** A target that lets nobody in without header digests, so that a peer that was let in used them. */
  async function insistOnHeaderDigests(): Promise<void> {
    await target.close();
    const limits = { headerDigest: "CRC32C" } as const;
    target = await IscsiTarget.listen({
      address: "127.0.0.1",
      targetName,
      backing: { memoryBytes: image.length },
      limits,
    });
    const plain = { address: "127.0.0.1", port: target.port, targetName, lun: 1 };
    const error = await connect(plain).catch((cause) => cause);
    expect(error).to.be.instanceOf(LoginError);
  }

  it("takes an image from qemu-img with header digests and gives it back", async () => {
    await insistOnHeaderDigests();
    await run("qemu-img", ["convert", "-n", "-W", "-m", "4", "-f", "raw", source, ...destination("crc32c")]);
    expect((await stored()).equals(image)).to.equal(true);
    const back = ["--image-opts", destination("crc32c")[1]!, "-O", "raw", join(directory, "back.raw")];
    await run("qemu-img", ["convert", ...back]);
    expect((await readFile(join(directory, "back.raw"))).equals(image)).to.equal(true);
    expect([target.counts.digestErrors, target.counts.lastProtocolError]).to.deep.equal([0, undefined]);
  });

  it("lets libiscsi log in with header digests, and none of its PDUs is a protocol error", async () => {
    await insistOnHeaderDigests();
    const url = `iscsi://127.0.0.1:${target.port}/${targetName}/1?header_digest=crc32c`;
    expect((await run("iscsi-inq", [url])).stdout).to.contain("NODE-ISCSI DISK");
    expect(target.counts.lastProtocolError).to.equal(undefined);
  });

  it("gets a whole image from qemu-img although it cuts the connection twice", async () => {
    target.faults.dropAfterBytes = { after: { from: 1 * MIB, to: 3 * MIB, seed: 11 }, times: 2 };
    await run("qemu-img", ["convert", "-n", "-W", "-m", "4", "-f", "raw", source, ...destination("none")]);
    expect((await stored()).equals(image)).to.equal(true);
    expect(target.counts.logins).to.be.at.least(3);
  });

  it("gets a whole image from qemu-img through BUSY and TASK SET FULL", async () => {
    target.faults.statuses = [
      { status: 0x08, opcode: 0x8a, after: 2, times: 2 },
      { status: 0x28, opcode: 0x8a, after: 8, times: 2 },
    ];
    await run("qemu-img", ["convert", "-n", "-W", "-m", "4", "-f", "raw", source, ...destination("none")]);
    expect((await stored()).equals(image)).to.equal(true);
  });

  it("works with our initiator and every choice of digests", async () => {
    for (const [headerDigest, dataDigest] of [
      ["CRC32C", "CRC32C"],
      ["CRC32C", "None"],
      ["None", "CRC32C,None"],
    ] as const) {
      const wishes = { headerDigest, dataDigest };
      const session = await connect({ address: "127.0.0.1", port: target.port, targetName, lun: 1, wishes });
      const device = await session.blockDevice();
      await device.write(0, image);
      expect((await device.read(0, image.length)).equals(image)).to.equal(true);
      await session.logout();
    }
    expect([target.counts.digestErrors, target.counts.protocolErrors]).to.deep.equal([0, 0]);
  });

  it("has a null backing that takes everything and gives zeros", async () => {
    const sizeBytes = 4 * MIB;
    const empty = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { nullBytes: sizeBytes } });
    try {
      const session = await connect({ address: "127.0.0.1", port: empty.port, targetName, lun: 1 });
      const device = await session.blockDevice();
      expect(device.sizeBytes).to.equal(sizeBytes);
      await Promise.all([0, 1, 2, 3].map((at) => device.write(at * MIB, image.subarray(0, MIB))));
      expect((await device.read(0, sizeBytes)).equals(Buffer.alloc(sizeBytes))).to.equal(true);
      expect(empty.counts.bytesReceived).to.be.above(sizeBytes);
      await session.logout();
    } finally {
      await empty.close();
    }
  });
});

describe("own target with CHAP", () => {
  let target: IscsiTarget;

  before(async () => {
    target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: MIB }, chap });
  });

  after(() => target?.close());

  it("lets libiscsi in with the secret and refuses it without", async () => {
    const withSecret = `iscsi://${chap.user}%${chap.secret}@127.0.0.1:${target.port}/${targetName}/1`;
    expect((await run("iscsi-inq", [withSecret])).stdout).to.contain("NODE-ISCSI DISK");
    const refused = await run("iscsi-inq", [`iscsi://127.0.0.1:${target.port}/${targetName}/1`]).catch(
      (error) => error,
    );
    expect(refused).to.be.instanceOf(Error);
  });

  it("lets our initiator in with SHA-256 and refuses a wrong secret", async () => {
    const options = { address: "127.0.0.1", port: target.port, targetName, lun: 1 };
    await (await connect({ ...options, chap })).logout();
    const error = await connect({ ...options, chap: { ...chap, secret: "a-wrong-long-secret" } }).catch(
      (cause) => cause,
    );
    expect(error).to.be.instanceOf(LoginError);
    expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 1]);
    expect((await discover({ ...options, chap }))[0]?.targetName).to.equal(targetName);
  });
});
