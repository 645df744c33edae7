// PERSISTENT RESERVE IN data of the test target (SPC-4 6.15).
import { PersistentReserveInAction as Action } from "../scsi/persistent-reservation.ts";
import { type CommandResult, goodWith } from "./command-result.ts";
import type { Reservations } from "./reservations.ts";

/** The command table lets only the four known service actions through. */
export function persistentReserveInCommand(reservations: Reservations, cdb: Buffer): CommandResult {
  const allocation = cdb.readUInt16BE(7);
  switch (cdb.readUInt8(1) & 0x1f) {
    case Action.ReadKeys:
      return goodWith(withHeader(reservations, readKeys(reservations)), allocation);
    case Action.ReadReservation:
      return goodWith(withHeader(reservations, readReservation(reservations)), allocation);
    case Action.ReportCapabilities:
      return goodWith(capabilities(reservations), allocation);
    default:
      return goodWith(withHeader(reservations, fullStatus(reservations)), allocation);
  }
}

function withHeader({ generation }: Reservations, list: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(generation, 0);
  header.writeUInt32BE(list.length, 4);
  return Buffer.concat([header, list]);
}

function readKeys({ registrations }: Reservations): Buffer {
  const list = Buffer.alloc(registrations.length * 8);
  for (const [index, [, key]] of registrations.entries()) list.writeBigUInt64BE(key, index * 8);
  return list;
}

function readReservation({ reservation }: Reservations): Buffer {
  if (reservation === undefined) return Buffer.alloc(0);
  const descriptor = Buffer.alloc(16);
  descriptor.writeBigUInt64BE(reservation.key, 0);
  descriptor[13] = reservation.type;
  return descriptor;
}

/** PTPL_C and PTPL_A; TMV with all six types in the mask. */
function capabilities({ persistsThroughPowerLoss }: Reservations): Buffer {
  const data = Buffer.alloc(8);
  data.writeUInt16BE(data.length, 0);
  data[2] = 0x01;
  data[3] = 0x80 | (persistsThroughPowerLoss ? 0x01 : 0);
  data[4] = 0xea;
  data[5] = 0x01;
  return data;
}

function fullStatus(reservations: Reservations): Buffer {
  const descriptors = reservations.registrations.map(([nexus, key]) => {
    const transportId = iscsiTransportId(nexus);
    const descriptor = Buffer.alloc(24);
    descriptor.writeBigUInt64BE(key, 0);
    if (reservations.isHolder(nexus)) {
      descriptor[12] = 0x01;
      descriptor[13] = reservations.reservation?.type ?? 0;
    }
    descriptor.writeUInt16BE(1, 18);
    descriptor.writeUInt32BE(transportId.length, 20);
    return Buffer.concat([descriptor, transportId]);
  });
  return Buffer.concat(descriptors);
}

/** TransportID of an iSCSI initiator port: name and ISID, NUL-terminated, a multiple of four bytes (SPC-4 7.6.4.6). */
function iscsiTransportId(nexus: string): Buffer {
  const name = Buffer.from(`${nexus}\0`, "utf8");
  const id = Buffer.alloc(4 + Math.max(20, Math.ceil(name.length / 4) * 4));
  id[0] = 0x45;
  id.writeUInt16BE(id.length - 4, 2);
  name.copy(id, 4);
  return id;
}
