// The test target's device server without a network: sense data for wrong fields, what reservations let through, who hears of changes.
import { expect } from "chai";
import type { ScsiCommand } from "../scsi/command.ts";
import { ReservationType as Type } from "../scsi/persistent-reservation.ts";
import { readReservation, readReservationKeys } from "../scsi/persistent-reserve-in.ts";
import {
  reservationClear,
  reservationPreempt,
  reservationRegister,
  reservationRelease,
  reservationReserve,
} from "../scsi/persistent-reserve-out.ts";
import { decodeSense, describeSense } from "../scsi/sense.ts";
import { MemoryBacking } from "./backing.ts";
import type { CommandResult } from "./command-result.ts";
import { DeviceServer } from "./device-server.ts";

const MIB = 1024 * 1024;
const NO_DATA = Buffer.alloc(0);
const FIRST = "iqn.2026-11.test:first,i,0x800000000001";
const SECOND = "iqn.2026-11.test:second,i,0x800000000002";
const CONFLICT = 0x18;

function newServer(options: { aborted?: string[]; limits?: object } = {}): DeviceServer {
  return new DeviceServer(new MemoryBacking(MIB), {
    targetName: "iqn.2026-11.test:unit",
    lun: 1,
    blockSize: 512,
    limits: options.limits ?? {},
    faults: {},
    abortTasks: async (nexus) => void options.aborted?.push(nexus),
  });
}

const cdbOf = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");
const senseOf = ({ sense }: CommandResult) => {
  const decoded = sense && decodeSense(sense);
  return decoded && describeSense(decoded);
};

describe("device server: what is wrong with a CDB", () => {
  const rows: [title: string, cdb: string, sense: string][] = [
    ["an unknown operation code", "c1 00 00 00 00 00", "invalid command operation code"],
    ["an unknown service action", "9e 11 0000000000000000 00000020 00 00", "invalid field in CDB, byte 1 bit 4"],
    ["RDPROTECT without protection", "88 20 0000000000000000 00000001 00 00", "byte 1 bit 5 of the CDB"],
    ["NACA", "88 00 0000000000000000 00000001 00 04", "byte 15 bit 2 of the CDB"],
    ["an address one beyond the end", "88 00 0000000000000800 00000001 00 00", "logical block address out of range"],
    ["an address beyond 2^63", "88 00 ffffffffffffffff 00000001 00 00", "logical block address out of range"],
    ["a length that passes the end", "28 00 000007ff 00 0002 00", "logical block address out of range"],
    ["a reserved BYTCHK", "2f 04 00000000 00 0001 00", "byte 1 bit 2 of the CDB"],
    ["WRITE SAME of no blocks", "93 08 0000000000000000 00000000 00 00", "byte 10 of the CDB"],
    ["a mode page that does not exist", "1a 08 3e 00 ff 00", "byte 2 bit 5 of the CDB"],
    ["saved mode pages", "1a 08 c8 00 ff 00", "saving parameters not supported"],
    ["a VPD page that does not exist", "12 01 b9 00 ff 00", "byte 2 of the CDB"],
    ["a page without EVPD", "12 00 80 00 ff 00", "byte 2 of the CDB"],
    ["an UNMAP list that is too short", "42 00 00000000 00 0007 00", "parameter list length error"],
    ["data-out that did not come", "2a 00 00000000 00 0001 00", "data phase error"],
    ["a reservation list of another length", "5f 00 00 0000 00000010 00", "parameter list length error"],
    ["SANITIZE overwrite without a list", "48 01 0000000000 0000 00", "byte 7 of the CDB"],
  ];
  for (const [title, cdb, sense] of rows)
    it(title, async () => {
      const result = await newServer().run(1, cdbOf(cdb), NO_DATA);
      expect(result.status).to.equal(2);
      expect(senseOf(result)).to.contain(sense);
    });

  it("limits of VPD B0h are enforced", async () => {
    const server = newServer({ limits: { maximumTransferBlocks: 8, maximumWriteSameBlocks: 4 } });
    const status = async (cdb: string) => (await server.run(1, cdbOf(cdb), Buffer.alloc(512))).status;
    expect(await status("28 00 00000000 00 0008 00")).to.equal(0);
    expect(await status("28 00 00000000 00 0009 00")).to.equal(2);
    expect(await status("41 00 00000000 00 0004 00")).to.equal(0);
    expect(await status("41 00 00000000 00 0005 00")).to.equal(2);
  });

  it("a LUN that does not exist answers INQUIRY, REPORT LUNS and REQUEST SENSE only", async () => {
    const server = newServer();
    const inquiry = await server.run(7, cdbOf("12 00 00 00 24 00"), NO_DATA);
    expect(inquiry.data?.readUInt8(0)).to.equal(0x7f);
    expect((await server.run(7, cdbOf("a0 00 00 000000 00000010 00 00"), NO_DATA)).status).to.equal(0);
    expect((await server.run(7, cdbOf("03 00 00 00 12 00"), NO_DATA)).data?.readUInt8(12)).to.equal(0x25);
    expect(senseOf(await server.run(7, cdbOf("00 00 00 00 00 00"), NO_DATA))).to.contain("logical unit not supported");
  });
});

