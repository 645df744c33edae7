// SendTargets (RFC 7143 4.2.3, 11.10, 11.11, appendix C): addresses, records, and the whole exchange with its continuations.
import { expect } from "chai";
import type { ReceivedPdu } from "./connection.ts";
import { parseSendTargets, SendTargetsExchange } from "./discovery.ts";
import { ProtocolError, TransportError } from "./errors.ts";
import { decodeTextPairs } from "./pdu/text-keys.ts";
import { parseTargetAddress } from "./target-address.ts";

describe("TargetAddress", () => {
  const read: [text: string, address: string, port: number, tpgt: number | undefined][] = [
    ["10.0.0.7:3261,1", "10.0.0.7", 3261, 1],
    ["10.0.0.7", "10.0.0.7", 3260, undefined],
    ["10.0.0.7,0", "10.0.0.7", 3260, 0],
    ["[fd00::7]:3260,65535", "fd00::7", 3260, 65_535],
    ["[fd00::7]", "fd00::7", 3260, undefined],
    ["storage-1.example.org:860,2", "storage-1.example.org", 860, 2],
    ["localhost,1", "localhost", 3260, 1],
  ];
  for (const [text, address, port, tpgt] of read)
    it(`reads ${text}`, () => {
      expect(parseTargetAddress(text)).to.deep.equal({ address, port, tpgt });
    });

  for (const text of [
    "",
    ":3260,1",
    "10.0.0.7:0,1",
    "10.0.0.7:65536,1",
    "10.0.0.7:3260,65536",
    "10.0.0.7:3260,x",
    "10.0.0.300",
    "1.2.3",
    "fd00::7:3260,1",
    "[fd00::7",
    "[10.0.0.7]:3260",
    "[fd00::zz]:3260,1",
    "two words:3260",
    "-dash.example.org",
    "a..b",
    "10.0.0.7:3260,1,2",
  ])
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => parseTargetAddress(text)).to.throw(ProtocolError);
    });
});

describe("SendTargets records", () => {
  it("hold several addresses, or none, and keys we do not know", () => {
    const pairs = decodeTextPairs(
      Buffer.from(
        "TargetName=iqn.t:a\0TargetAddress=10.0.0.7:3260,1\0TargetAddress=[fd00::7]:3260,1\0X-colour=red\0" +
          "TargetAddress=storage.example.org:3261,2\0TargetName=iqn.t:b\0TargetName=iqn.t:c\0TargetAddress=10.0.0.8,3\0",
      ),
    );
    expect(parseSendTargets(pairs)).to.deep.equal([
      {
        targetName: "iqn.t:a",
        portals: [
          { address: "10.0.0.7", port: 3260, tpgt: 1 },
          { address: "fd00::7", port: 3260, tpgt: 1 },
          { address: "storage.example.org", port: 3261, tpgt: 2 },
        ],
      },
      { targetName: "iqn.t:b", portals: [] },
      { targetName: "iqn.t:c", portals: [{ address: "10.0.0.8", port: 3260, tpgt: 3 }] },
    ]);
  });

  it("begin with a name", () => {
    expect(() => parseSendTargets([["TargetAddress", "10.0.0.7"]])).to.throw(ProtocolError, "before any TargetName");
  });
});

/** PDUs laid out by hand after RFC 7143 11.11: opcode 24h, F and C in byte 1, task tag 16, TTT 20, StatSN 24. */
function textResponse(
  statSn: number,
  text: string,
  changes: { flags?: number; tag?: number; ttt?: number; lun?: number } = {},
) {
  const header = Buffer.alloc(48);
  header[0] = 0x24;
  header[1] = changes.flags ?? 0x80;
  header.writeUIntBE(text.length, 5, 3);
  header[8] = changes.lun ?? 0;
  header.writeUInt32BE(changes.tag ?? 1, 16);
  header.writeUInt32BE(changes.ttt ?? 0xffffffff, 20);
  header.writeUInt32BE(statSn, 24);
  return { header, data: Buffer.from(text) };
}

/** RFC 7143 11.19: opcode 20h; StatSN is not used up. */
function nopIn(statSn: number, ttt: number): ReceivedPdu {
  const header = Buffer.alloc(48);
  header[0] = 0x20;
  header[1] = 0x80;
  header[9] = 5;
  header.writeUInt32BE(0xffffffff, 16);
  header.writeUInt32BE(ttt, 20);
  header.writeUInt32BE(statSn, 24);
  return { header, data: Buffer.alloc(0) };
}

/** RFC 7143 11.17: opcode 3fh, reason in byte 2. */
function reject(reason: number): ReceivedPdu {
  const header = Buffer.alloc(48);
  header[0] = 0x3f;
  header[1] = 0x80;
  header[2] = reason;
  return { header, data: Buffer.alloc(48) };
}

/** Gives out its PDUs one by one. */
class ScriptedConnection {
  readonly sent: { header: Buffer; text: string }[] = [];
  readonly #answers: ReceivedPdu[];

  constructor(...answers: ReceivedPdu[]) {
    this.#answers = answers;
  }

  send(header: Buffer, data: Buffer = Buffer.alloc(0)): void {
    this.sent.push({ header, text: data.toString() });
  }

  receive(): Promise<ReceivedPdu> {
    const answer = this.#answers.shift();
    return answer === undefined
      ? Promise.reject(new TransportError("the target closed the connection", { operation: "connection" }))
      : Promise.resolve(answer);
  }
}

