// The discovery session on the wire (RFC 7143 4.3, 11.10, 11.11, appendix C): Text Requests, continuations, pings, logout.
import { expect } from "chai";
import { type DiscoveredTarget, discover, IscsiError, ProtocolError } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { FINAL, NO_TAG, OPCODE, type SentPdu, textOf } from "./raw-pdus.ts";
import { type ScriptedConnection, type ScriptedTarget, withTarget } from "./scripted-target.ts";

const CONTINUES = 0x40;
const LIST = ["TargetName=iqn.a:1", "TargetAddress=10.0.0.1:3260,1", "TargetName=iqn.a:2"];

function start(target: ScriptedTarget): Promise<DiscoveredTarget[]> {
  const found = discover({ address: "127.0.0.1", port: target.port, deadlineMs: 3000 });
  found.catch(() => undefined);
  return found;
}

function answer(peer: ScriptedConnection, to: SentPdu, flags: number, tag: number, data: Buffer): void {
  const fields = { opcode: OPCODE.textResponse, flags, word16: to.initiatorTaskTag, word20: tag };
  peer.sendNumbered(fields, { data });
}

/** The logout that ends every discovery. */
async function end(peer: ScriptedConnection): Promise<SentPdu> {
  const logout = await peer.expect(OPCODE.logoutRequest);
  peer.sendNumbered({ opcode: OPCODE.logoutResponse, word16: logout.initiatorTaskTag });
  await peer.expectClose();
  return logout;
}

describe("contract: discovery session", () => {
  it("13.21: the login says Discovery and names no target; nothing about SCSI data is offered", () =>
    withTarget(async (target) => {
      const found = start(target);
      const peer = await target.accept();
      const [first, second] = await peer.login();
      expect(first!.text).to.include("SessionType=Discovery");
      expect(first!.text.some((pair) => pair.startsWith("TargetName="))).to.equal(false);
      const offered = second!.text.map((pair) => pair.split("=")[0]);
      for (const key of ["InitialR2T", "ImmediateData", "MaxBurstLength", "MaxConnections", "MaxOutstandingR2T"])
        expect(offered).to.not.include(key);
      answer(peer, await peer.expect(OPCODE.textRequest), FINAL, NO_TAG, Buffer.alloc(0));
      await end(peer);
      expect(await found).to.deep.equal([]);
    }));

  it("11.10: one Text Request with F, a tag, no target tag, the login's CmdSN and the text; then a logout", () =>
    withTarget(async (target) => {
      const found = start(target);
      const peer = await target.accept();
      const [first] = await peer.login();
      const request = await peer.expect(OPCODE.textRequest);
      expect([request.isImmediate, request.flags]).to.deep.equal([false, FINAL]);
      expect(request.initiatorTaskTag).to.not.equal(NO_TAG);
      expect([request.targetTransferTag, request.lun]).to.deep.equal([NO_TAG, "0000000000000000"]);
      expect([request.cmdSn, request.expStatSn]).to.deep.equal([first!.cmdSn, peer.statSn]);
      expect(request.text).to.deep.equal(["SendTargets=All"]);
      answer(peer, request, FINAL, NO_TAG, textOf(...LIST));
      const logout = await end(peer);
      expect(logout.initiatorTaskTag).to.not.equal(request.initiatorTaskTag);
      expect([logout.cmdSn, logout.expStatSn]).to.deep.equal([(request.cmdSn + 1) >>> 0, peer.statSn - 1]);
      expect(await found).to.deep.equal([
        { targetName: "iqn.a:1", portals: [{ address: "10.0.0.1", port: 3260, tpgt: 1 }] },
        { targetName: "iqn.a:2", portals: [] },
      ]);
    }));

  it("11.10.4, 11.11: an answer in parts is asked on with the target's tag, the same task tag and no text, also cut inside a key", () =>
    withTarget(async (target) => {
      const found = start(target);
      const peer = await target.accept();
      await peer.login();
      const text = textOf(...LIST);
      const first = await peer.expect(OPCODE.textRequest);
      let request = first;
      for (const [tag, from, to] of [
        [0x51, 0, 15],
        [0x52, 15, 40],
      ] as const) {
        answer(peer, request, CONTINUES, tag, text.subarray(from, to));
        request = await peer.expect(OPCODE.textRequest);
        expect([request.targetTransferTag, request.initiatorTaskTag]).to.deep.equal([tag, first.initiatorTaskTag]);
        expect([request.flags, request.data.length]).to.deep.equal([FINAL, 0]);
        expect(request.expStatSn).to.equal(peer.statSn);
      }
      answer(peer, request, FINAL, NO_TAG, text.subarray(40));
      await end(peer);
      expect((await found).map((each) => each.targetName)).to.deep.equal(["iqn.a:1", "iqn.a:2"]);
    }));

  it("11.19: a ping of the target is answered in a discovery session as well", () =>
    withTarget(async (target) => {
      const found = start(target);
      const peer = await target.accept();
      await peer.login();
      const request = await peer.expect(OPCODE.textRequest);
      peer.nopIn({ word20: 0xabc });
      const pong = await peer.expect(OPCODE.nopOut);
      expect([pong.isImmediate, pong.targetTransferTag, pong.initiatorTaskTag]).to.deep.equal([true, 0xabc, NO_TAG]);
      answer(peer, request, FINAL, NO_TAG, textOf(...LIST));
      await end(peer);
      expect(await found).to.have.length(2);
    }));

  it("7.4, 11.17: a rejected SendTargets is an error of this exchange, with the reason", () =>
    withTarget(async (target) => {
      const failed = errorOf(start(target));
      const peer = await target.accept();
      await peer.login();
      peer.reject(await peer.expect(OPCODE.textRequest), 0x05);
      await peer.expectClose();
      expect(await failed).to.be.instanceOf(ProtocolError);
    }));

  const broken: [string, { flags: number; tag: number; text: string[]; wrongTask?: boolean }][] = [
    ["11.11: an unfinished answer without a tag to go on", { flags: 0, tag: NO_TAG, text: LIST }],
    ["11.11: an answer with another task's tag", { flags: FINAL, tag: NO_TAG, text: LIST, wrongTask: true }],
    ["13.8: an address that is none", { flags: FINAL, tag: NO_TAG, text: ["TargetName=iqn.a:1", "TargetAddress=:,"] }],
    ["appendix C: an address before any name", { flags: FINAL, tag: NO_TAG, text: ["TargetAddress=10.0.0.1,1"] }],
    ["6.1: text that is no key=value pair", { flags: FINAL, tag: NO_TAG, text: ["nonsense"] }],
  ];
  for (const [title, { flags, tag, text, wrongTask = false }] of broken)
    it(`${title} is a typed error`, () =>
      withTarget(async (target) => {
        const failed = errorOf(start(target));
        const peer = await target.accept();
        await peer.login();
        const request = await peer.expect(OPCODE.textRequest);
        if (wrongTask) request.header.writeUInt32BE(0x7777, 16);
        answer(peer, request, flags, tag, textOf(...text));
        const next = await peer.next();
        // The list may be looked at before or after the logout.
        if (next?.opcode === OPCODE.logoutRequest)
          peer.sendNumbered({ opcode: OPCODE.logoutResponse, word16: next.initiatorTaskTag });
        expect(await failed).to.be.instanceOf(IscsiError);
      }));
});
