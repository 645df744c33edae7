// PERSISTENT RESERVE IN (SPC-4 6.15): who has registered, who holds the reservation, and what the target can do.
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { requireBytes } from "./fields.ts";
import { PersistentReserveInAction } from "./persistent-reservation.ts";

const PERSISTENT_RESERVE_IN = 0x5e;
const ALLOCATION_BYTES = 8192;

/** READ KEYS: one entry per registration, so a key that several initiators share comes several times. */
export interface ReservationKeys {
  /** PRGENERATION: grows with every successful change of registrations. */
  readonly generation: number;
  readonly keys: readonly bigint[];
}

/** READ RESERVATION. */
export interface ReservationHolder {
  readonly generation: number;
  /** Undefined when nobody holds a reservation. The key is 0 for the all-registrants types. */
  readonly reservation: { readonly key: bigint; readonly type: number; readonly scope: number } | undefined;
}

/** REPORT CAPABILITIES. */
export interface ReservationCapabilities {
  /** PTPL_C: can keep registrations and reservation over a power loss (APTPL). */
  readonly canPersistThroughPowerLoss: boolean;
  /** PTPL_A: does so now. */
  readonly isPersistThroughPowerLossActive: boolean;
  /** SIP_C: registrations can name other initiators. */
  readonly canSpecifyInitiatorPorts: boolean;
  /** ATP_C: a registration can cover all target ports. */
  readonly canRegisterAllTargetPorts: boolean;
  /** CRH: RESERVE and RELEASE of SPC-2 work beside persistent reservations. */
  readonly isCompatibleReservationHandling: boolean;
  /** Types that work; undefined when the target does not say (TMV is 0). */
  readonly types: ReadonlySet<number> | undefined;
}

/** One registration of READ FULL STATUS. */
export interface RegistrationStatus {
  readonly key: bigint;
  readonly isHolder: boolean;
  readonly isAllTargetPorts: boolean;
  /** 0 unless it holds the reservation. */
  readonly type: number;
  readonly relativeTargetPort: number;
  /** iSCSI name of the initiator (its ISID after `,i,0x` when the target gives it), or hex for other transports. */
  readonly initiator: string;
}

function command<T>(action: number, title: string, decode: (data: Buffer) => T): ScsiCommand<T> {
  const cdb = Buffer.alloc(10);
  cdb[0] = PERSISTENT_RESERVE_IN;
  cdb[1] = action;
  cdb.writeUInt16BE(ALLOCATION_BYTES, 7);
  const name = `PERSISTENT RESERVE IN (${title})`;
  return { name, cdb, isIdempotent: true, dataIn: Buffer.alloc(ALLOCATION_BYTES), decode };
}

/** @throws ProtocolError (from the decoder, as all below) when the target has more keys than there is room for. */
export function readReservationKeys(): ScsiCommand<ReservationKeys> {
  return command(PersistentReserveInAction.ReadKeys, "read keys", (data) => {
    const list = listAfterHeader(data, "reservation keys");
    const keys: bigint[] = [];
    for (let at = 0; at + 8 <= list.length; at += 8) keys.push(list.readBigUInt64BE(at));
    return { generation: data.readUInt32BE(0), keys };
  });
}

export function readReservation(): ScsiCommand<ReservationHolder> {
  return command(PersistentReserveInAction.ReadReservation, "read reservation", (data) => {
    const list = listAfterHeader(data, "reservation");
    const generation = data.readUInt32BE(0);
    if (list.length === 0) return { generation, reservation: undefined };
    requireBytes(list, 14, "reservation descriptor");
    const scopeAndType = list.readUInt8(13);
    const reservation = { key: list.readBigUInt64BE(0), scope: scopeAndType >> 4, type: scopeAndType & 0x0f };
    return { generation, reservation };
  });
}

/** Bits of PERSISTENT RESERVATION TYPE MASK, byte 4 then byte 5 (SPC-4 table 168). */
const TYPE_MASK_BITS: readonly (readonly [at: number, bit: number, type: number])[] = [
  [4, 0x02, 0x1],
  [4, 0x08, 0x3],
  [4, 0x20, 0x5],
  [4, 0x40, 0x6],
  [4, 0x80, 0x7],
  [5, 0x01, 0x8],
];

export function reportReservationCapabilities(): ScsiCommand<ReservationCapabilities> {
  return command(PersistentReserveInAction.ReportCapabilities, "report capabilities", (data) => {
    requireBytes(data, 8, "reservation capabilities");
    const has = (at: number, bit: number) => (data.readUInt8(at) & bit) !== 0;
    const types = TYPE_MASK_BITS.filter(([at, bit]) => has(at, bit)).map(([, , type]) => type);
    return {
      isCompatibleReservationHandling: has(2, 0x10),
      canSpecifyInitiatorPorts: has(2, 0x08),
      canRegisterAllTargetPorts: has(2, 0x04),
      canPersistThroughPowerLoss: has(2, 0x01),
      isPersistThroughPowerLossActive: has(3, 0x01),
      types: has(3, 0x80) ? new Set(types) : undefined,
    };
  });
}

export function readFullReservationStatus(): ScsiCommand<{
  readonly generation: number;
  readonly registrations: readonly RegistrationStatus[];
}> {
  return command(PersistentReserveInAction.ReadFullStatus, "read full status", (data) => {
    const list = listAfterHeader(data, "full reservation status");
    const registrations: RegistrationStatus[] = [];
    for (let at = 0; at < list.length; ) {
      requireBytes(list, at + 24, "full status descriptor");
      const end = at + 24 + list.readUInt32BE(at + 20);
      requireBytes(list, end, "full status descriptor");
      const flags = list.readUInt8(at + 12);
      registrations.push({
        key: list.readBigUInt64BE(at),
        isHolder: (flags & 0x01) !== 0,
        isAllTargetPorts: (flags & 0x02) !== 0,
        type: (flags & 0x01) === 0 ? 0 : list.readUInt8(at + 13) & 0x0f,
        relativeTargetPort: list.readUInt16BE(at + 18),
        initiator: decodeTransportId(list.subarray(at + 24, end)),
      });
      at = end;
    }
    return { generation: data.readUInt32BE(0), registrations };
  });
}

/** PRGENERATION and ADDITIONAL LENGTH come first; the rest must be whole, for a cut list of fences would mislead. */
function listAfterHeader(data: Buffer, what: string): Buffer {
  requireBytes(data, 8, what);
  const bytes = data.readUInt32BE(4);
  if (bytes > ALLOCATION_BYTES - 8) throw new ProtocolError(`${what}: ${bytes} bytes are more than there is room for`);
  requireBytes(data, 8 + bytes, what);
  return data.subarray(8, 8 + bytes);
}

const ISCSI_PROTOCOL = 5;

/** TransportID (SPC-4 7.6.4): for iSCSI a NUL-terminated name. */
function decodeTransportId(id: Buffer): string {
  if (id.length < 4 || (id.readUInt8(0) & 0x0f) !== ISCSI_PROTOCOL) return id.toString("hex");
  const text = id.subarray(4, Math.min(id.length, 4 + id.readUInt16BE(2)));
  const end = text.indexOf(0);
  return text.toString("utf8", 0, end === -1 ? text.length : end);
}
