// What discard and flush of a block device make the target do (SBC-4 5.24, 5.35): seen at the store behind it.
import { expect } from "chai";
import { type BlockDevice, connect } from "node-iscsi";
import { type Backing, IscsiTarget, type TargetFaults } from "node-iscsi/target";

const MIB = 1024 * 1024;
const targetName = "iqn.2026-11.test:store";

/** Memory that remembers what it was told. */
class RecordingBacking implements Backing {
  readonly sizeBytes = 4 * MIB;
  readonly disk = Buffer.alloc(this.sizeBytes);
  readonly calls: string[] = [];

  async read(offset: number, into: Buffer): Promise<void> {
    this.disk.copy(into, 0, offset, offset + into.length);
  }

  async write(offset: number, data: Buffer): Promise<void> {
    this.calls.push(`write ${offset} ${data.length}`);
    data.copy(this.disk, offset);
  }

  async zero(offset: number, length: number): Promise<void> {
    this.calls.push(`zero ${offset} ${length}`);
    this.disk.fill(0, offset, offset + length);
  }

  async flush(): Promise<void> {
    this.calls.push("flush");
  }

  async close(): Promise<void> {}
}

async function withDevice(
  faults: TargetFaults,
  body: (device: BlockDevice, backing: RecordingBacking) => Promise<void>,
): Promise<void> {
  const backing = new RecordingBacking();
  const target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing, faults });
  try {
    const session = await connect({ address: "127.0.0.1", port: target.port, targetName, lun: 1 });
    await body(await session.blockDevice(), backing);
    await session.logout();
  } finally {
    await target.close();
  }
}

/** CHECK CONDITION, ILLEGAL REQUEST, INVALID COMMAND OPERATION CODE. */
const unknown = { status: 0x02, senseKey: 5, asc: 0x20, ascq: 0 };

describe("contract: discard and flush", () => {
  it("SBC-4 5.35: discard gives up exactly the range", () =>
    withDevice({}, async (device, backing) => {
      await device.write(0, Buffer.alloc(3 * MIB, 0xaa));
      backing.calls.length = 0;
      await device.discard(MIB, MIB);
      expect(backing.calls).to.deep.equal([`zero ${MIB} ${MIB}`]);
      const expected = Buffer.alloc(4 * MIB, 0xaa)
        .fill(0, MIB, 2 * MIB)
        .fill(0, 3 * MIB);
      expect(backing.disk.equals(expected)).to.equal(true);
    }));

  it("SBC-4 5.35: discard of a unit that cannot does nothing, and is no error", () =>
    withDevice({ noUnmap: true }, async (device, backing) => {
      await device.discard(MIB, MIB);
      expect(backing.calls).to.deep.equal([]);
    }));

  it("SBC-4 5.24: flush reaches the medium after the writes, once per call", () =>
    withDevice({}, async (device, backing) => {
      await device.write(0, Buffer.alloc(512, 1));
      await device.flush();
      await device.write(512, Buffer.alloc(512, 1));
      await device.flush();
      expect(backing.calls).to.deep.equal(["write 0 512", "flush", "write 512 512", "flush"]);
    }));

  it("SBC-4 5.25: flush uses SYNCHRONIZE CACHE(16) where (10) is unknown", () =>
    withDevice({ statuses: { opcode: 0x35, times: 9, ...unknown } }, async (device, backing) => {
      await device.flush();
      expect(backing.calls).to.deep.equal(["flush"]);
    }));
});