/** SPC-4 table 66 and SBC-4 table 13, for an initiator that does not hold the reservation. */
const COMMANDS: [name: string, cdb: string, access: "always" | "read" | "write"][] = [
  ["TEST UNIT READY", "00 00 00 00 00 00", "always"],
  ["INQUIRY", "12 00 00 00 24 00", "always"],
  ["READ CAPACITY(10)", "25 00 00000000 00 00 00 00", "always"],
  ["START STOP UNIT, start", "1b 00 00 00 01 00", "always"],
  ["READ(16)", "88 00 0000000000000000 00000001 00 00", "read"],
  ["VERIFY(10)", "2f 00 00000000 00 0001 00", "read"],
  ["GET LBA STATUS", "9e 12 0000000000000000 00000020 00 00", "read"],
  ["WRITE(16)", "8a 00 0000000000000000 00000001 00 00", "write"],
  ["COMPARE AND WRITE", "89 00 0000000000000000 000000 01 00 00", "write"],
  ["WRITE SAME(16)", "93 01 0000000000000000 00000001 00 00", "write"],
  ["UNMAP", "42 00 00000000 00 0000 00", "write"],
  ["SYNCHRONIZE CACHE(10)", "35 00 00000000 00 0000 00", "write"],
  ["MODE SENSE(6)", "1a 08 08 00 ff 00", "write"],
  ["SANITIZE", "48 02 0000000000 0000 00", "write"],
  ["START STOP UNIT, stop", "1b 00 00 00 00 00", "write"],
];

