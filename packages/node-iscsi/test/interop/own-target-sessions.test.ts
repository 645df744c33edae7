// Session rules of our target (RFC 7143 6.3.4, 6.3.5, 11.5, 11.12.6): identity, reinstatement, and that nothing of a dead session lands late.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { type Backing, IscsiTarget, type IscsiTargetOptions } from "node-iscsi/target";
import { Opcode, opcodeOf } from "../../src/pdu/header.ts";
import { decodeScsiResponse } from "../../src/pdu/scsi.ts";
import { decodeTaskManagementResponse, encodeTaskManagementRequest } from "../../src/pdu/task-management.ts";
import { until } from "../fakes/until.ts";
import { RawInitiator, type RawLogin, RESERVED_TAG, readWriteCdb, TEST_UNIT_READY } from "./own-target-client.ts";

const targetName = "iqn.2026-11.test:sessions";
const SIZE = 1024 * 1024;

/** Memory whose writes wait at a gate while it is shut. */
class GatedBacking implements Backing {
  readonly sizeBytes = SIZE;
  readonly bytes = Buffer.alloc(SIZE);
  /** Offsets in the order in which writes landed. */
  readonly landed: number[] = [];
  waiting = 0;
  #gate: Promise<void> | undefined;
  #open: (() => void) | undefined;

  shut(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#gate = undefined;
    this.#open?.();
  }

  async write(offset: number, data: Buffer): Promise<void> {
    this.waiting += 1;
    await this.#gate;
    this.waiting -= 1;
    data.copy(this.bytes, offset);
    this.landed.push(offset);
  }

  async read(offset: number, into: Buffer): Promise<void> {
    this.bytes.copy(into, 0, offset, offset + into.length);
  }

  async zero(offset: number, length: number): Promise<void> {
    this.bytes.fill(0, offset, offset + length);
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}
}

