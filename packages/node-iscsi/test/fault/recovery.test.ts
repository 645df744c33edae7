// Session recovery (RFC 7143 7.1.4.4, ErrorRecoveryLevel 0): the caller sees success, or one typed error that says what is on the disk.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import {
  AbortedError,
  type BlockDevice,
  type ByteRange,
  type ConnectOptions,
  compareAndWrite,
  connect,
  type IscsiSession,
  ProtocolError,
  RecoveryError,
  TransportError,
} from "node-iscsi";
import { IscsiTarget, type TargetFaults, type TargetLimits } from "node-iscsi/target";
import { errorOf } from "../fakes/error-of.ts";
import { until } from "../fakes/until.ts";
import { quickOptions, stored } from "./session-bench.ts";

const MIB = 1024 * 1024;
const SIZE = 32 * MIB;
const targetName = "iqn.2026-11.test:recovery";
const WRITE_16 = 0x8a;
/** iSCSI opcode of a SCSI Response. */
const SCSI_RESPONSE = 0x21;

interface Bench {
  readonly target: IscsiTarget;
  readonly options: ConnectOptions;
  readonly events: string[];
}

/** A target, options that recover quickly, and what the hooks told. */
async function withBench(
  body: (bench: Bench) => Promise<void>,
  setup: { faults?: TargetFaults; limits?: TargetLimits; options?: Partial<ConnectOptions> } = {},
): Promise<void> {
  const backing = { memoryBytes: SIZE };
  const { faults, limits } = setup;
  const target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing, faults, limits });
  const events: string[] = [];
  const options: ConnectOptions = {
    ...quickOptions(target.port, targetName),
    hooks: {
      onConnectionLost: () => events.push("lost"),
      onRecovered: ({ attempts }) => events.push(`recovered after ${attempts}`),
      onRecoveryAttemptFailed: (error) => events.push(error.code),
      onClose: (error) => events.push(error === undefined ? "closed" : `closed: ${error.code}`),
    },
    ...setup.options,
  };
  try {
    await body({ target, options, events });
  } finally {
    await target.close();
  }
}

async function open(options: ConnectOptions): Promise<{ session: IscsiSession; device: BlockDevice }> {
  const session = await connect(options);
  return { session, device: await session.blockDevice() };
}

function bytesOf(ranges: readonly ByteRange[]): number {
  return ranges.reduce((bytes, range) => bytes + range.lengthBytes, 0);
}

/** A session whose target is closed, and replaced by one with other storage on the same port. */
async function withSuccessor(
  backing: { memoryBytes: number },
  body: (bench: { session: IscsiSession; device: BlockDevice; successor: IscsiTarget }) => Promise<void>,
): Promise<void> {
  const first = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: SIZE } });
  const { port } = first;
  const { session, device } = await open({ address: "127.0.0.1", port, targetName, lun: 1 }).finally(() =>
    first.close(),
  );
  const successor = await IscsiTarget.listen({ address: "127.0.0.1", port, targetName, backing });
  try {
    await body({ session, device, successor });
  } finally {
    session.destroy();
    await successor.close();
  }
}

