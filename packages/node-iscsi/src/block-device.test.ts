// The block device over a scripted unit: how it asks for its size, and how it cuts transfers into commands.
import { expect } from "chai";
import { BlockDeviceView } from "./block-device.ts";
import { CacheLosses } from "./cache-losses.ts";
import { InvalidArgumentError } from "./errors.ts";
import type { ScsiCommand } from "./scsi/command.ts";

const MIB = 1024 * 1024;
const BLOCK = 512;
const BLOCKS = (16 * MIB) / BLOCK;
const OPCODE = { inquiry: 0x12, modeSense6: 0x1a, read16: 0x88, readCapacity16: 0x9e } as const;

/** A unit that answers what `describeUnit` asks. What is read says where it came from: each block begins with its own address. */
class ScriptedUnit {
  readonly parameters = { maxBurstBytes: 16 * MIB };
  readonly options = { cacheLosses: new CacheLosses() };
  readonly commands: ScsiCommand<unknown>[] = [];
  readonly #vendor: string;
  /** MAXIMUM TRANSFER LENGTH of VPD page B0h, in blocks. */
  readonly #maxTransferBlocks: number;

  constructor(vendor: string, maxTransferBlocks = 0) {
    this.#vendor = vendor;
    this.#maxTransferBlocks = maxTransferBlocks;
  }

  contextOf(operation: string) {
    return { operation };
  }

  async executeWithRetry<T>(command: ScsiCommand<T>): Promise<T> {
    this.commands.push(command);
    return command.decode(this.#answer(command));
  }

  #answer({ cdb, dataIn = Buffer.alloc(0) }: ScsiCommand<unknown>): Buffer {
    switch (cdb[0]) {
      case OPCODE.inquiry:
        return cdb[1] === 0 ? this.#standardInquiry() : this.#vitalProductData(cdb.readUInt8(2));
      case OPCODE.readCapacity16:
        dataIn.writeBigUInt64BE(BigInt(BLOCKS - 1), 0);
        dataIn.writeUInt32BE(BLOCK, 8);
        return dataIn;
      case OPCODE.modeSense6:
        return Buffer.from([3, 0, 0, 0]);
      case OPCODE.read16: {
        const lba = Number(cdb.readBigUInt64BE(2));
        expect(dataIn.length).to.equal(cdb.readUInt32BE(10) * BLOCK);
        for (let at = 0; at < dataIn.length; at += BLOCK) dataIn.writeUInt32BE(lba + at / BLOCK, at);
        return dataIn;
      }
      default:
        throw new Error(`nothing is scripted for ${cdb.toString("hex")}`);
    }
  }

  #standardInquiry(): Buffer {
    const data = Buffer.alloc(96);
    data.write(this.#vendor.padEnd(8), 8, "latin1");
    return data;
  }

  #vitalProductData(page: number): Buffer {
    if (page === 0) return Buffer.from([0, 0, 0, 2, 0x00, 0xb0]);
    const limits = Buffer.alloc(64);
    limits[1] = 0xb0;
    limits.writeUInt16BE(60, 2);
    limits.writeUInt32BE(this.#maxTransferBlocks, 8);
    return limits;
  }

  /** `[lba, blocks]` of each READ(16) since the last call. */
  takeReads(): [lba: number, blocks: number][] {
    const reads = this.commands.filter(({ cdb }) => cdb[0] === OPCODE.read16);
    this.commands.length = 0;
    return reads.map(({ cdb }) => [Number(cdb.readBigUInt64BE(2)), cdb.readUInt32BE(10)]);
  }
}

async function opened(unit: ScriptedUnit): Promise<BlockDeviceView> {
  const device = await BlockDeviceView.open(unit);
  unit.takeReads();
  return device;
}

function expectOwnAddresses(data: Buffer, firstLba: number): void {
  for (let at = 0; at < data.length; at += BLOCK) expect(data.readUInt32BE(at)).to.equal(firstLba + at / BLOCK);
}

describe("a block device's size", () => {
  for (const [vendor, allocation] of [
    ["IET", 4 * MIB],
    ["LIO-ORG", 32],
    ["IETX", 32],
  ] as const)
    it(`is asked of ${vendor} with room for ${allocation} bytes, of which 32 may come`, async () => {
      const unit = new ScriptedUnit(vendor);
      const device = await BlockDeviceView.open(unit);
      expect([device.sizeBytes, device.blockSize]).to.deep.equal([16 * MIB, BLOCK]);
      const asked = unit.commands.filter(({ cdb }) => cdb[0] === OPCODE.readCapacity16);
      expect(asked.map(({ cdb }) => cdb.readUInt32BE(10))).to.deep.equal([allocation]);
      expect(asked.map(({ dataIn, expectedDataInBytes }) => [dataIn?.length, expectedDataInBytes])).to.deep.equal([
        [32, allocation],
      ]);
    });
});

describe("a block device's reads", () => {
  it("of nothing send nothing", async () => {
    const unit = new ScriptedUnit("TEST");
    const device = await opened(unit);
    expect(await device.read(BLOCK, 0)).to.have.length(0);
    expect(unit.commands).to.deep.equal([]);
  });

  it("of up to 2 MiB are one command", async () => {
    const unit = new ScriptedUnit("TEST");
    const device = await opened(unit);
    for (const blocks of [1, 4095, 4096]) {
      expectOwnAddresses(await device.read(3 * BLOCK, blocks * BLOCK), 3);
      expect(unit.takeReads()).to.deep.equal([[3, blocks]]);
    }
  });

  it("of more are several, each into its place", async () => {
    const unit = new ScriptedUnit("TEST");
    const device = await opened(unit);
    expectOwnAddresses(await device.read(BLOCK, 4 * MIB + BLOCK), 1);
    expect(unit.takeReads()).to.deep.equal([
      [1, 4096],
      [4097, 4096],
      [8193, 1],
    ]);
  });

  it("are no longer than the unit's MAXIMUM TRANSFER LENGTH", async () => {
    const unit = new ScriptedUnit("TEST", 100);
    const device = await opened(unit);
    expectOwnAddresses(await device.read(0, 250 * BLOCK), 0);
    expect(unit.takeReads()).to.deep.equal([
      [0, 100],
      [100, 100],
      [200, 50],
    ]);
  });

  it("outside the unit or between blocks are refused before anything is sent", async () => {
    const unit = new ScriptedUnit("TEST");
    const device = await opened(unit);
    for (const [offset, length] of [
      [1, BLOCK],
      [0, BLOCK - 1],
      [-BLOCK, BLOCK],
      [16 * MIB, BLOCK],
      [0, 16 * MIB + BLOCK],
    ] as const) {
      const error = await device.readInto(offset, Buffer.alloc(length)).catch((caught) => caught);
      expect(error, `${length} bytes at ${offset}`).to.be.instanceOf(InvalidArgumentError);
    }
    expect(unit.commands).to.deep.equal([]);
  });
});
