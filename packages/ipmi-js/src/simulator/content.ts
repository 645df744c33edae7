// What a simulated BMC holds besides its machine: events, sensors, inventories. From JSON, so all of it is checked.
import { THRESHOLD_NAMES, type Thresholds } from "../commands/get-sensor-thresholds.ts";
import { IpmiError } from "../errors.ts";
import { sensorTypeNumber } from "../records/sensor-types.ts";
import { unitNumber } from "../records/sensor-units.ts";

/** Content of a simulated BMC; each part that is given replaces the default one. */
export interface SimulatorContent {
  /** Events that are in the log from the start. Default none. */
  readonly sel?: readonly SelEventContent[];
  /** Sensors, in the order of their records. Default: a temperature, a fan, a voltage, a power supply. */
  readonly sdr?: readonly SensorContent[];
  /** FRU inventories. Default: one, of device 0. */
  readonly fru?: readonly FruContent[];
}

/** An event of the log. */
export interface SelEventContent {
  /** A name of table 42-3, such as `Memory`, or a number. */
  readonly sensorType: string | number;
  readonly sensorNumber: number;
  /** Event/reading type. Default 6Fh, states of the sensor type. */
  readonly eventType?: number;
  /** 0 to 15. */
  readonly offset: number;
  /** Default true. */
  readonly isAssertion?: boolean;
  /** Event data 2 and 3: of a threshold event the raw reading and threshold. Default none. */
  readonly data?: readonly [number, number];
  /** As ISO 8601. Default: when it is added. */
  readonly time?: string;
}

/** A sensor: with a reading (`value`) or with states (`states`). */
export interface SensorContent {
  /** At most 16 characters. */
  readonly name: string;
  /** A name of table 42-3, such as `Temperature`, or a number. */
  readonly type: string | number;
  /** Default: its place in the list, from 1. */
  readonly number?: number;
  /** Default 7, the system board, and 1. */
  readonly entityId?: number;
  readonly entityInstance?: number;
  /** A name of table 43-15, such as `degrees C`, `Volts`, `RPM`. Default none. */
  readonly unit?: string;
  /** In `unit`; null: no reading now. */
  readonly value?: number | null;
  readonly thresholds?: Thresholds;
  /** `value` is the raw byte times m, plus b times ten to the `bExponent`, all times ten to the `rExponent`. Default: chosen to fit. */
  readonly m?: number;
  readonly b?: number;
  readonly bExponent?: number;
  readonly rExponent?: number;
  /** Whether the raw byte is signed. Default: if the value or a threshold is below 0. */
  readonly isSigned?: boolean;
  /** Offsets of the states that hold, 0 to 14; null: no reading now. */
  readonly states?: readonly number[] | null;
  /** Event/reading type of a sensor with states. Default 6Fh, states of the sensor type. */
  readonly eventType?: number;
}

/** A FRU inventory. Texts are Latin 1, at most 63 characters. */
export interface FruContent {
  /** Default: its place in the list, from 0. */
  readonly id?: number;
  /** Name in the repository, for devices other than 0. At most 16 characters. */
  readonly name?: string;
  readonly chassis?: { readonly type?: number; readonly partNumber?: string; readonly serialNumber?: string };
  readonly board?: {
    /** As ISO 8601, from 1996 on. */
    readonly manufacturedAt?: string;
    readonly manufacturer?: string;
    readonly productName?: string;
    readonly serialNumber?: string;
    readonly partNumber?: string;
  };
  readonly product?: {
    readonly manufacturer?: string;
    readonly productName?: string;
    readonly partNumber?: string;
    readonly version?: string;
    readonly serialNumber?: string;
    readonly assetTag?: string;
  };
}

/** {@link SimulatorContent}, complete and known to be right. */
export type CheckedContent = Required<SimulatorContent>;

const DEFAULT_CONTENT: CheckedContent = {
  sel: [],
  sdr: [
    {
      name: "Inlet Temp",
      type: "Temperature",
      unit: "degrees C",
      value: 23,
      thresholds: { upperNonCritical: 42, upperCritical: 47 },
      entityId: 0x37,
    },
    { name: "Fan 1", type: "Fan", unit: "RPM", value: 7200, thresholds: { lowerCritical: 1200 }, entityId: 0x1d },
    {
      name: "12V",
      type: "Voltage",
      unit: "Volts",
      value: 12.1,
      thresholds: { lowerCritical: 10.8, upperCritical: 13.2 },
    },
    { name: "PSU 1", type: "Power Supply", states: [0], entityId: 0x0a },
  ],
  fru: [
    {
      chassis: { type: 0x17, partNumber: "SIM-CHASSIS", serialNumber: "C0000001" },
      board: {
        manufacturedAt: "2024-01-01T00:00:00Z",
        manufacturer: "nova-baremetal",
        productName: "Simulated board",
        serialNumber: "B0000001",
        partNumber: "SIM-BOARD",
      },
      product: {
        manufacturer: "nova-baremetal",
        productName: "Simulated machine",
        partNumber: "SIM-1",
        version: "1.0",
        serialNumber: "P0000001",
        assetTag: "none",
      },
    },
  ],
};

type Refuse = (text: string) => never;
type Check = (value: unknown, where: string, refuse: Refuse) => void;

