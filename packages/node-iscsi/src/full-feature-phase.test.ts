// Full feature phase against a scripted connection: what the target may send unasked, and the window. Expected bytes by hand.
import { expect } from "chai";
import { CacheLosses } from "./cache-losses.ts";
import type { ConnectionListener, SessionConnection } from "./connection.ts";
import { AbortedError, IscsiError, ProtocolError, TransportError } from "./errors.ts";
import { FullFeaturePhase } from "./full-feature-phase.ts";
import { DEFAULT_WISHES, settleParameters } from "./negotiation.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";
import { write16 } from "./scsi/write-16.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

/** Records what is sent; plays the target's PDUs. */
class ScriptedConnection implements SessionConnection {
  readonly portal = "192.0.2.1:3260";
  readonly isCongested = false;
  readonly sent: Buffer[] = [];
  closedWith: IscsiError | undefined;
  listener: ConnectionListener | undefined;

  attach(listener: ConnectionListener): void {
    this.listener = listener;
  }

  send(header: Buffer): void {
    this.sent.push(header);
  }

  abandonPlacement(): void {}

  destroy(error?: IscsiError): void {
    if (this.closedWith !== undefined) return;
    this.closedWith = error ?? new TransportError("closed", { operation: "test" });
    this.listener?.onClose(this.closedWith);
  }

  async close(): Promise<void> {
    this.destroy();
  }

  play(header: string, data = Buffer.alloc(0)): void {
    this.listener?.onPdu(hex(header), data);
  }
}

function start(maxCmdSn = 110): { connection: ScriptedConnection; session: FullFeaturePhase; events: number[] } {
  const connection = new ScriptedConnection();
  const events: number[] = [];
  const session = new FullFeaturePhase(
    connection,
    {
      parameters: settleParameters(new Map(), DEFAULT_WISHES),
      tsih: 1,
      cmdSn: 100,
      expStatSn: 5,
      expCmdSn: 100,
      maxCmdSn,
    },
    {
      targetName: "iqn.x",
      lun: 1,
      commandDeadlineMs: 1000,
      maxOutstandingCommands: 64,
      keepaliveIntervalMs: 0,
      keepaliveDeadlineMs: 1000,
      cacheLosses: new CacheLosses(),
      hooks: { onAsyncMessage: (message) => events.push(message.event) },
    },
  );
  return { connection, session, events };
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (cause) => cause,
  );

/** GOOD for a tag: StatSN, ExpCmdSN, MaxCmdSN as given. */
const good = (tag: string, statSn: string, expCmdSn: string, maxCmdSn: string) =>
  `2180000000000000 0000000000000000 ${tag} 00000000 ${statSn} ${expCmdSn} ${maxCmdSn} 000000000000000000000000`;

