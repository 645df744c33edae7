// CHAP against the real tgtd (Debian: tgt): one-way, mutual, wrong secrets on either side, and what errors and traces show of them.
import { expect } from "chai";
import { type ChapCredentials, connect, discover, InvalidArgumentError, IscsiError, LoginError } from "node-iscsi";
import { Tgtd } from "./tgtd.ts";

const MIB = 1024 * 1024;
const own = { user: "deploy", secret: "a-good-long-secret" };
const outgoing = { user: "shelf", secret: "the-shelfs-own-secret" };

async function addOutgoing(tgtd: Tgtd): Promise<void> {
  const account = ["--lld", "iscsi", "--mode", "account"];
  await tgtd.admin(...account, "--op", "new", "--user", outgoing.user, "--password", outgoing.secret);
  await tgtd.admin(...account, "--op", "bind", "--tid", "1", "--user", outgoing.user, "--outgoing");
}

for (const hasOutgoing of [false, true]) {
  describe(`CHAP with tgtd ${hasOutgoing ? "that can prove itself" : "one-way"}`, () => {
    let tgtd: Tgtd;
    const traced: Buffer[] = [];

    before(async () => {
      tgtd = await Tgtd.start({ sizeBytes: MIB, chap: { user: own.user, password: own.secret } });
      if (hasOutgoing) await addOutgoing(tgtd);
    });

    after(() => tgtd?.stop());

    const login = (chap: ChapCredentials) =>
      connect({
        address: "127.0.0.1",
        port: tgtd.port,
        targetName: tgtd.targetName,
        lun: 1,
        chap,
        recovery: false,
        hooks: { onPdu: (_direction, header) => traced.push(Buffer.from(header)) },
      });

    /** The error, after a look for secrets in everything it says. */
    async function refusalOf(chap: ChapCredentials): Promise<IscsiError> {
      const error = await login(chap).then(
        () => undefined,
        (cause) => cause,
      );
      expect(error).to.be.instanceOf(IscsiError);
      const texts = [error, error.cause].flatMap((one) => [one?.message, one?.stack, JSON.stringify(one ?? {})]);
      for (const secret of [chap.secret, chap.target?.secret, own.secret, outgoing.secret])
        if (secret !== undefined) expect(texts.join("\n")).not.to.contain(secret);
      return error;
    }

    it("lets us in with our secret", async () => {
      const session = await login(own);
      await session.testUnitReady();
      await session.logout();
    });

    it("refuses a wrong secret and an unknown user", async () => {
      for (const chap of [
        { ...own, secret: "not-the-right-secret" },
        { ...own, user: "nobody" },
      ]) {
        const error = (await refusalOf(chap)) as LoginError;
        expect(error).to.be.instanceOf(LoginError);
        expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 1]);
      }
    });

    it("is found by discovery, which tgtd leaves open", async () => {
      const found = await discover({ address: "127.0.0.1", port: tgtd.port, targetName: tgtd.targetName });
      expect(found.map(({ targetName }) => targetName)).to.deep.equal([tgtd.targetName]);
    });

    it("is not asked with credentials that break the rules", async () => {
      expect(await refusalOf({ ...own, secret: "too-short" })).to.be.instanceOf(InvalidArgumentError);
      const same = { ...own, target: { user: outgoing.user, secret: own.secret } };
      expect(await refusalOf(same)).to.be.instanceOf(InvalidArgumentError);
    });

    if (hasOutgoing) {
      it("proves itself, and we check it", async () => {
        const session = await login({ ...own, target: outgoing });
        await session.testUnitReady();
        await session.logout();
      });

      it("is refused when its secret or its name is not the one expected", async () => {
        const secret = await refusalOf({ ...own, target: { ...outgoing, secret: "what-we-think-it-is" } });
        expect(secret).to.be.instanceOf(LoginError);
        expect(secret.reason).to.contain("chap.target.secret");
        const name = await refusalOf({ ...own, target: { ...outgoing, user: "drawer" } });
        expect(name.reason).to.contain("chap.target.user");
      });

      it("refuses our wrong secret in mutual CHAP too", async () => {
        const error = (await refusalOf({ ...own, secret: "not-the-right-secret", target: outgoing })) as LoginError;
        expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 1]);
      });
    } else {
      it("is refused when it has to prove itself", async () => {
        expect(await refusalOf({ ...own, target: outgoing })).to.be.instanceOf(LoginError);
      });
    }

    it("leaves no secret in PDU traces", () => {
      expect(traced.length).to.be.greaterThan(0);
      const text = Buffer.concat(traced).toString("latin1");
      for (const { secret } of [own, outgoing]) expect(text).not.to.contain(secret);
    });
  });
}

describe("a tgtd without CHAP", () => {
  let tgtd: Tgtd;

  before(async () => {
    tgtd = await Tgtd.start({ sizeBytes: MIB });
  });

  after(() => tgtd?.stop());

  it("is taken with one-way credentials and refused where it has to prove itself", async () => {
    const options = { address: "127.0.0.1", port: tgtd.port, targetName: tgtd.targetName, lun: 1 };
    await (await connect({ ...options, chap: own })).logout();
    const error = await connect({ ...options, chap: { ...own, target: outgoing } }).catch((cause) => cause);
    expect(error).to.be.instanceOf(LoginError);
  });
});
