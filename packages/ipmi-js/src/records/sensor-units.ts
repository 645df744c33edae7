// Units of sensors (IPMI 2.0, table 43-15) and how a record combines them (table 43-1, bytes 21 to 23).

/** By unit type code. */
const UNITS =
  "unspecified|degrees C|degrees F|degrees K|Volts|Amps|Watts|Joules|Coulombs|VA|Nits|lumen|lux|Candela|kPa|PSI|Newton|CFM|RPM|Hz|microsecond|millisecond|second|minute|hour|day|week|mil|inches|feet|cu in|cu feet|mm|cm|m|cu cm|cu m|liters|fluid ounce|radians|steradians|revolutions|cycles|gravities|ounce|pound|ft-lb|oz-in|gauss|gilberts|henry|millihenry|farad|microfarad|ohms|siemens|mole|becquerel|PPM|reserved|Decibels|DbA|DbC|gray|sievert|color temp deg K|bit|kilobit|megabit|gigabit|byte|kilobyte|megabyte|gigabyte|word|dword|qword|line|hit|miss|retry|reset|overflow|underrun|collision|packets|messages|characters|error|correctable error|uncorrectable error|fatal error|grams".split(
    "|",
  );

const RATES = ["", "per microsecond", "per millisecond", "per second", "per minute", "per hour", "per day"];

/** The unit bytes of a sensor record. */
export interface SensorUnits {
  readonly isPercentage: boolean;
  /** 0 none, 1 to 6 per microsecond to per day. */
  readonly rate: number;
  /** How base and modifier unit go together. */
  readonly modifier: "none" | "divide" | "multiply";
  readonly baseUnit: number;
  readonly modifierUnit: number;
}

/** `degrees C`, `% Volts`, `error per hour`, `Newton * m`; empty if the sensor has no unit. */
export function unitText(units: SensorUnits): string {
  const parts: string[] = [];
  if (units.isPercentage) parts.push("%");
  if (units.baseUnit !== 0) parts.push(unitName(units.baseUnit));
  if (units.modifier !== "none") parts.push(units.modifier === "divide" ? "/" : "*", unitName(units.modifierUnit));
  const rate = RATES[units.rate];
  if (rate) parts.push(rate);
  return parts.join(" ");
}

/** Code of a unit by its name, in any case of letters. */
export function unitNumber(name: string): number | undefined {
  const number = UNITS.findIndex((unit) => unit.toLowerCase() === name.toLowerCase());
  return number < 0 ? undefined : number;
}

function unitName(number: number): string {
  return UNITS[number] ?? `unit ${number}`;
}
