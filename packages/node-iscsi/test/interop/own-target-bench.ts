// A target of ours and the raw initiators that look at it, closed together.
import { expect } from "chai";
import { IscsiTarget, type TargetFaults, type TargetLimits } from "node-iscsi/target";
import { Opcode, opcodeOf } from "../../src/pdu/header.ts";
import { decodeScsiResponse } from "../../src/pdu/scsi.ts";
import { RawInitiator, type RawPdu, readWriteCdb, TEST_UNIT_READY } from "./own-target-client.ts";

export const targetName = "iqn.2026-11.test:faults";
const SIZE = 1024 * 1024;
/** Small segments, so that a read of a few blocks takes several PDUs. */
export const KEYS: [string, string][] = [
  ["MaxRecvDataSegmentLength", "1024"],
  ["MaxOutstandingR2T", "2"],
  ["InitialR2T", "Yes"],
  ["ImmediateData", "Yes"],
];

export class TargetBench {
  #target: IscsiTarget | undefined;
  readonly #clients: RawInitiator[] = [];

  get target(): IscsiTarget {
    if (this.#target === undefined) throw new Error("no target listens");
    return this.#target;
  }

  async listen(faults: TargetFaults = {}, limits: TargetLimits = {}): Promise<void> {
    const backing = { memoryBytes: SIZE };
    this.#target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing, faults, limits });
  }

  async dial(): Promise<RawInitiator> {
    const client = await RawInitiator.open(this.target.port);
    this.#clients.push(client);
    return client;
  }

  /** A client that is logged in. */
  async enter(keys = KEYS, isid = "800000000001"): Promise<RawInitiator> {
    const client = await this.dial();
    expect((await client.login({ targetName, keys, isid })).statusClass).to.equal(0);
    return client;
  }

  /** TEST UNIT READY and the PDU that comes next. */
  async ready(client: RawInitiator, tag = 1): Promise<RawPdu> {
    client.command(tag, TEST_UNIT_READY);
    return client.next();
  }

  async statusOf(client: RawInitiator, tag = 1): Promise<number> {
    return decodeScsiResponse((await this.ready(client, tag)).header).status;
  }

  /** A read of `blocks` blocks: all PDUs up to the status. */
  async read(client: RawInitiator, blocks: number): Promise<RawPdu[]> {
    client.command(5, readWriteCdb(0x88, 0, blocks), { reads: blocks * 512 });
    const pdus: RawPdu[] = [];
    for (;;) {
      const pdu = await client.next();
      pdus.push(pdu);
      if (opcodeOf(pdu.header) === Opcode.ScsiResponse || (pdu.header[1]! & 1) !== 0) return pdus;
    }
  }

  async close(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.destroy();
    await this.target.close();
  }
}
