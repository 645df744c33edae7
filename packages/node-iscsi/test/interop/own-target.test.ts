// Our target driven by real initiators: libiscsi's tools and qemu-img's iscsi:// driver (Debian: libiscsi-bin, qemu-block-extra).
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { connect, discover, IscsiTarget, LoginError } from "node-iscsi";

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
    const error = await connect({ ...options, chap: { ...chap, secret: "wrong" } }).catch((cause) => cause);
    expect(error).to.be.instanceOf(LoginError);
    expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 1]);
    expect((await discover({ ...options, chap }))[0]?.targetName).to.equal(targetName);
  });
});
