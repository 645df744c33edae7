// Constants and keys of persistent reservations (SPC-4 5.13, 6.15, 6.16), shared by PERSISTENT RESERVE IN and OUT.
import { InvalidArgumentError } from "../errors.ts";

/** TYPE of a reservation (SPC-4 table 171). */
export const ReservationType = {
  WriteExclusive: 0x1,
  ExclusiveAccess: 0x3,
  WriteExclusiveRegistrantsOnly: 0x5,
  ExclusiveAccessRegistrantsOnly: 0x6,
  WriteExclusiveAllRegistrants: 0x7,
  ExclusiveAccessAllRegistrants: 0x8,
} as const;

export type ReservationTypeCode = (typeof ReservationType)[keyof typeof ReservationType];

/** Service actions of PERSISTENT RESERVE IN (SPC-4 table 162). */
export const PersistentReserveInAction = {
  ReadKeys: 0x00,
  ReadReservation: 0x01,
  ReportCapabilities: 0x02,
  ReadFullStatus: 0x03,
} as const;

/** Service actions of PERSISTENT RESERVE OUT (SPC-4 table 173). */
export const PersistentReserveOutAction = {
  Register: 0x00,
  Reserve: 0x01,
  Release: 0x02,
  Clear: 0x03,
  Preempt: 0x04,
  PreemptAndAbort: 0x05,
  RegisterAndIgnoreExistingKey: 0x06,
} as const;

/** A reservation key is eight bytes. @throws InvalidArgumentError for a number that does not fit them. */
export function requireReservationKey(command: string, key: bigint): void {
  if (key < 0n || key > 0xffffffffffffffffn)
    throw new InvalidArgumentError(`reservation key ${key} does not fit 8 bytes`, { operation: command });
}
