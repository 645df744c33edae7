// Our initiator against the real istgt: data is checked in the file behind the target, not only by reading back.
import { expect } from "chai";
import { type ChapCredentials, connect, discover, type IscsiSession, LoginError, read16, ScsiError } from "node-iscsi";
import { itKeepsItsData } from "./block-device-cases.ts";
import { Istgt, type IstgtOptions } from "./istgt.ts";

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;

for (const [title, options, digest] of [
  ["512-byte blocks", {}, "None"],
  [
    "4096-byte blocks and both digests, which it insists on",
    { blockSize: 4096, headerDigest: true, dataDigest: true },
    "CRC32C",
  ],
  ["digests that only the initiator wants", {}, "CRC32C,None"],
] as [string, Partial<IstgtOptions>, "None" | "CRC32C" | "CRC32C,None"][]) {
  describe(`istgt with ${title}`, () => {
    const blockSize = options.blockSize ?? 512;
    let istgt: Istgt;
    let session: IscsiSession;

    before(async () => {
      istgt = await Istgt.start({ sizeBytes: SIZE, ...options });
      const { targetName, port } = istgt;
      const wishes = { headerDigest: digest, dataDigest: digest };
      session = await connect({ address: "127.0.0.1", port, targetName, lun: 0, wishes });
    });

    after(async () => {
      try {
        await session?.logout();
      } finally {
        await istgt?.stop();
      }
    });

    it("says what it is, how large, and which digests are on", async () => {
      expect(await session.inquiry()).to.include({ vendor: "FreeBSD", product: "iSCSI DISK" });
      const device = await session.blockDevice();
      expect([device.sizeBytes, device.blockSize]).to.deep.equal([SIZE, blockSize]);
      expect((await session.readCapacity10()).blocks * blockSize).to.equal(SIZE);
      const { headerDigest, dataDigest } = session.parameters;
      expect([headerDigest, dataDigest]).to.deep.equal([digest !== "None", digest !== "None"]);
    });

    itKeepsItsData(blockSize, () => ({ session, backingPath: istgt.backingPath }));

    it("answers a ping", async () => {
      await session.ping(5000);
    });

    it("turns an address beyond the end into an error", async () => {
      const error = await session.execute(read16(SIZE / blockSize, 1, Buffer.alloc(blockSize))).catch((cause) => cause);
      expect(error).to.be.instanceOf(ScsiError);
      // Trap: istgt sends CHECK CONDITION without any sense data here.
      expect([error.status, error.sense]).to.deep.equal([2, undefined]);
      await session.testUnitReady();
    });
  });
}

describe("istgt discovery and login", () => {
  const chap = { user: "deploy", secret: "good-secret-one" };
  const proof = { user: "the-target", secret: "good-secret-two" };
  let oneWay: Istgt;
  let mutual: Istgt;

  before(async () => {
    // In turn: of two at once the one that came up would stay when the other failed.
    oneWay = await Istgt.start({ sizeBytes: MIB, chap });
    mutual = await Istgt.start({ sizeBytes: MIB, chap: { ...chap, target: proof } });
  });

  after(async () => {
    await oneWay?.stop();
    await mutual?.stop();
  });

  const login = (istgt: Istgt, credentials?: ChapCredentials, targetName = istgt.targetName) =>
    connect({ address: "127.0.0.1", port: istgt.port, targetName, lun: 0, chap: credentials });
  const refusal = (attempt: Promise<IscsiSession>) =>
    attempt.then(
      () => undefined,
      (cause) => cause,
    );

  it("lists the target with its portal", async () => {
    const { port, targetName } = oneWay;
    const found = await discover({ address: "127.0.0.1", port });
    expect(found).to.deep.equal([{ targetName, portals: [{ address: "127.0.0.1", port, tpgt: 1 }] }]);
  });

  it("logs in with CHAP one way, and with the target's proof", async () => {
    const sessions = await Promise.all([login(oneWay, chap), login(mutual, { ...chap, target: proof })]);
    for (const session of sessions) {
      await session.testUnitReady();
      await session.logout();
    }
  });

  it("is refused with a wrong secret, which the error does not show, and without any", async () => {
    const error = await refusal(login(oneWay, { ...chap, secret: "wrong-secret-xyz" }));
    expect(error).to.be.instanceOf(LoginError);
    expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 1]);
    expect(`${error.message}${error.stack}`).not.to.contain("wrong-secret-xyz");
    expect(await refusal(login(oneWay))).to.be.instanceOf(LoginError);
  });

  it("is not believed when its proof is wrong", async () => {
    const error = await refusal(login(mutual, { ...chap, target: { ...proof, secret: "other-secret-xy" } }));
    expect(error).to.be.instanceOf(LoginError);
    expect(`${error.message}${error.stack}`).not.to.contain("other-secret-xy");
  });

  it("has no other target", async () => {
    const error = await refusal(login(oneWay, chap, "iqn.2026-11.test:other"));
    expect(error).to.be.instanceOf(LoginError);
    expect(error.statusClass).to.equal(2);
  });
});
