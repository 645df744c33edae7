// What an adversarial review of the initiator found: effects told across retries, fencing, exchanged units, lost caches, late data.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import {
  CacheLossError,
  type ConnectOptions,
  connect,
  createReadStream,
  InvalidArgumentError,
  type IscsiError,
  type ScsiError,
  TimeoutError,
  testUnitReady,
} from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { until } from "../fakes/until.ts";
import { stored, withBench } from "./session-bench.ts";

const MIB = 1024 * 1024;
const TEST_UNIT_READY = 0;
const WRITE_16 = 0x8a;
const CHECK_CONDITION = 2;
const UNIT_ATTENTION = 6;

describe("requests that cannot be sent", () => {
  it("an impossible LUN or CDB is refused before it takes a CmdSN, and the session goes on", () =>
    withBench(async ({ session }) => {
      for (const lun of [16_384, -1, 1.5, Number.NaN])
        expect(await errorOf(session.execute(testUnitReady(), { lun }))).to.be.instanceOf(InvalidArgumentError);
      expect(await errorOf(session.execute({ ...testUnitReady(), cdb: Buffer.alloc(32) }))).to.be.instanceOf(
        InvalidArgumentError,
      );
      expect(await errorOf(session.lunReset({ lun: 70_000 }))).to.be.instanceOf(InvalidArgumentError);
      await session.testUnitReady({ deadlineMs: 2000 });
    }));

  it("connect with an impossible LUN rejects with InvalidArgumentError", () =>
    withBench(async ({ options }) => {
      expect(await errorOf(connect({ ...options, lun: 20_000 }))).to.be.instanceOf(InvalidArgumentError);
    }));

  it("options that could only fail later are refused at once, by name", () =>
    withBench(async ({ options }) => {
      const wrong: Partial<ConnectOptions>[] = [
        { port: 70_000 },
        { deadlineMs: Number.NaN },
        { commandDeadlineMs: Number.NaN },
        { commandDeadlineMs: 0 },
        { maxOutstandingCommands: 0 },
        { keepaliveIntervalMs: -1 },
        { portals: [{ address: "127.0.0.1", port: 0 }] },
      ];
      for (const change of wrong) {
        const error = await errorOf(connect({ ...options, ...change }));
        expect(error).to.be.instanceOf(InvalidArgumentError);
        expect(error.message).to.contain(Object.keys(change)[0]);
      }
    }));

  it("a deadline of Infinity is no deadline", () =>
    withBench(async ({ session }) => session.testUnitReady({ deadlineMs: Number.POSITIVE_INFINITY })));
});

describe("what an error says of the disk", () => {
  it("a retry that was refused does not hide that the attempt before may have been run", () =>
    withBench(async ({ target, device }) => {
      target.faults.executesButDropsStatus = { opcode: WRITE_16 };
      target.faults.statuses = [
        { opcode: WRITE_16, after: 0, status: 0x08 },
        { opcode: WRITE_16, after: 0, status: 0x18 },
      ];
      // The first write is run and its status lost: faults that replace the run come after it.
      target.faults.statuses = undefined;
      const written = errorOf(device.write(0, Buffer.alloc(512, 0xaa)));
      await until(() => {
        if (target.counts.logins >= 2) return true;
        target.faults.statuses ??= [
          { opcode: WRITE_16, after: 1, status: 0x08 },
          { opcode: WRITE_16, after: 1, times: 9, status: 0x18 },
        ];
        return false;
      });
      const error = await written;
      expect((error as ScsiError).statusText).to.equal("RESERVATION CONFLICT");
      expect(error.effect).to.equal("unknown");
      expect(error.onDisk?.unknown).to.deep.equal([{ offsetBytes: 0, lengthBytes: 512 }]);
    }));

  const cases: [string, { senseKey: number; asc: number; ascq: number }, "none" | "unknown"][] = [
    ["a thin pool that ran full", { senseKey: 7, asc: 0x27, ascq: 7 }, "unknown"],
    ["a write-protected unit", { senseKey: 7, asc: 0x27, ascq: 0 }, "none"],
    ["a medium that was taken out", { senseKey: 2, asc: 0x3a, ascq: 0 }, "unknown"],
    ["a unit that is not ready", { senseKey: 2, asc: 0x04, ascq: 3 }, "none"],
  ];
  for (const [title, sense, effect] of cases)
    it(`${title}: effect ${effect}`, () =>
      withBench(async ({ target, device }) => {
        target.faults.statuses = { opcode: WRITE_16, status: CHECK_CONDITION, ...sense };
        expect((await errorOf(device.write(0, Buffer.alloc(512)))).effect).to.equal(effect);
      }));
});