/** Checks the content; `InvalidArgument` says where it is wrong: `sdr[2].unit`. */
export function checkContent(content: SimulatorContent, address: string): CheckedContent {
  const refuse: Refuse = (text) => {
    const message = `content of the simulated BMC at ${address}: ${text}`;
    throw new IpmiError("InvalidArgument", message, { address, operation: "check the content" });
  };
  object({ sel: list(SEL_EVENT), sdr: list(SENSOR), fru: list(FRU) })(content, "content", refuse);
  const { sel = DEFAULT_CONTENT.sel, sdr = DEFAULT_CONTENT.sdr, fru = DEFAULT_CONTENT.fru } = content;
  const checked: CheckedContent = { sel, sdr, fru };
  checked.sdr.forEach((sensor, at) => {
    const hasReading = sensor.value !== undefined;
    if (hasReading === (sensor.states !== undefined)) refuse(`sdr[${at}] must have either a value or states`);
  });
  noneTwice("sdr", "number", checked.sdr.map(sensorNumberAt), refuse);
  noneTwice(
    "sdr",
    "name",
    checked.sdr.map(({ name }) => name),
    refuse,
  );
  noneTwice("fru", "id", checked.fru.map(fruDeviceIdAt), refuse);
  return checked;
}

/** The number a sensor has by itself or by its place in the list. */
export function sensorNumberAt(sensor: SensorContent, place: number): number {
  return sensor.number ?? place + 1;
}

/** The device id an inventory has by itself or by its place in the list. */
export function fruDeviceIdAt(fru: FruContent, place: number): number {
  return fru.id ?? place;
}

/** Number of a sensor type that was checked. */
export function sensorTypeOf(type: string | number): number {
  return typeof type === "number" ? type : (sensorTypeNumber(type) ?? 0);
}

/** Checks one event, for those that are added while the simulator runs. */
export function checkSelEvent(event: SelEventContent, address: string): void {
  SEL_EVENT(event, "the event", (text) => {
    throw new IpmiError("InvalidArgument", `for the simulated BMC at ${address}: ${text}`, {
      address,
      operation: "add an event",
    });
  });
}

function object(checks: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, where, refuse) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return refuse(`${where} must be an object`);
    for (const name of required) if (!(name in value)) refuse(`${where} lacks ${name}`);
    for (const [name, one] of Object.entries(value)) {
      const check = checks[name];
      if (check === undefined) return refuse(`${where} has no ${name}; it may have ${Object.keys(checks).join(", ")}`);
      if (one !== undefined) check(one, where === "content" ? name : `${where}.${name}`, refuse);
    }
  };
}

function list(check: Check, length?: number): Check {
  return (value, where, refuse) => {
    if (!Array.isArray(value)) return refuse(`${where} must be a list`);
    if (length !== undefined && value.length !== length) refuse(`${where} must have ${length} items`);
    for (const [at, one] of value.entries()) check(one, `${where}[${at}]`, refuse);
  };
}

function integer(low: number, high: number): Check {
  return (value, where, refuse) => {
    const isRight = typeof value === "number" && Number.isInteger(value) && value >= low && value <= high;
    if (!isRight) refuse(`${where} must be a whole number from ${low} to ${high}`);
  };
}

function text(most: number): Check {
  return (value, where, refuse) => {
    if (typeof value !== "string" || value.length > most || !LATIN_1.test(value))
      refuse(`${where} must be a text of at most ${most} characters, Latin 1`);
  };
}

function orNull(check: Check): Check {
  return (value, where, refuse) => {
    if (value !== null) check(value, where, refuse);
  };
}

function noneTwice(where: string, what: string, values: readonly unknown[], refuse: Refuse): void {
  const twice = values.find((value, at) => values.indexOf(value) !== at);
  if (twice !== undefined) refuse(`${where} has ${what} ${twice} twice`);
}

const LATIN_1 = /^[ -~\u00a0-\u00ff]*$/;
const byte = integer(0, 255);
const number: Check = (value, where, refuse) => {
  if (!Number.isFinite(value)) refuse(`${where} must be a number`);
};
const bool: Check = (value, where, refuse) => {
  if (typeof value !== "boolean") refuse(`${where} must be true or false`);
};
const time: Check = (value, where, refuse) => {
  if (typeof value !== "string" || Number.isNaN(Date.parse(value)))
    refuse(`${where} must be a time such as 2024-01-31T12:00:00Z`);
};
const sensorType: Check = (value, where, refuse) => {
  if (typeof value === "string" && sensorTypeNumber(value) !== undefined) return;
  if (typeof value !== "number") refuse(`${where} must be a sensor type of IPMI's table 42-3 or its number`);
  byte(value, where, refuse);
};
const unit: Check = (value, where, refuse) => {
  if (typeof value !== "string" || unitNumber(value) === undefined)
    refuse(`${where} must be a unit of IPMI's table 43-15`);
};

const SEL_EVENT = object(
  {
    sensorType,
    sensorNumber: byte,
    eventType: integer(1, 0x7f),
    offset: integer(0, 15),
    isAssertion: bool,
    data: list(byte, 2),
    time,
  },
  ["sensorType", "sensorNumber", "offset"],
);
const SENSOR = object(
  {
    name: text(16),
    type: sensorType,
    number: integer(0, 254),
    entityId: byte,
    entityInstance: integer(0, 127),
    unit,
    value: orNull(number),
    thresholds: object(Object.fromEntries(THRESHOLD_NAMES.map((name) => [name, number]))),
    m: integer(-512, 511),
    b: integer(-512, 511),
    bExponent: integer(-8, 7),
    rExponent: integer(-8, 7),
    isSigned: bool,
    states: orNull(list(integer(0, 14))),
    eventType: integer(2, 0x7f),
  },
  ["name", "type"],
);
const texts = (...names: string[]) => Object.fromEntries(names.map((name) => [name, text(63)]));
const FRU = object({
  id: integer(0, 254),
  name: text(16),
  chassis: object({ type: byte, ...texts("partNumber", "serialNumber") }),
  board: object({ manufacturedAt: time, ...texts("manufacturer", "productName", "serialNumber", "partNumber") }),
  product: object(texts("manufacturer", "productName", "partNumber", "version", "serialNumber", "assetTag")),
});
