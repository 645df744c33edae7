// Sensors as they are now: records of the repository, readings and thresholds (IPMI 2.0, 33, 35, 36).
import type { OperationOptions } from "./budget.ts";
import type { CommandRunner } from "./commands/command-runner.ts";
import { getSensorReading, type SensorReading } from "./commands/get-sensor-reading.ts";
import { getSensorThresholds, type Thresholds } from "./commands/get-sensor-thresholds.ts";
import { EVENT_TYPE, eventText } from "./records/event-texts.ts";
import type { SensorRecord } from "./records/sdr-sensor-record.ts";
import { convertReading } from "./records/sensor-conversion.ts";
import { sensorTypeName } from "./records/sensor-types.ts";
import { unitText } from "./records/sensor-units.ts";
import { isRefusal, unlessRefused, Walk } from "./walk.ts";
import { walkSdrWithin } from "./walk-sdr.ts";

/** How a reading stands to its thresholds, the worst of those that it crossed. */
export type SensorHealth = "ok" | "non-critical" | "critical" | "non-recoverable";

/** A sensor and its reading. */
export interface SensorState {
  readonly name: string;
  readonly sensorNumber: number;
  readonly entityId: number;
  readonly entityInstance: number;
  readonly sensorType: number;
  readonly sensorTypeName: string;
  /** 01h: thresholds; others: states. */
  readonly eventType: number;
  /** Of `value` and `thresholds`, as `degrees C`; empty if there is none. */
  readonly unit: string;
  /** Why there is no reading; the fields below are then empty. */
  readonly unavailable: string | undefined;
  /** The BMC's number, 0 to 255. */
  readonly raw: number | undefined;
  /** In `unit`. Undefined for sensors with states only, and for those whose scale is not linear and not of the specification. */
  readonly value: number | undefined;
  /** The states that hold, for sensors with states. */
  readonly states: readonly string[];
  /** For sensors with thresholds. */
  readonly health: SensorHealth | undefined;
  /** In `unit`; those that the BMC lets be read. */
  readonly thresholds: Thresholds;
}

const BMC = 0x20;
/** States of a discrete sensor; the 16th bit is not one. */
const STATE_BITS = 15;
/** Bits of the comparison with the thresholds, the worst first. */
const HEALTH_BITS: readonly (readonly [number, SensorHealth])[] = [
  [0x24, "non-recoverable"],
  [0x12, "critical"],
  [0x09, "non-critical"],
];

/**
 * Walks the repository and reads each sensor of the BMC. `options.deadlineMs` (default 60000) is for all of it. A sensor
 * that the BMC cannot read is told with the reason in `unavailable`, as are those of other controllers.
 */
export async function readSensors(runner: CommandRunner, options: OperationOptions = {}): Promise<SensorState[]> {
  const walk = new Walk(runner, "read the sensors", options);
  const states: SensorState[] = [];
  for (const record of await walkSdrWithin(walk)) {
    if (record.kind !== "sensor") continue;
    for (const sensor of sensorsOf(record)) states.push(await readSensor(walk, sensor));
  }
  return states;
}

/** The sensors a record stands for: one, or several that share a compact record (43.2). */
export function sensorsOf(record: SensorRecord): SensorRecord[] {
  const { count, suffix, firstSuffix, hasOwnEntityInstances } = record.share;
  return Array.from({ length: count }, (_, n) => ({
    ...record,
    sensorNumber: (record.sensorNumber + n) & 0xff,
    entityInstance: record.entityInstance + (hasOwnEntityInstances ? n : 0),
    name: record.name + suffixText(suffix, firstSuffix + n),
  }));
}

function suffixText(suffix: SensorRecord["share"]["suffix"], number: number): string {
  if (suffix === "none") return "";
  if (suffix === "numeric") return String(number);
  const letter = (n: number) => String.fromCharCode(0x41 + n);
  return number < 26 ? letter(number) : letter(Math.floor(number / 26) - 1) + letter(number % 26);
}

async function readSensor(walk: Walk, sensor: SensorRecord): Promise<SensorState> {
  if (sensor.ownerId !== BMC || sensor.ownerLun !== 0) {
    return stateOf(sensor, "it belongs to another controller or LUN, which is not asked");
  }
  const { sensorNumber } = sensor;
  let reading: SensorReading;
  try {
    reading = await walk.run(getSensorReading, { sensorNumber });
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return stateOf(sensor, error.message);
  }
  if (reading.isUnavailable) return stateOf(sensor, "the BMC has no reading of it now");
  if (!reading.isScanning) return stateOf(sensor, "the BMC does not scan it");
  const thresholds = sensor.eventType === EVENT_TYPE.threshold ? await readThresholds(walk, sensor) : {};
  return { ...stateOf(sensor, undefined), ...readingOf(sensor, reading), thresholds };
}

async function readThresholds(walk: Walk, sensor: SensorRecord): Promise<Thresholds> {
  const { factors, sensorNumber } = sensor;
  if (factors === undefined) return {};
  // A sensor without thresholds refuses the question, each vendor's with a code of its own.
  const raw = (await unlessRefused(walk.run(getSensorThresholds, { sensorNumber }))) ?? {};
  const converted = Object.entries(raw).map(([name, byte]) => [name, convertReading(byte, factors)]);
  return Object.fromEntries(converted.filter(([, value]) => value !== undefined));
}

function readingOf(sensor: SensorRecord, reading: SensorReading): Partial<SensorState> {
  const { factors, eventType, sensorType } = sensor;
  const { raw, states } = reading;
  const value = factors === undefined ? undefined : convertReading(raw, factors);
  if (eventType === EVENT_TYPE.threshold) {
    const crossed = HEALTH_BITS.find(([bits]) => (states & bits) !== 0);
    return { raw, value, health: crossed === undefined ? "ok" : crossed[1] };
  }
  const offsets = Array.from({ length: STATE_BITS }, (_, bit) => bit).filter((bit) => (states & (1 << bit)) !== 0);
  return { raw, value, states: offsets.map((offset) => eventText(eventType, sensorType, offset)) };
}

function stateOf(sensor: SensorRecord, unavailable: string | undefined): SensorState {
  const { name, sensorNumber, entityId, entityInstance, sensorType, eventType } = sensor;
  return {
    name,
    sensorNumber,
    entityId,
    entityInstance,
    sensorType,
    sensorTypeName: sensorTypeName(sensorType),
    eventType,
    unit: unitText(sensor.units),
    unavailable,
    raw: undefined,
    value: undefined,
    states: [],
    health: undefined,
    thresholds: {},
  };
}