describe("unit attentions that mean something", () => {
  it("a fenced initiator is told, and does not write on", () =>
    withBench(async ({ target, device }) => {
      const preempted = { status: CHECK_CONDITION, senseKey: UNIT_ATTENTION, asc: 0x2a, ascq: 3 };
      target.faults.statuses = { opcode: WRITE_16, ...preempted };
      const error = (await errorOf(device.write(0, Buffer.alloc(512, 1)))) as ScsiError;
      expect([error.asc, error.ascq, error.effect]).to.deep.equal([0x2a, 3, "none"]);
    }));

  it("after INQUIRY DATA HAS CHANGED the unit is looked at before the command is sent again", () =>
    withBench(async ({ target, device }) => {
      const changed = { status: CHECK_CONDITION, senseKey: UNIT_ATTENTION, asc: 0x3f, ascq: 3 };
      target.faults.statuses = { opcode: WRITE_16, ...changed };
      const before = target.counts.commands;
      await device.write(0, Buffer.alloc(512, 1));
      // TEST UNIT READY, INQUIRY, VPD 83h, READ CAPACITY, write; the refused write was not run and is not counted.
      expect(target.counts.commands - before).to.equal(5);
    }));

  it("attentions that come while the unit is looked at begin the look again, and the command succeeds", async () => {
    const attention = (opcode: number, asc: number, ascq: number) => ({
      ...{ opcode, status: CHECK_CONDITION, senseKey: UNIT_ATTENTION, asc, ascq },
    });
    const seen: string[] = [];
    const onRetry = ({ asc, ascq }: ScsiError) => seen.push(`${asc}/${ascq}`);
    const body: Parameters<typeof withBench>[0] = async ({ target, device }) => {
      target.faults.statuses = [
        attention(WRITE_16, 0x3f, 3),
        attention(TEST_UNIT_READY, 0x2a, 9),
        attention(TEST_UNIT_READY, 0x3f, 0x0e),
      ];
      await device.write(0, Buffer.alloc(512, 1));
      expect(await stored(target, 0, 512)).to.deep.equal(Buffer.alloc(512, 1));
    };
    await withBench(body, { hooks: { onRetry } });
    expect(seen).to.deep.equal(["63/3", "42/9", "63/14"]);
  });
});

describe("caches that lose what was acknowledged", () => {
  it("a flush after a power-on report rejects once, with the ranges that may be lost", () =>
    withBench(async ({ target, device }) => {
      await device.write(0, Buffer.alloc(MIB, 1));
      await device.flush();
      await device.write(4 * MIB, Buffer.alloc(MIB, 2));
      const powerOn = { status: CHECK_CONDITION, senseKey: UNIT_ATTENTION, asc: 0x29, ascq: 1 };
      target.faults.statuses = { opcode: WRITE_16, ...powerOn };
      await device.write(8 * MIB, Buffer.alloc(512, 3));
      const error = await errorOf(device.flush());
      expect(error).to.be.instanceOf(CacheLossError);
      expect(error.message).to.contain("write it again");
      expect(error.onDisk?.unknown).to.deep.equal([
        { offsetBytes: 4 * MIB, lengthBytes: MIB },
        { offsetBytes: 8 * MIB, lengthBytes: 512 },
      ]);
      await device.flush();
    }));

  it("a connection that was merely cut loses nothing", () =>
    withBench(async ({ target, device }) => {
      target.faults.reportsNexusLoss = true;
      target.faults.dropsBeforeExecution = { opcode: WRITE_16 };
      await device.write(0, Buffer.alloc(512, 1));
      expect(target.counts.logins).to.equal(2);
      await device.flush();
    }));
});

describe("deadlines and streams", () => {
  it("one deadline bounds an operation of many commands", () =>
    withBench(async ({ target, device }) => {
      target.faults.delayMs = 60;
      const error = await errorOf(device.readInto(0, Buffer.alloc(32 * MIB), { deadlineMs: 100 }));
      expect(error).to.be.instanceOf(TimeoutError);
    }));

  it("a wait for a recovery that is draining ends with the command's deadline", () =>
    withBench(
      async ({ target, session, device }) => {
        target.faults.delayMs = (cdb) => (cdb[0] === WRITE_16 ? 1500 : 0);
        const slow = device.write(0, Buffer.alloc(512));
        target.sendAsyncMessage({ event: 1, parameter3: 60 });
        await until(() => target.counts.pings > 0 || target.counts.commands > 0);
        let error: IscsiError | undefined;
        // Until the message has arrived the session still takes commands.
        while (error === undefined)
          error = await session.testUnitReady({ deadlineMs: 50 }).then(
            () => undefined,
            (cause) => cause,
          );
        expect(error).to.be.instanceOf(TimeoutError);
        await slow;
      },
      { keepaliveIntervalMs: 0 },
    ));

  it("a read stream that is read in paused mode comes to its end", async function () {
    this.timeout(30_000);
    await withBench(async ({ device }) => {
      const data = randomBytes(8 * MIB);
      await device.write(0, data);
      for (let round = 0; round < 20; round += 1) {
        const stream = createReadStream(device, { end: data.length, chunkBytes: 64 * 1024, inFlight: 3 });
        const parts: Buffer[] = [];
        await new Promise<void>((resolve, reject) => {
          stream.on("readable", () => {
            for (let part = stream.read(); part !== null; part = stream.read()) parts.push(part);
          });
          stream.on("end", resolve);
          stream.on("error", reject);
        });
        expect(Buffer.concat(parts).equals(data)).to.equal(true);
      }
    });
  });

  it("a hundred reads under one signal warn of nothing", () =>
    withBench(async ({ device }) => {
      const warnings: Error[] = [];
      const onWarning = (warning: Error) => warnings.push(warning);
      process.on("warning", onWarning);
      const { signal } = new AbortController();
      await Promise.all(Array.from({ length: 100 }, (_, at) => device.read(at * 512, 512, { signal })));
      await new Promise(setImmediate);
      process.off("warning", onWarning);
      expect(warnings).to.deep.equal([]);
    }));
});
