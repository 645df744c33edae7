// Our initiator against the real tgtd: data is checked in the file behind the target, not only by reading back.
import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { expect } from "chai";
import { connect, discover, type IscsiSession, LoginError, ScsiError } from "node-iscsi";
import { itKeepsItsData } from "./block-device-cases.ts";
import { Tgtd } from "./tgtd.ts";

const MIB = 1024 * 1024;

async function allocatedBytes(tgtd: Tgtd): Promise<number> {
  return (await stat(tgtd.backingPath)).blocks * 512;
}

for (const { title, blockSize, params } of [
  { title: "512-byte blocks", blockSize: 512, params: undefined },
  { title: "4096-byte blocks, thin provisioned", blockSize: 4096, params: "thin_provisioning=1" },
]) {
  const isThin = params !== undefined;
  describe(`tgtd with ${title}`, () => {
    let tgtd: Tgtd;
    let session: IscsiSession;

    before(async () => {
      tgtd = await Tgtd.start({ sizeBytes: 64 * MIB, blockSize, ...(params === undefined ? {} : { params }) });
      session = await connect({ address: "127.0.0.1", port: tgtd.port, targetName: tgtd.targetName, lun: 1 });
    });

    after(async () => {
      try {
        await session?.logout();
      } finally {
        await tgtd?.stop();
      }
    });

    it("says what it is and how large", async () => {
      expect((await session.inquiry()).vendor).to.equal("IET");
      const device = await session.blockDevice();
      expect(device.sizeBytes).to.equal(64 * MIB);
      expect(device.blockSize).to.equal(blockSize);
      expect((await session.readCapacity10()).blocks * blockSize).to.equal(64 * MIB);
    });

    itKeepsItsData(blockSize, () => ({ session, backingPath: tgtd.backingPath }));

    it(isThin ? "discards: the file behind it gets smaller" : "cannot discard, which is no error", async () => {
      const device = await session.blockDevice();
      await device.write(32 * MIB, randomBytes(2 * MIB));
      await device.flush();
      const before = await allocatedBytes(tgtd);
      await device.discard(32 * MIB, 2 * MIB);
      await device.flush();
      expect(before - (await allocatedBytes(tgtd))).to.equal(isThin ? 2 * MIB : 0);
    });

    it("answers a ping", async () => {
      await session.ping(5000);
    });

    it("turns an address beyond the end into sense data", async () => {
      const { read16 } = await import("node-iscsi");
      const beyond = read16((64 * MIB) / blockSize, 1, Buffer.alloc(blockSize));
      const error = await session.execute(beyond).then(
        () => undefined,
        (cause) => cause,
      );
      expect(error).to.be.instanceOf(ScsiError);
      expect([error.senseKey, error.asc]).to.deep.equal([5, 0x21]);
      expect(error.message).to.contain("READ(16)").and.contain(tgtd.targetName);
    });
  });
}

describe("tgtd discovery and login", () => {
  let tgtd: Tgtd;
  const chap = { user: "deploy", password: "a-good-long-secret" };

  before(async () => {
    tgtd = await Tgtd.start({ sizeBytes: MIB, chap });
  });

  after(() => tgtd?.stop());

  it("lists the target with its portal", async () => {
    const targets = await discover({ address: "127.0.0.1", port: tgtd.port });
    expect(targets).to.deep.equal([
      { targetName: tgtd.targetName, portals: [{ address: "127.0.0.1", port: tgtd.port, tpgt: 1 }] },
    ]);
  });

  const login = (credentials?: { user: string; secret: string }, targetName = tgtd.targetName) =>
    connect({
      address: "127.0.0.1",
      port: tgtd.port,
      targetName,
      lun: 1,
      ...(credentials === undefined ? {} : { chap: credentials }),
    });

  it("logs in with CHAP", async () => {
    const session = await login({ user: chap.user, secret: chap.password });
    await session.testUnitReady();
    await session.logout();
  });

  it("is refused with a wrong secret, which the error does not show", async () => {
    const error = await login({ user: chap.user, secret: "not-the-real-secret" }).then(
      () => undefined,
      (cause) => cause,
    );
    expect(error).to.be.instanceOf(LoginError);
    expect(error.statusClass).to.equal(2);
    expect(`${error.message}${error.stack}`).not.to.contain("not-the-real-secret");
  });

  it("is refused without credentials and for an unknown target", async () => {
    expect(
      await login().then(
        () => undefined,
        (cause) => cause,
      ),
    ).to.be.instanceOf(LoginError);
    const unknown = await login(undefined, "iqn.2026-11.test:other").then(
      () => undefined,
      (cause) => cause,
    );
    expect(unknown).to.be.instanceOf(LoginError);
    expect([unknown.statusClass, unknown.statusDetail]).to.deep.equal([2, 3]);
  });
});
