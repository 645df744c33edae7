// Events, sensors and inventories of a simulated BMC, as its owner and its commands see them.

import type { SensorReading } from "../commands/get-sensor-reading.ts";
import { THRESHOLD_NAMES, type Thresholds } from "../commands/get-sensor-thresholds.ts";
import { IpmiError } from "../errors.ts";
import { EVENT_TYPE } from "../records/event-texts.ts";
import { encodeFruArea, encodeFruDate, encodeFruInventory } from "../records/fru-areas.ts";
import { encodeFruLocator, encodeMcLocator } from "../records/sdr-record.ts";
import { encodeCompactSensorRecord, encodeFullSensorRecord } from "../records/sdr-sensor-record.ts";
import { encodeSystemEvent } from "../records/sel-record.ts";
import { type ConversionFactors, convertReading, rawFromValue } from "../records/sensor-conversion.ts";
import { unitNumber } from "../records/sensor-units.ts";
import {
  type CheckedContent,
  checkContent,
  checkSelEvent,
  type FruContent,
  fruDeviceIdAt,
  type SelEventContent,
  type SensorContent,
  type SimulatorContent,
  sensorNumberAt,
  sensorTypeOf,
} from "./content.ts";
import { SimulatedSel } from "./sel.ts";
import { chooseFactors } from "./sensor-scale.ts";

/** What the BMC is able to: Get Device ID and its locator record say so. Chassis, FRU, SEL, SDR repository, sensors. */
export const DEVICE_SUPPORT = 0x80 | 0x08 | 0x04 | 0x02 | 0x01;

const BMC = 0x0020;
/** What event data 2 and 3 hold, as the first byte says it. */
const READING_AND_THRESHOLD = 0x50;
const OEM_CODES = 0xa0;
const EXTENSION_CODES = 0xf0;

interface SimulatedSensor {
  readonly content: SensorContent;
  readonly number: number;
  /** Undefined for sensors with states. */
  readonly factors: ConversionFactors | undefined;
  readonly rawThresholds: Thresholds;
  /** The reading or the states; null: none now. */
  raw: number | null;
}

/** The records of a simulated BMC. Change them while it runs. */
export class SimulatedRecords {
  /** @internal */
  readonly sel = new SimulatedSel();
  /** The repository, in order. @internal */
  readonly sdrs: readonly Buffer[];
  /** Inventories by device id. @internal */
  readonly frus: ReadonlyMap<number, Buffer>;
  readonly #address: string;
  readonly #sensors: readonly SimulatedSensor[];

  /** `InvalidArgument` for content that is not right. */
  constructor(content: SimulatorContent, address: string) {
    const checked = checkContent(content, address);
    this.#address = address;
    this.#sensors = checked.sdr.map(simulate);
    this.sdrs = repository(this.#sensors, checked);
    this.frus = new Map(checked.fru.map((fru, place) => [fruDeviceIdAt(fru, place), inventory(fru)]));
    for (const event of checked.sel) this.addEvent(event);
  }

  /** Sets a sensor's reading, in its unit; null: none. Readings beyond the sensor's scale stop at its end. */
  setReading(name: string, value: number | null): void {
    const sensor = this.#sensor(name, "reading");
    if (sensor.factors === undefined) throw this.#refusal(`sensor "${name}" has states, not a reading`);
    if (value !== null && !Number.isFinite(value)) throw this.#refusal(`the reading of "${name}" must be a number`);
    sensor.raw = value === null ? null : rawFromValue(value, sensor.factors);
  }

  /** Sets the states of a sensor that hold, by their offsets; null: no reading. */
  setStates(name: string, states: readonly number[] | null): void {
    const sensor = this.#sensor(name, "states");
    if (sensor.factors !== undefined) throw this.#refusal(`sensor "${name}" has a reading, not states`);
    const isRight = states === null || states.every((one) => Number.isInteger(one) && one >= 0 && one <= 14);
    if (!isRight) throw this.#refusal(`states of "${name}" are whole numbers from 0 to 14`);
    sensor.raw = statesMask(states);
  }

  /** Adds an event to the log; one for which it has no room is lost, as on real BMCs. */
  addEvent(event: SelEventContent): void {
    checkSelEvent(event, this.#address);
    const record = encodeSystemEvent({
      id: 0,
      seconds: event.time === undefined ? 0 : Math.floor(Date.parse(event.time) / 1000) >>> 0,
      generatorId: BMC,
      sensorType: sensorTypeOf(event.sensorType),
      sensorNumber: event.sensorNumber,
      eventType: event.eventType ?? EVENT_TYPE.sensorSpecific,
      isAssertion: event.isAssertion ?? true,
      eventData: eventData(event),
    });
    this.sel.add(record, event.time !== undefined);
  }

  /** The answer of Get Sensor Reading; undefined if there is no such sensor. @internal */
  reading(number: number): SensorReading | undefined {
    const sensor = this.#sensors.find((one) => one.number === number);
    if (sensor === undefined) return undefined;
    const { raw, factors } = sensor;
    const common = { hasEventMessages: true, isScanning: true, isUnavailable: raw === null };
    if (raw === null) return { ...common, raw: 0, states: 0 };
    if (factors === undefined) return { ...common, raw: 0, states: raw };
    return { ...common, raw, states: crossedThresholds(raw, factors, sensor.rawThresholds) };
  }

  /** Raw thresholds; undefined for sensors without. @internal */
  thresholds(number: number): Thresholds | undefined {
    const sensor = this.#sensors.find((one) => one.number === number);
    return sensor?.factors === undefined ? undefined : sensor.rawThresholds;
  }

  #sensor(name: string, what: string): SimulatedSensor {
    const sensor = this.#sensors.find(({ content }) => content.name === name);
    if (sensor === undefined) throw this.#refusal(`there is no sensor "${name}" to set the ${what} of`);
    return sensor;
  }

  #refusal(text: string): IpmiError {
    const address = this.#address;
    const message = `for the simulated BMC at ${address}: ${text}`;
    return new IpmiError("InvalidArgument", message, { address, operation: "set a sensor" });
  }
}