describe("recovery that succeeds", () => {
  const digests = { headerDigest: "CRC32C", dataDigest: "CRC32C" } as const;
  const busyLogins = { refuseLogin: { times: 2, statusClass: 3, statusDetail: 1 } };
  const cuts: [string, TargetFaults, ConnectOptions["wishes"]?][] = [
    ["the status of a write is lost", { executesButDropsStatus: { opcode: WRITE_16, after: 3 } }],
    ["the connection drops before a write is run", { dropsBeforeExecution: { opcode: WRITE_16, after: 3 } }],
    ["the connection drops three times", { dropsBeforeExecution: { opcode: WRITE_16, after: 1, times: 3 } }],
    ["half a status header arrives", { dropsInsidePdu: { opcode: SCSI_RESPONSE, after: 12 } }],
    ["a response is lost and the next shows the gap", { losesPdu: { opcode: SCSI_RESPONSE, after: 7 } }],
    ["the connection drops after so many bytes", { dropAfterBytesSent: { after: 2000 } }],
    ["a header digest is wrong", { headerDigestError: { opcode: SCSI_RESPONSE, after: 12 } }, digests],
    ["the first new logins are refused", { dropsBeforeExecution: { opcode: WRITE_16, after: 2 }, ...busyLogins }],
  ];
  for (const [title, faults, wishes] of cuts)
    it(`16 writes and their read-back survive when ${title}`, () =>
      withBench(async ({ target, options, events }) => {
        const { session, device } = await open({ ...options, wishes });
        Object.assign(target.faults, faults);
        const data = randomBytes(4 * MIB);
        const piece = data.length / 16;
        await Promise.all(
          Array.from({ length: 16 }, (_, at) => device.write(at * piece, data.subarray(at * piece, (at + 1) * piece))),
        );
        expect((await device.read(0, data.length)).equals(data)).to.equal(true);
        expect((await stored(target, 0, data.length)).equals(data)).to.equal(true);
        expect(events.filter((event) => event === "lost").length).to.be.at.least(1);
        expect(events.filter((event) => event.startsWith("recovered")).length).to.be.at.least(1);
        const refused = events.filter((event) => event === "Login").length;
        expect(refused).to.equal(faults.refuseLogin?.times ?? 0);
        await session.logout();
        expect(events.at(-1)).to.equal("closed");
      }));

  it("reads are sent again when their data digest is wrong", () =>
    withBench(async ({ target, options, events }) => {
      const { session, device } = await open({
        ...options,
        wishes: { dataDigest: "CRC32C", maxRecvDataSegmentBytes: 65_536 },
      });
      expect(session.parameters.dataDigest).to.equal(true);
      const data = randomBytes(MIB);
      await device.write(0, data);
      target.faults.dataDigestError = { opcode: 0x25, after: 1 };
      expect((await device.read(0, MIB)).equals(data)).to.equal(true);
      expect(events).to.include("lost");
      await session.logout();
    }));

  it("a stalled target is found by the ping, and the commands are sent again", () =>
    withBench(
      async ({ target, options, events }) => {
        const { session, device } = await open(options);
        target.faults.stalls = { opcode: WRITE_16, after: 2 };
        const data = randomBytes(MIB);
        await Promise.all([0, 1, 2, 3].map((at) => device.write(at * MIB, data)));
        for (const at of [0, 1, 2, 3]) expect((await stored(target, at * MIB, MIB)).equals(data)).to.equal(true);
        expect(events).to.include("lost");
        await session.logout();
      },
      { options: { keepaliveIntervalMs: 50, keepaliveDeadlineMs: 500 } },
    ));

  it("a target that asks for a logout gets it after what is outstanding; the next command logs in again", () =>
    withBench(async ({ target, options, events }) => {
      const { session, device } = await open(options);
      target.faults.asyncMessage = { opcode: WRITE_16, event: 1, parameter3: 5 };
      const data = randomBytes(4 * MIB);
      await Promise.all([0, 1, 2, 3].map((at) => device.write(at * MIB, data.subarray(at * MIB, (at + 1) * MIB))));
      await device.write(4 * MIB, data.subarray(0, MIB));
      expect((await stored(target, 0, data.length)).equals(data)).to.equal(true);
      expect(events.filter((event) => event.startsWith("recovered")).length).to.equal(1);
      await session.logout();
    }));

  it("a delayed write of the lost session never lands after the new one was told of a later write", () =>
    withBench(async ({ target, options }) => {
      const { session, device } = await open(options);
      const first = Buffer.alloc(4096, 1);
      const second = Buffer.alloc(4096, 2);
      let isDelayed = false;
      target.faults.delayMs = (cdb) => {
        if (cdb[0] !== WRITE_16 || isDelayed) return 0;
        isDelayed = true;
        setImmediate(() => target.dropConnections());
        return 150;
      };
      await device.write(0, first);
      await device.write(0, second);
      const end = Date.now() + 250;
      while (Date.now() < end) {
        expect((await stored(target, 0, 4096)).equals(second)).to.equal(true);
        await new Promise(setImmediate);
      }
      expect(isDelayed).to.equal(true);
      await session.logout();
    }));

  it("an idle session whose target went away and came back, larger, works on", () =>
    withSuccessor({ memoryBytes: SIZE * 2 }, async ({ session, device, successor }) => {
      await device.write(0, Buffer.alloc(MIB, 7));
      expect((await stored(successor, 0, MIB)).equals(Buffer.alloc(MIB, 7))).to.equal(true);
      await session.logout();
    }));
});

