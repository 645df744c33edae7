// CRC32C digests with the real tgtd: both sides compute them, the file behind the target is compared (RFC 7143 13.1).
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { expect } from "chai";
import { connect, type IscsiSession, LoginError, type ParameterWishes } from "node-iscsi";
import { Tgtd } from "./tgtd.ts";

const MIB = 1024 * 1024;

/** tgtd's key for each digest: it takes one value, which it answers. */
async function allow(tgtd: Tgtd, header: string, data: string): Promise<void> {
  for (const [name, value] of [
    ["HeaderDigest", header],
    ["DataDigest", data],
  ] as const)
    await tgtd.admin("--lld", "iscsi", "--op", "update", "--mode", "target", "--tid", "1", "--name", name, "-v", value);
}

describe("tgtd with digests", () => {
  let tgtd: Tgtd;
  const login = (wishes: Partial<ParameterWishes>): Promise<IscsiSession> =>
    connect({ address: "127.0.0.1", port: tgtd.port, targetName: tgtd.targetName, lun: 1, wishes });

  before(async () => {
    tgtd = await Tgtd.start({ sizeBytes: 16 * MIB });
  });

  after(() => tgtd?.stop());

  for (const [header, data] of [
    ["CRC32C", "None"],
    ["None", "CRC32C"],
    ["CRC32C", "CRC32C"],
  ] as const)
    it(`writes and reads with HeaderDigest=${header}, DataDigest=${data}`, async () => {
      await allow(tgtd, "None,CRC32C", "None,CRC32C");
      const session = await login({ headerDigest: header, dataDigest: data });
      try {
        expect(session.parameters).to.include({ headerDigest: header === "CRC32C", dataDigest: data === "CRC32C" });
        const device = await session.blockDevice();
        const sizes = [1, 3, 16, 255, 512, 1500].map((blocks) => blocks * device.blockSize);
        let offset = device.blockSize;
        const pieces = sizes.map((size) => {
          const piece = { offset, data: randomBytes(size) };
          offset += size;
          return piece;
        });
        await Promise.all(pieces.map((piece) => device.write(piece.offset, piece.data)));
        await device.flush();
        const written = Buffer.concat(pieces.map((piece) => piece.data));
        const file = await readFile(tgtd.backingPath);
        expect(file.subarray(device.blockSize, offset).equals(written)).to.equal(true);
        expect((await device.read(device.blockSize, written.length)).equals(written)).to.equal(true);
        await session.ping(5000);
      } finally {
        await session.logout();
      }
    });

  it("goes without when the target has none and we can do without", async () => {
    await allow(tgtd, "None", "None");
    const session = await login({ headerDigest: "CRC32C,None", dataDigest: "CRC32C,None" });
    expect(session.parameters).to.include({ headerDigest: false, dataDigest: false });
    await session.logout();
  });

  it("does not log in without a digest that we require", async () => {
    await allow(tgtd, "None", "None");
    const error = await login({ headerDigest: "CRC32C" }).then(
      () => undefined,
      (cause) => cause,
    );
    expect(error).to.be.instanceOf(LoginError);
  });
});