const askThrough = (connection: ScriptedConnection, value = "All") =>
  new SendTargetsExchange(connection, { cmdSn: 0xffffffff, expStatSn: 5 }).ask(value);

async function refusalOf(...answers: ReceivedPdu[]): Promise<Error> {
  const error = await askThrough(new ScriptedConnection(...answers)).then(
    () => undefined,
    (cause) => cause,
  );
  expect(error).to.be.instanceOf(Error);
  return error;
}

describe("the SendTargets exchange", () => {
  it("asks for all, or for one target, in one final request", async () => {
    const connection = new ScriptedConnection(textResponse(5, "TargetName=iqn.t:a\0"));
    expect((await askThrough(connection)).toString()).to.equal("TargetName=iqn.t:a\0");
    const [{ header, text }] = connection.sent as [{ header: Buffer; text: string }];
    expect(text).to.equal("SendTargets=All\0");
    // Opcode 04h not immediate, F; task tag 1; TTT reserved; CmdSN; ExpStatSN (RFC 7143 11.10).
    expect(header.subarray(0, 2).toString("hex")).to.equal("0480");
    expect(header.subarray(16, 32).toString("hex")).to.equal("00000001ffffffffffffffff00000005");
    const one = new ScriptedConnection(textResponse(5, ""));
    await askThrough(one, "iqn.t:b");
    expect(one.sent[0]?.text).to.equal("SendTargets=iqn.t:b\0");
  });

  it("fetches the rest of a long answer with empty requests that carry the target's tag and LUN", async () => {
    const connection = new ScriptedConnection(
      textResponse(5, "TargetName=iqn.t:a\0Target", { flags: 0x40, ttt: 0x77, lun: 3 }),
      textResponse(6, "Address=10.0.0.7:3260,1\0", { flags: 0x00, ttt: 0x78 }),
      textResponse(7, "TargetName=iqn.t:b\0"),
    );
    const targets = parseSendTargets(decodeTextPairs(await askThrough(connection)));
    expect(targets.map(({ targetName, portals }) => [targetName, portals.length])).to.deep.equal([
      ["iqn.t:a", 1],
      ["iqn.t:b", 0],
    ]);
    const requests = connection.sent.map(({ header, text }) => [
      text,
      header[8],
      header.readUInt32BE(20),
      header.readUInt32BE(24),
      header.readUInt32BE(28),
    ]);
    expect(requests).to.deep.equal([
      ["SendTargets=All\0", 0, 0xffffffff, 0xffffffff, 5],
      ["", 3, 0x77, 0, 6],
      ["", 0, 0x78, 1, 7],
    ]);
  });

  it("answers a ping on the way, and only one that wants an answer", async () => {
    const connection = new ScriptedConnection(nopIn(5, 0xffffffff), nopIn(5, 0x99), textResponse(5, ""));
    await askThrough(connection);
    expect(connection.sent).to.have.length(2);
    const pong = connection.sent[1]!.header;
    // NOP-Out (00h), immediate; LUN and TTT copied, task tag reserved (RFC 7143 11.18).
    expect([pong[0], pong[9], pong.readUInt32BE(16), pong.readUInt32BE(20)]).to.deep.equal([0x40, 5, 0xffffffff, 0x99]);
  });

  it("ends in an error that says what was wrong", async () => {
    expect((await refusalOf(textResponse(6, ""))).message).to.contain("StatSN 6, expected 5");
    expect((await refusalOf(textResponse(5, "", { tag: 9 }))).message).to.contain("another task's tag");
    expect((await refusalOf(textResponse(5, "", { flags: 0 }))).message).to.contain("without a tag");
    expect((await refusalOf(textResponse(5, "", { flags: 0xc0 }))).message).to.contain("both F and C");
    expect((await refusalOf(reject(4))).message).to.match(/answered with Reject: .+/);
    expect(await refusalOf()).to.be.instanceOf(TransportError);
  });

  it("does not follow an answer without an end", async () => {
    const endless = (text: string) => {
      let statSn = 4;
      const receive = () => {
        statSn += 1;
        return Promise.resolve(textResponse(statSn, text, { flags: 0, ttt: 1 }));
      };
      return new SendTargetsExchange({ send: () => undefined, receive }, { cmdSn: 1, expStatSn: 5 }).ask("All").then(
        () => undefined,
        (cause) => cause,
      );
    };
    expect((await endless("X-a=1\0".repeat(1000))).message).to.contain("longer than 4194304 bytes");
    expect((await endless("")).message).to.contain("no end after 8192 PDUs");
  });

  it("logs out after the last request and does not mind a target that just hangs up", async () => {
    const connection = new ScriptedConnection(textResponse(5, ""));
    const exchange = new SendTargetsExchange(connection, { cmdSn: 8, expStatSn: 5 });
    await exchange.ask("All");
    await exchange.logOut();
    const { header } = connection.sent[1]!;
    // Logout Request 06h immediate, F with reason 0: close the session; CmdSN, ExpStatSN (RFC 7143 11.14).
    expect([header[0], header[1]]).to.deep.equal([0x46, 0x80]);
    expect([header.readUInt32BE(24), header.readUInt32BE(28)]).to.deep.equal([9, 6]);
  });
});
