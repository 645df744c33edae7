// Raw readings to values: y = L[(M * x + B * 10^Bexp) * 10^Rexp] (IPMI 2.0, 36.3).

/** How a raw byte is a number. */
export type AnalogFormat = "unsigned" | "ones-complement" | "twos-complement" | "none";

/** The factors of a sensor, as its full record has them. */
export interface ConversionFactors {
  readonly format: AnalogFormat;
  /** 0 linear, 1 ln, 2 log10, 3 log2, 4 e, 5 exp10, 6 exp2, 7 1/x, 8 square, 9 cube, 10 square root, 11 cube root; 70h on: not linear. */
  readonly linearization: number;
  /** Signed, 10 bits. */
  readonly m: number;
  readonly b: number;
  /** Signed, 4 bits: powers of ten. */
  readonly bExponent: number;
  readonly rExponent: number;
}

const LINEARIZATIONS: readonly ((x: number) => number)[] = [
  (x) => x,
  Math.log,
  Math.log10,
  Math.log2,
  Math.exp,
  (x) => 10 ** x,
  (x) => 2 ** x,
  (x) => 1 / x,
  (x) => x ** 2,
  (x) => x ** 3,
  Math.sqrt,
  Math.cbrt,
];

/** The signed number of `bits` bits. */
export function signed(value: number, bits: number): number {
  const half = 1 << (bits - 1);
  return (value & (half - 1)) - (value & half);
}

/**
 * The value of a raw byte in the sensor's unit. Undefined if it has none: a sensor without analog readings, one whose
 * factors depend on the reading (linearization 70h on), or a result that is not a number, such as 1/0.
 */
export function convertReading(raw: number, factors: ConversionFactors): number | undefined {
  const linearize = LINEARIZATIONS[factors.linearization];
  const x = rawNumber(raw, factors.format);
  if (linearize === undefined || x === undefined) return undefined;
  const linear = (factors.m * x + factors.b * 10 ** factors.bExponent) * 10 ** factors.rExponent;
  const value = linearize(linear);
  // 12 digits: 54 * 10^-1 is meant, not 5.4000000000000004.
  return Number.isFinite(value) ? Number(value.toPrecision(12)) : undefined;
}

/** The raw byte nearest to `value`, for linear factors; at the end of the scale for values beyond it. */
export function rawFromValue(value: number, factors: ConversionFactors): number {
  const x = (value / 10 ** factors.rExponent - factors.b * 10 ** factors.bExponent) / factors.m;
  const [low, high] = factors.format === "unsigned" ? [0, 255] : [-128, 127];
  return Math.min(high, Math.max(low, Math.round(x))) & 0xff;
}

function rawNumber(raw: number, format: AnalogFormat): number | undefined {
  switch (format) {
    case "unsigned":
      return raw;
    case "ones-complement":
      return raw < 0x80 ? raw : raw - 0xff;
    case "twos-complement":
      return signed(raw, 8);
    case "none":
      return undefined;
  }
}