describe("device server: persistent reservations", () => {
  let server: DeviceServer;
  let aborted: string[];
  const run = (nexus: string, { cdb, dataOut }: ScsiCommand<unknown>) => server.run(1, cdb, dataOut ?? NO_DATA, nexus);
  const good = async (nexus: string, command: ScsiCommand<unknown>) =>
    expect((await run(nexus, command)).status, command.name).to.equal(0);
  const ask = async <T>(command: ScsiCommand<T>): Promise<T> =>
    command.decode((await run(FIRST, command)).data ?? NO_DATA);
  /** The attention that this nexus is told with its next command; undefined when there is none. */
  const attentionOf = async (nexus: string) => senseOf(await server.run(1, Buffer.alloc(6), NO_DATA, nexus));

  beforeEach(() => {
    aborted = [];
    server = newServer({ aborted });
  });

  for (const [name, type] of Object.entries(Type))
    for (const isRegistered of [false, true])
      it(`${name} and ${isRegistered ? "a registered" : "an unregistered"} initiator that does not hold it`, async () => {
        await good(FIRST, reservationRegister(0n, 1n));
        await good(FIRST, reservationReserve(1n, type));
        if (isRegistered) await good(SECOND, reservationRegister(0n, 2n));
        const isFree = isRegistered && !(type === Type.WriteExclusive || type === Type.ExclusiveAccess);
        const readsFreely = name.startsWith("WriteExclusive");
        for (const [command, cdb, access] of COMMANDS) {
          const isAllowed = isFree || access === "always" || (access === "read" && readsFreely);
          const { status } = await server.run(1, cdbOf(cdb), Buffer.alloc(1024), SECOND);
          expect(status === CONFLICT, command).to.equal(!isAllowed);
        }
      });

  it("registering needs the key that is registered now", async () => {
    expect((await run(FIRST, reservationRegister(5n, 1n))).status).to.equal(CONFLICT);
    await good(FIRST, reservationRegister(0n, 1n));
    expect((await run(FIRST, reservationRegister(0n, 2n))).status).to.equal(CONFLICT);
    await good(FIRST, reservationRegister(1n, 2n));
    expect(await ask(readReservationKeys())).to.deep.equal({ generation: 2, keys: [2n] });
  });

  it("without a registration nothing else works", async () => {
    for (const command of [
      reservationReserve(0n, Type.WriteExclusive),
      reservationRelease(0n, Type.WriteExclusive),
      reservationClear(0n),
      reservationPreempt(0n, 1n, Type.WriteExclusive),
    ])
      expect((await run(FIRST, command)).status, command.name).to.equal(CONFLICT);
  });

  it("a release with another type is refused; the right one is told to registrants", async () => {
    await good(FIRST, reservationRegister(0n, 1n));
    await good(SECOND, reservationRegister(0n, 2n));
    await good(FIRST, reservationReserve(1n, Type.WriteExclusiveRegistrantsOnly));
    const wrong = await run(FIRST, reservationRelease(1n, Type.WriteExclusive));
    expect(senseOf(wrong)).to.contain("invalid release of persistent reservation");
    await good(FIRST, reservationRelease(1n, Type.WriteExclusiveRegistrantsOnly));
    expect(await attentionOf(SECOND)).to.contain("reservations released");
    expect(await attentionOf(SECOND)).to.equal(undefined);
    expect(await attentionOf(FIRST)).to.equal(undefined);
  });

  it("the reservation goes with its holder's registration, but with the last one when all hold it", async () => {
    await good(FIRST, reservationRegister(0n, 1n));
    await good(SECOND, reservationRegister(0n, 2n));
    await good(FIRST, reservationReserve(1n, Type.ExclusiveAccessAllRegistrants));
    await good(FIRST, reservationRegister(1n, 0n));
    expect((await ask(readReservation())).reservation).to.deep.equal({ key: 0n, scope: 0, type: 8 });
    await good(SECOND, reservationRegister(2n, 0n));
    expect((await ask(readReservation())).reservation).to.equal(undefined);
  });

  it("PREEMPT of a registrant that does not hold the reservation removes it and leaves the reservation", async () => {
    await good(FIRST, reservationRegister(0n, 1n));
    await good(SECOND, reservationRegister(0n, 2n));
    await good(FIRST, reservationReserve(1n, Type.WriteExclusive));
    await good(FIRST, reservationPreempt(1n, 2n, Type.WriteExclusive, true));
    expect(aborted).to.deep.equal([SECOND]);
    expect(await attentionOf(SECOND)).to.contain("registrations preempted");
    expect((await ask(readReservationKeys())).keys).to.deep.equal([1n]);
    expect((await ask(readReservation())).reservation?.key).to.equal(1n);
  });

  it("PREEMPT of all registrants with key 0, of a key nobody has, and of nobody", async () => {
    await good(FIRST, reservationRegister(0n, 1n));
    await good(SECOND, reservationRegister(0n, 2n));
    expect((await run(SECOND, reservationPreempt(2n, 9n, Type.WriteExclusive))).status).to.equal(CONFLICT);
    const nobody = await run(SECOND, reservationPreempt(2n, 0n, Type.WriteExclusive));
    expect(senseOf(nobody)).to.contain("byte 8 of the parameter list");
    await good(FIRST, reservationReserve(1n, Type.WriteExclusiveAllRegistrants));
    await good(SECOND, reservationPreempt(2n, 0n, Type.ExclusiveAccess));
    expect(await attentionOf(FIRST)).to.contain("registrations preempted");
    expect((await ask(readReservationKeys())).keys).to.deep.equal([2n]);
    expect((await ask(readReservation())).reservation).to.include({ key: 2n, type: Type.ExclusiveAccess });
    expect(aborted).to.deep.equal([]);
  });

  it("CLEAR removes everything and tells the others", async () => {
    await good(FIRST, reservationRegister(0n, 1n));
    await good(SECOND, reservationRegister(0n, 2n));
    await good(FIRST, reservationReserve(1n, Type.WriteExclusive));
    await good(SECOND, reservationClear(2n));
    expect(await attentionOf(FIRST)).to.contain("reservations preempted");
    expect((await ask(readReservationKeys())).keys).to.deep.equal([]);
    expect((await ask(readReservation())).reservation).to.equal(undefined);
  });
});
