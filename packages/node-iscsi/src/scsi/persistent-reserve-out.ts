// PERSISTENT RESERVE OUT (SPC-4 6.16): registering a key, and fencing other initiators off with a reservation.
import { noResult, type ScsiCommand } from "./command.ts";
import {
  PersistentReserveOutAction as Action,
  type ReservationTypeCode,
  requireReservationKey,
} from "./persistent-reservation.ts";

const PERSISTENT_RESERVE_OUT = 0x5f;
const PARAMETER_BYTES = 24;

interface Parameters {
  /** RESERVATION KEY: the one this initiator is registered with. */
  readonly key?: bigint;
  /** SERVICE ACTION RESERVATION KEY. */
  readonly actionKey?: bigint;
  readonly persistsThroughPowerLoss?: boolean;
  readonly type?: number;
}

function command(title: string, action: number, parameters: Parameters): ScsiCommand<void> {
  const name = `PERSISTENT RESERVE OUT (${title})`;
  const { key = 0n, actionKey = 0n, persistsThroughPowerLoss = false, type = 0 } = parameters;
  requireReservationKey(name, key);
  requireReservationKey(name, actionKey);
  const cdb = Buffer.alloc(10);
  cdb[0] = PERSISTENT_RESERVE_OUT;
  cdb[1] = action;
  // SCOPE is always the logical unit (0).
  cdb[2] = type;
  cdb.writeUInt32BE(PARAMETER_BYTES, 5);
  const dataOut = Buffer.alloc(PARAMETER_BYTES);
  dataOut.writeBigUInt64BE(key, 0);
  dataOut.writeBigUInt64BE(actionKey, 8);
  dataOut[20] = persistsThroughPowerLoss ? 0x01 : 0;
  return { name, cdb, dataOut, decode: noResult };
}

/** Options of the two registering commands. */
export interface RegisterOptions {
  /** APTPL: registrations and reservation survive a power loss of the target. Default false. */
  readonly persistsThroughPowerLoss?: boolean;
}

/**
 * Registers this I_T nexus under `newKey`, or changes its key, or with `newKey` 0 unregisters. `currentKey` is 0 when it is not
 * registered; a wrong one ends in RESERVATION CONFLICT.
 */
export function reservationRegister(currentKey: bigint, newKey: bigint, options?: RegisterOptions): ScsiCommand<void> {
  return command("register", Action.Register, { key: currentKey, actionKey: newKey, ...options });
}

/** As {@link reservationRegister}, whatever key is registered now: for an initiator that has lost its memory. */
export function reservationRegisterAndIgnoreExistingKey(newKey: bigint, options?: RegisterOptions): ScsiCommand<void> {
  return command("register and ignore existing key", Action.RegisterAndIgnoreExistingKey, {
    actionKey: newKey,
    ...options,
  });
}

/** Takes the reservation. RESERVATION CONFLICT when another initiator has it or `key` is not ours. */
export function reservationReserve(key: bigint, type: ReservationTypeCode): ScsiCommand<void> {
  return command("reserve", Action.Reserve, { key, type });
}

/** Gives the reservation back; `type` must be the one it was taken with. Registrations stay. */
export function reservationRelease(key: bigint, type: ReservationTypeCode): ScsiCommand<void> {
  return command("release", Action.Release, { key, type });
}

/** Removes the reservation and all registrations of all initiators. */
export function reservationClear(key: bigint): ScsiCommand<void> {
  return command("clear", Action.Clear, { key });
}

/**
 * Removes all registrations with `victimKey` and, when they hold the reservation, takes it over with `type`. With `aborts` the tasks
 * of the removed initiators are aborted as well, so that no late write of theirs lands (PREEMPT AND ABORT).
 */
export function reservationPreempt(
  key: bigint,
  victimKey: bigint,
  type: ReservationTypeCode,
  aborts = false,
): ScsiCommand<void> {
  const parameters = { key, actionKey: victimKey, type };
  return aborts
    ? command("preempt and abort", Action.PreemptAndAbort, parameters)
    : command("preempt", Action.Preempt, parameters);
}