describe("recovery that fails", () => {
  it("a command that is not idempotent is not sent twice when its fate is unknown", () =>
    withBench(async ({ target, options }) => {
      const { session, device } = await open(options);
      await device.write(0, Buffer.alloc(512, 1));
      target.faults.executesButDropsStatus = { opcode: 0x89 };
      const error = await errorOf(session.execute(compareAndWrite(0, 1, Buffer.alloc(512, 1), Buffer.alloc(512, 2))));
      expect(error).to.be.instanceOf(TransportError);
      expect(error.effect).to.equal("unknown");
      // The session itself goes on.
      expect((await device.read(0, 512)).equals(Buffer.alloc(512, 2))).to.equal(true);
      await session.logout();
    }));

  it("the error says which bytes are written, unknown and untouched, and it is so", () =>
    withBench(
      async ({ target, options }) => {
        const { device, session } = await open({
          ...options,
          recovery: { firstBackoffMs: 1, longestBackoffMs: 2, maxAttempts: 3 },
        });
        // 64 commands, 16 at a time: of the 21 that were run 5 at least are acknowledged, 20 at most; 36 at most were sent.
        target.faults.executesButDropsStatus = { opcode: WRITE_16, after: 20 };
        target.faults.refuseLogin = { statusClass: 3, statusDetail: 1 };
        const bytes = 64 * 128 * 512;
        const data = randomBytes(bytes);
        const error = await errorOf(device.write(0, data));
        expect(error).to.be.instanceOf(RecoveryError);
        expect(error.message).to.contain("bytes were written");
        const { written, unknown, untouched } = error.onDisk ?? { written: [], unknown: [], untouched: [] };
        expect(bytesOf([...written, ...unknown, ...untouched])).to.equal(bytes);
        expect(bytesOf(written) / 65_536).to.be.within(5, 20);
        expect(bytesOf(unknown) / 65_536).to.be.within(1, 16);
        expect(bytesOf(untouched) / 65_536).to.be.at.least(64 - 36);
        for (const { offsetBytes, lengthBytes } of written) {
          const part = data.subarray(offsetBytes, offsetBytes + lengthBytes);
          expect((await stored(target, offsetBytes, lengthBytes)).equals(part)).to.equal(true);
        }
        for (const { offsetBytes, lengthBytes } of untouched)
          expect((await stored(target, offsetBytes, lengthBytes)).equals(Buffer.alloc(lengthBytes))).to.equal(true);
        session.destroy();
      },
      { limits: { maximumTransferBlocks: 128 } },
    ));

  it("a refused login ends it at once with the reason", () =>
    withBench(async ({ target, options, events }) => {
      const { device, session } = await open(options);
      target.faults.refuseLogin = { statusClass: 2, statusDetail: 1 };
      target.dropConnections();
      await until(() => events.includes("lost"));
      const error = await errorOf(device.write(0, Buffer.alloc(512)));
      expect(error).to.be.instanceOf(RecoveryError);
      expect(error.effect).to.equal("none");
      expect(events).to.deep.equal(["lost", "Login"]);
      // The target may be set right again: the session is not over.
      target.faults.refuseLogin = undefined;
      await device.write(0, Buffer.alloc(512));
      await session.logout();
    }));

  it("another disk under the same name gets nothing, and the session ends", () =>
    withSuccessor({ memoryBytes: SIZE / 2 }, async ({ session, device, successor }) => {
      const error = await errorOf(device.write(0, Buffer.alloc(512, 1)));
      expect(error.message).to.contain("another unit answers");
      expect(session.isClosed).to.equal(true);
      expect((await stored(successor, 0, 512)).equals(Buffer.alloc(512))).to.equal(true);
    }));

  it("a target that breaks the protocol is not tried again", () =>
    withBench(async ({ target, options, events }) => {
      const { device, session } = await open(options);
      target.faults.asksTooMuch = true;
      const error = await errorOf(device.write(0, Buffer.alloc(MIB)));
      expect(error.cause).to.be.instanceOf(ProtocolError);
      expect(session.isClosed).to.equal(true);
      expect(events).to.deep.equal(["closed: Protocol"]);
    }));

  it("destroy and an abort end the waiting for a recovery", () =>
    withBench(async ({ target, options }) => {
      const { device, session } = await open(options);
      target.faults.refuseLogin = { statusClass: 3, statusDetail: 1 };
      target.dropConnections();
      const controller = new AbortController();
      const aborted = errorOf(device.write(0, Buffer.alloc(512), { signal: controller.signal }));
      const destroyed = errorOf(device.write(512, Buffer.alloc(512)));
      setImmediate(() => controller.abort());
      expect(await aborted).to.be.instanceOf(AbortedError);
      session.destroy(new TransportError("no longer wanted", { operation: "deployment" }));
      expect((await destroyed).message).to.contain("no longer wanted");
      expect((await errorOf(device.flush())).effect).to.equal("none");
    }));

  it("a logout during a recovery waits for the commands that are being sent again", () =>
    withBench(async ({ target, options }) => {
      const { device, session } = await open(options);
      target.faults.dropsBeforeExecution = { opcode: WRITE_16 };
      const written = device.write(0, Buffer.alloc(512, 9));
      target.faults.refuseLogin = { times: 3, statusClass: 3, statusDetail: 1 };
      const end = session.logout();
      await written;
      await end;
      expect((await stored(target, 0, 512)).equals(Buffer.alloc(512, 9))).to.equal(true);
    }));
});