describe("FullFeaturePhase", () => {
  it("answers a NOP-In with its tag and LUN, without using up a CmdSN or StatSN", () => {
    const { connection } = start();
    connection.play(
      "2080000000000000 0001000000000000 ffffffff 00000abc 00000005 00000064 0000006e 000000000000000000000000",
    );
    const answer =
      "4080000000000000 0001000000000000 ffffffff 00000abc 00000064 00000005 00000000000000000000000000000000";
    expect(connection.sent.map((header) => header.toString("hex"))).to.deep.equal([answer.replaceAll(" ", "")]);
    connection.play(
      "2080000000000000 0000000000000000 ffffffff ffffffff 00000005 00000064 0000006e 000000000000000000000000",
    );
    expect(connection.sent).to.have.length(1);
  });

  it("keeps commands back until MaxCmdSN lets them go, and acknowledges StatSN", async () => {
    const { connection, session } = start(100);
    const first = session.execute(testUnitReady());
    const second = session.execute(testUnitReady());
    expect(connection.sent.map((header) => header.readUInt32BE(24))).to.deep.equal([100]);
    connection.play(good("00000001", "00000005", "00000065", "00000065"));
    await first;
    expect(connection.sent.map((header) => [header.readUInt32BE(24), header.readUInt32BE(28)])).to.deep.equal([
      [100, 5],
      [101, 6],
    ]);
    connection.play(good("00000002", "00000006", "00000066", "00000066"));
    await second;
  });

  it("fails a rejected command and no other", async () => {
    const { connection, session } = start();
    const rejected = errorOf(session.execute(testUnitReady()));
    const fine = session.execute(testUnitReady());
    const reject =
      "3f80090000000030 0000000000000000 ffffffff 00000000 00000005 00000066 0000006e 000000000000000000000000";
    connection.play(reject, Buffer.from(connection.sent[0]!));
    const error = await rejected;
    expect(error).to.be.instanceOf(ProtocolError);
    expect(error.message).to.contain("invalid PDU field");
    connection.play(good("00000002", "00000006", "00000066", "0000006e"));
    await fine;
  });

  it("logs out once when the target asks for it, after what is outstanding", async () => {
    const { connection, session, events } = start();
    const command = session.execute(testUnitReady());
    connection.play(
      "3280000000000000 0000000000000000 ffffffff 00000000 00000005 00000065 0000006e 0100 0000 0000 000a 00000000",
    );
    expect(events).to.deep.equal([1]);
    expect(connection.sent).to.have.length(1);
    expect(await errorOf(session.execute(testUnitReady()))).to.be.instanceOf(TransportError);
    const ended = session.logout();
    connection.play(good("00000001", "00000006", "00000065", "0000006e"));
    await command;
    await new Promise(setImmediate);
    expect(connection.sent.map((header) => header[0])).to.deep.equal([0x01, 0x46]);
    connection.play(
      "2680000000000000 0000000000000000 00000002 00000000 00000007 00000065 0000006e 000000000000000000000000",
    );
    await ended;
    expect(session.isEnding).to.equal(true);
  });

  it("ends when the target announces a drop, and fails what is outstanding", async () => {
    const { connection, session } = start();
    const command = errorOf(session.execute(testUnitReady()));
    connection.play(
      "3280000000000000 0000000000000000 ffffffff 00000000 00000005 00000065 0000006e 0300 0000 0000 0000 00000000",
    );
    expect(await command).to.be.instanceOf(TransportError);
    expect((await command).message)
      .to.contain("drops the connection")
      .and.contain("TEST UNIT READY");
  });

  it("treats a response code that says the target failed as an error, not as status GOOD", async () => {
    const { connection, session } = start();
    const command = errorOf(session.execute(testUnitReady()));
    connection.play(
      "2180010000000000 0000000000000000 00000001 00000000 00000005 00000065 0000006e 000000000000000000000000",
    );
    expect(await command).to.be.instanceOf(IscsiError);
  });

  describe("a write is done only when all of its data went", () => {
    /** R2T for task 1 (RFC 7143 11.8): R2TSN, offset and length as given. */
    const r2t = (r2tSn: string, offset: string, length: string) =>
      `3180000000000000 0001000000000000 00000001 00000abc 00000005 00000065 0000006e ${r2tSn} ${offset} ${length}`;
    const GOOD = good("00000001", "00000005", "00000065", "0000006e");
    /** The target's defaults: 8192 bytes go with the command, the rest needs R2Ts. */
    function write(bytes: number) {
      const { connection, session } = start();
      const error = errorOf(session.execute(write16(0, bytes / 512, Buffer.alloc(bytes))));
      return { connection, error };
    }

    it("GOOD with an underflow, no R2T ever sent", async () => {
      const { connection, error } = write(1_048_576);
      connection.play(
        "2182000000000000 0000000000000000 00000001 00000000 00000005 00000065 0000006e 00000000 00000000 000fe000",
      );
      expect(await error)
        .to.be.instanceOf(ProtocolError)
        .with.property("message")
        .that.contains("underflow of 1040384 of 1048576");
    });
    it("GOOD without a residual, no R2T ever sent", async () => {
      const { connection, error } = write(1_048_576);
      connection.play(GOOD);
      expect(await error).to.be.instanceOf(ProtocolError);
      expect((await error).message).to.contain("GOOD after 8192 of 1048576 bytes");
    });
    it("GOOD when the R2Ts asked for a part of it", async () => {
      const { connection, error } = write(24_576);
      connection.play(r2t("00000000", "00002000", "00002000"));
      connection.play(GOOD);
      expect((await error).message).to.contain("GOOD after 16384 of 24576 bytes");
    });
    it("an R2T for bytes that were sent already", () => {
      const { connection } = write(24_576);
      connection.play(r2t("00000000", "00002000", "00002000"));
      expect(() => connection.play(r2t("00000001", "00002000", "00002000"))).to.throw(ProtocolError, "16384 bytes");
    });
    it("succeeds when all was asked for, and when it is as short as the immediate data", async () => {
      const long = write(24_576);
      long.connection.play(r2t("00000000", "00002000", "00004000"));
      long.connection.play(GOOD);
      expect(await long.error).to.equal(undefined);
      const short = write(8192);
      short.connection.play(GOOD);
      expect(await short.error).to.equal(undefined);
    });
  });

  for (const [response, isGone] of [
    ["00", true],
    ["01", true],
    ["02", false],
    ["05", false],
    ["06", false],
    ["ff", false],
  ] as const) {
    it(`an ABORT TASK answered with ${response}: the session ${isGone ? "goes on" : "ends, as the task may run on"}`, async () => {
      const { connection, session } = start();
      const caller = new AbortController();
      const error = errorOf(session.execute(testUnitReady(), { signal: caller.signal }));
      caller.abort();
      expect(connection.sent.map((header) => header[0])).to.deep.equal([0x01, 0x42]);
      connection.play(
        `2280${response}0000000000 0000000000000000 00000002 00000000 00000005 00000065 0000006e 000000000000000000000000`,
      );
      expect(await error).to.be.instanceOf(AbortedError);
      expect(session.isEnding).to.equal(!isGone);
      if (!isGone)
        expect(connection.closedWith)
          .to.be.instanceOf(TransportError)
          .with.property("message")
          .that.contains("refuses");
    });
  }
});
