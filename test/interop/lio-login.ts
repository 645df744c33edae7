// LIO: discovery, login with and without CHAP, refusals, negotiated parameters.
import { expect } from "chai";
import { type ChapCredentials, connect, discover, IscsiError, LoginError } from "node-iscsi";
import { GUEST_ADDRESS, LIO, type LioMachine } from "./lio-machine.ts";
import { CuttingProxy } from "./lio-proxy.ts";

/** The tests of this file; `machine` is there when a test runs. */
export function describeLioLogin(machine: () => LioMachine): void {
  const open = (targetName: string, options: { initiatorName?: string; chap?: ChapCredentials; port?: number } = {}) =>
    connect({ address: "127.0.0.1", port: machine().port, targetName, ...options });

  const refusal = async (login: Promise<unknown>): Promise<LoginError> => {
    const error = await login.then(
      () => undefined,
      (cause) => cause,
    );
    expect(error).to.be.instanceOf(LoginError);
    return error;
  };

  describe("discovery and login", () => {
    it("lists all targets with the machine's own portal", async () => {
      const targets = await discover({ address: "127.0.0.1", port: machine().port });
      const portals = [{ address: GUEST_ADDRESS, port: 3260, tpgt: 1 }];
      expect(targets).to.have.deep.members(
        [LIO.openTarget, LIO.burstsTarget, LIO.chapTarget].map((targetName) => ({ targetName, portals })),
      );
    });

    it("negotiates with LIO's defaults", async () => {
      const session = await open(LIO.openTarget);
      expect(session.parameters).to.include({
        initialR2T: true,
        immediateData: true,
        maxSendDataSegmentBytes: 262_144,
        firstBurstBytes: 65_536,
        targetPortalGroupTag: 1,
        targetAlias: "LIO Target",
        headerDigest: false,
        dataDigest: false,
        time2WaitSeconds: 0,
      });
      await session.logout();
    });

    it("goes by the target's values where they are smaller", async () => {
      const session = await open(LIO.burstsTarget);
      expect(session.parameters).to.include({
        initialR2T: true,
        immediateData: false,
        maxBurstBytes: 16_384,
        maxSendDataSegmentBytes: 4096,
      });
      await session.logout();
    });

    it("is refused at an unknown target with 0301", async () => {
      // LIO says "service unavailable" where RFC 7143 11.13.5 has 0203, in a response whose Initiator Task Tag is 0.
      const error = await refusal(open("iqn.2026-11.test.lio:none"));
      expect([error.statusClass, error.statusDetail]).to.deep.equal([3, 1]);
    });

    it("is refused as an unknown initiator with 0202", async () => {
      const error = await refusal(open(LIO.chapTarget, { initiatorName: "iqn.2026-11.test.initiator:stranger" }));
      expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 2]);
    });
  });

  describe("CHAP", () => {
    const initiatorName = LIO.oneWayInitiator;

    it("logs in with the strongest algorithm, and the secret is not on the wire", async () => {
      const proxy = await CuttingProxy.listen(machine().port);
      try {
        const session = await open(LIO.chapTarget, { initiatorName, chap: LIO.chap, port: proxy.port });
        await session.testUnitReady();
        await session.logout();
        expect(proxy.sent).to.match(/CHAP_A=(8,)?7,6,5\0/);
        expect(proxy.received).to.contain("CHAP_A=7\0");
        expect(proxy.sent).to.contain(`CHAP_N=${LIO.chap.user}\0`);
        expect(proxy.sent).not.to.contain(LIO.chap.secret);
        expect(proxy.connections).to.equal(1);
      } finally {
        await proxy.close();
      }
    });

    it("is refused with a wrong secret with 0201, and the error does not show it", async () => {
      const chap = { user: LIO.chap.user, secret: "not-the-real-secret" };
      const error = await refusal(open(LIO.chapTarget, { initiatorName, chap }));
      expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 1]);
      expect(`${error.message}${error.stack}`).not.to.contain(chap.secret);
    });

    it("is refused as a wrong user with 0201", async () => {
      const error = await refusal(open(LIO.chapTarget, { initiatorName, chap: { ...LIO.chap, user: "other" } }));
      expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 1]);
    });

    it("says who closed the connection when it has no credentials", async () => {
      // LIO does not answer a login that offers AuthMethod=None alone: it closes the connection without a byte.
      const error = await open(LIO.chapTarget, { initiatorName }).then(
        () => undefined,
        (cause) => cause,
      );
      expect(error).to.be.instanceOf(IscsiError);
      expect(error.message).to.contain(LIO.chapTarget).and.contain("the target closed the connection");
    });
  });

  describe("mutual CHAP", () => {
    const initiatorName = LIO.mutualInitiator;

    it("logs in when both sides prove themselves", async () => {
      const chap = { ...LIO.chap, target: LIO.targetChap };
      const proxy = await CuttingProxy.listen(machine().port);
      try {
        const session = await open(LIO.chapTarget, { initiatorName, chap, port: proxy.port });
        await session.testUnitReady();
        await session.logout();
        expect(proxy.received).to.contain(`CHAP_N=${LIO.targetChap.user}\0`);
      } finally {
        await proxy.close();
      }
    });

    it("does not log in at a target that does not know its secret", async () => {
      const target = { user: LIO.targetChap.user, secret: "some-other-secret" };
      const error = await refusal(open(LIO.chapTarget, { initiatorName, chap: { ...LIO.chap, target } }));
      expect(error.statusClass).to.equal(undefined);
      expect(`${error.message}${error.stack}`).not.to.contain(target.secret);
    });

    it("does not log in at a target that calls itself otherwise", async () => {
      const target = { user: "somebody", secret: LIO.targetChap.secret };
      const error = await refusal(open(LIO.chapTarget, { initiatorName, chap: { ...LIO.chap, target } }));
      expect(error.statusClass).to.equal(undefined);
    });

    it("does not log in at a target that does not prove itself", async () => {
      const chap = { ...LIO.chap, target: LIO.targetChap };
      const error = await refusal(open(LIO.chapTarget, { initiatorName: LIO.oneWayInitiator, chap }));
      expect(`${error.message}${error.stack}`).not.to.contain(LIO.targetChap.secret);
    });
  });
}