describe("sessions of our target", () => {
  let target: IscsiTarget;
  let backing: GatedBacking;
  let clients: RawInitiator[];

  async function listen(options: Partial<IscsiTargetOptions> = {}): Promise<void> {
    backing = new GatedBacking();
    target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing, ...options });
  }

  async function dial(): Promise<RawInitiator> {
    const client = await RawInitiator.open(target.port);
    clients.push(client);
    return client;
  }

  async function enter(login: Partial<RawLogin> = {}): Promise<RawInitiator> {
    const client = await dial();
    expect((await client.login({ targetName, ...login })).statusClass).to.equal(0);
    return client;
  }

  beforeEach(() => {
    clients = [];
  });

  afterEach(async () => {
    for (const client of clients) client.destroy();
    backing.open();
    await target.close();
  });

  it("gives each session its own TSIH that is not 0", async () => {
    await listen();
    const answers = [];
    for (const isid of ["800000000001", "800000000002", "800000000003"])
      answers.push(await (await dial()).login({ targetName, isid }));
    const handles = answers.map(({ tsih }) => tsih);
    expect(new Set([...handles, 0]).size).to.equal(4);
    expect(target.sessions.map(({ tsih }) => tsih)).to.deep.equal(handles);
    expect(target.counts.logins).to.equal(3);
    expect(target.counts.reinstatements).to.equal(0);
  });

  it("refuses a TSIH it never gave, and a second connection of a session", async () => {
    await listen();
    const first = await (await dial()).login({ targetName });
    const unknown = await (await dial()).login({ targetName, tsih: (first.tsih % 0xffff) + 1 });
    expect([unknown.statusClass, unknown.statusDetail]).to.deep.equal([2, 0x0a]);
    const others = await (await dial()).login({ targetName, tsih: first.tsih, isid: "800000000009" });
    expect([others.statusClass, others.statusDetail]).to.deep.equal([2, 0x0a]);
    const second = await (await dial()).login({ targetName, tsih: first.tsih, connectionId: 1 });
    expect([second.statusClass, second.statusDetail]).to.deep.equal([2, 6]);
    expect(target.counts.refusals).to.equal(3);
    expect(target.sessions).to.have.length(1);
  });

  it("replaces a connection of the same identifier and keeps the TSIH", async () => {
    await listen();
    const old = await dial();
    const { tsih } = await old.login({ targetName });
    const answer = await (await dial()).login({ targetName, tsih });
    await old.closed;
    expect([answer.statusClass, answer.tsih]).to.deep.equal([0, tsih]);
  });

  it("replaces a session with the same name and ISID, and no other", async () => {
    await listen();
    const old = await enter();
    const otherIsid = await enter({ isid: "800000000002" });
    const otherName = await enter({ initiatorName: "iqn.2026-11.test:somebody-else" });
    const discovery = await enter({ isDiscovery: true });
    await enter();
    await old.closed;
    expect(target.counts.reinstatements).to.equal(1);
    expect(target.sessions).to.have.length(4);
    for (const client of [otherIsid, otherName]) {
      client.command(1, TEST_UNIT_READY);
      expect(decodeScsiResponse((await client.next()).header).status).to.equal(0);
    }
    expect(discovery.socket.destroyed).to.equal(false);
  });

  it("drops a write that is still being collected", async () => {
    await listen();
    const old = await enter();
    old.command(1, readWriteCdb(0x8a, 0, 2), { writes: 1024, immediate: randomBytes(512) });
    expect(opcodeOf((await old.next()).header)).to.equal(Opcode.ReadyToTransfer);
    await enter();
    await old.closed;
    expect(backing.landed).to.deep.equal([]);
    expect(target.counts.commands).to.equal(0);
  });

  it("drops a write that waits to be run", async () => {
    await listen({ faults: { delayMs: 60_000 } });
    const old = await enter();
    old.command(1, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: randomBytes(512) });
    await until(() => target.counts.bytesReceived > 600);
    await enter();
    expect(backing.landed).to.deep.equal([]);
  });

  it("answers the new login only when a write that runs has landed", async () => {
    await listen();
    const old = await enter();
    backing.shut();
    old.command(1, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: Buffer.alloc(512, 0xaa) });
    await until(() => backing.waiting === 1);
    const fresh = await dial();
    let isAnswered = false;
    const login = fresh.login({ targetName }).then((answer) => {
      isAnswered = true;
      return answer;
    });
    await old.closed;
    expect(isAnswered).to.equal(false);
    expect(backing.landed).to.deep.equal([]);
    backing.open();
    expect((await login).statusClass).to.equal(0);
    expect(backing.landed).to.deep.equal([0]);
    fresh.command(1, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: Buffer.alloc(512, 0xbb) });
    expect(decodeScsiResponse((await fresh.next()).header).status).to.equal(0);
    expect(backing.bytes[0]).to.equal(0xbb);
  });

  it("waits also for a write of a connection that died before", async () => {
    await listen();
    const old = await enter();
    backing.shut();
    old.command(1, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: Buffer.alloc(512, 0xaa) });
    await until(() => backing.waiting === 1);
    old.destroy();
    await until(() => target.sessions.length === 0);
    const fresh = await dial();
    let isAnswered = false;
    const login = fresh.login({ targetName }).finally(() => {
      isAnswered = true;
    });
    await until(() => target.sessions.length === 1);
    // Others are served meanwhile.
    await enter({ isid: "800000000002" });
    expect(isAnswered).to.equal(false);
    backing.open();
    expect((await login).statusClass).to.equal(0);
    expect(backing.landed).to.deep.equal([0]);
  });

  it("lets the last of several logins at once win", async () => {
    await listen();
    await enter();
    const contenders = await Promise.all([dial(), dial(), dial(), dial()]);
    const answers = await Promise.allSettled(contenders.map((client) => client.login({ targetName })));
    expect(answers.some(({ status }) => status === "fulfilled")).to.equal(true);
    await until(() => target.connectionCount === 1);
    expect(target.sessions).to.have.length(1);
  });

  it("reports the loss of the nexus when asked to", async () => {
    await listen({ faults: { reportsNexusLoss: true } });
    await enter();
    const fresh = await enter();
    fresh.command(1, TEST_UNIT_READY);
    const { header, data } = await fresh.next();
    expect(decodeScsiResponse(header).status).to.equal(2);
    expect([data[4]! & 0x0f, data[14], data[15]]).to.deep.equal([6, 0x29, 0x07]);
  });

  describe("task management", () => {
    /** Sends a function and gives its response. */
    async function manage(client: RawInitiator, fn: number, referencedTaskTag = RESERVED_TAG): Promise<number> {
      const { cmdSn } = client;
      const pdu = { function: fn, lun: 1, initiatorTaskTag: 99, referencedTaskTag, cmdSn, expStatSn: 0, refCmdSn: 0 };
      client.send(encodeTaskManagementRequest(pdu));
      return decodeTaskManagementResponse((await client.next()).header).response;
    }

    it("answers ABORT TASK when the running write can do no more harm, and sends no status for it", async () => {
      await listen();
      const client = await enter();
      backing.shut();
      client.command(7, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: randomBytes(512) });
      await until(() => backing.waiting === 1);
      let isAnswered = false;
      const response = manage(client, 1, 7).finally(() => {
        isAnswered = true;
      });
      await until(() => target.counts.taskManagement === 1);
      // A later command overtakes the function, which still waits for the write.
      const other = await enter({ isid: "800000000002" });
      other.command(8, TEST_UNIT_READY);
      await other.next();
      expect([client.unread, isAnswered, backing.landed.length]).to.deep.equal([0, false, 0]);
      backing.open();
      expect(await response).to.equal(0);
      expect(backing.landed).to.deep.equal([0]);
      expect(await manage(client, 1, 7)).to.equal(1);
    });

    it("ends a write that waits for data, and ignores what still comes", async () => {
      await listen();
      const client = await enter();
      client.command(7, readWriteCdb(0x8a, 0, 2), { writes: 1024, immediate: randomBytes(512) });
      await client.next();
      expect(await manage(client, 2)).to.equal(0);
      client.command(8, TEST_UNIT_READY);
      expect(decodeScsiResponse((await client.next()).header).initiatorTaskTag).to.equal(8);
    });

    for (const [title, fn, asc, ascq] of [
      ["LOGICAL UNIT RESET", 5, 0x29, 0x03],
      ["TARGET WARM RESET", 6, 0x29, 0x00],
      ["CLEAR TASK SET", 4, 0x2f, 0x00],
    ] as const)
      it(`${title} ends the tasks of all sessions and tells the others`, async () => {
        await listen();
        const own = await enter();
        const other = await enter({ isid: "800000000002" });
        other.command(7, readWriteCdb(0x8a, 0, 2), { writes: 1024, immediate: randomBytes(512) });
        await other.next();
        expect(await manage(own, fn)).to.equal(0);
        own.command(1, TEST_UNIT_READY);
        expect(decodeScsiResponse((await own.next()).header).status).to.equal(0);
        other.command(8, TEST_UNIT_READY);
        const { header, data } = await other.next();
        expect(decodeScsiResponse(header)).to.include({ status: 2, initiatorTaskTag: 8 });
        expect([data[4]! & 0x0f, data[14], data[15]]).to.deep.equal([6, asc, ascq]);
        expect(backing.landed).to.deep.equal([]);
      });

    it("knows what it cannot do", async () => {
      await listen();
      const client = await enter();
      expect(await manage(client, 8)).to.equal(4);
      expect(await manage(client, 7)).to.equal(5);
      target.faults.taskManagementResponse = 255;
      expect(await manage(client, 5)).to.equal(255);
    });
  });
});