function simulate(content: SensorContent, place: number): SimulatedSensor {
  const number = sensorNumberAt(content, place);
  if (content.value === undefined) {
    return { content, number, factors: undefined, rawThresholds: {}, raw: statesMask(content.states ?? null) };
  }
  const factors = chooseFactors(content);
  const given = Object.entries(content.thresholds ?? {});
  const rawThresholds = Object.fromEntries(given.map(([name, value]) => [name, rawFromValue(value, factors)]));
  const raw = content.value === null ? null : rawFromValue(content.value, factors);
  return { content, number, factors, rawThresholds, raw };
}

/** The repository: the BMC itself, its sensors, its other FRU devices. */
function repository(sensors: readonly SimulatedSensor[], content: CheckedContent): Buffer[] {
  const records = [encodeMcLocator(1, DEVICE_SUPPORT, "BMC")];
  for (const { content: sensor, number, factors, rawThresholds } of sensors) {
    const fields = {
      recordId: records.length + 1,
      sensorNumber: number,
      entityId: sensor.entityId ?? 7,
      entityInstance: sensor.entityInstance ?? 1,
      sensorType: sensorTypeOf(sensor.type),
      name: sensor.name,
    };
    if (factors === undefined) {
      records.push(encodeCompactSensorRecord({ ...fields, eventType: sensor.eventType ?? EVENT_TYPE.sensorSpecific }));
    } else {
      const baseUnit = unitNumber(sensor.unit ?? "unspecified") ?? 0;
      const reading = { baseUnit, factors, thresholds: rawThresholds };
      records.push(encodeFullSensorRecord({ ...fields, ...reading, eventType: EVENT_TYPE.threshold }));
    }
  }
  for (const [place, fru] of content.fru.entries()) {
    const id = fruDeviceIdAt(fru, place);
    // Device 0 needs no record: it is where it always is (IPMI 2.0, 38).
    if (id !== 0) records.push(encodeFruLocator(records.length + 1, id, fru.name ?? `FRU ${id}`));
  }
  return records;
}

function inventory({ chassis, board, product }: FruContent): Buffer {
  const areas: { chassis?: Buffer; board?: Buffer; product?: Buffer } = {};
  if (chassis !== undefined) {
    const head = Buffer.from([chassis.type ?? 0x17]);
    areas.chassis = encodeFruArea(head, [chassis.partNumber ?? "", chassis.serialNumber ?? ""]);
  }
  const english = Buffer.from([25]);
  if (board !== undefined) {
    const { manufacturedAt, manufacturer = "", productName = "", serialNumber = "", partNumber = "" } = board;
    const date = encodeFruDate(manufacturedAt === undefined ? undefined : new Date(manufacturedAt));
    const fields = [manufacturer, productName, serialNumber, partNumber, ""];
    areas.board = encodeFruArea(Buffer.concat([english, date]), fields);
  }
  if (product !== undefined) {
    const { manufacturer = "", productName = "", partNumber = "", version = "" } = product;
    const { serialNumber = "", assetTag = "" } = product;
    const fields = [manufacturer, productName, partNumber, version, serialNumber, assetTag, ""];
    areas.product = encodeFruArea(english, fields);
  }
  return encodeFruInventory(areas);
}

/** The upper half of the first byte says what the two others hold (table 29-6). */
function eventData({ eventType = EVENT_TYPE.sensorSpecific, offset, data }: SelEventContent): Buffer {
  if (data === undefined) return Buffer.from([offset, 0xff, 0xff]);
  const kinds: Readonly<Record<number, number>> = {
    [EVENT_TYPE.threshold]: READING_AND_THRESHOLD,
    [EVENT_TYPE.sensorSpecific]: EXTENSION_CODES,
  };
  return Buffer.from([(kinds[eventType] ?? OEM_CODES) | offset, ...data]);
}

function statesMask(states: readonly number[] | null): number | null {
  return states === null ? null : states.reduce((mask, state) => mask | (1 << state), 0);
}

/** Bits of Get Sensor Reading: a lower threshold is crossed at or below it, an upper one at or above (35.14). */
function crossedThresholds(raw: number, factors: ConversionFactors, thresholds: Thresholds): number {
  const value = convertReading(raw, factors) ?? 0;
  let bits = 0;
  for (const [bit, name] of THRESHOLD_NAMES.entries()) {
    const at = thresholds[name];
    if (at === undefined) continue;
    const limit = convertReading(at, factors) ?? 0;
    if (bit < 3 ? value <= limit : value >= limit) bits |= 1 << bit;
  }
  return bits;
}
