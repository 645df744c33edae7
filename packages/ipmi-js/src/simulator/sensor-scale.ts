// Factors for a simulated sensor whose content names only values.
import type { ConversionFactors } from "../records/sensor-conversion.ts";
import type { SensorContent } from "./content.ts";

/** Room above the largest value, so that readings can rise. */
const HEADROOM = 1.25;
const NICE_STEPS = [1, 2, 5, 10];

/**
 * The factors of the content, where it has them. Else a step of 1, 2 or 5 times a power of ten: 1 for whole numbers
 * that fit into a byte, or the smallest with which the largest value, and a quarter more, fits.
 */
export function chooseFactors(content: SensorContent): ConversionFactors {
  const values = [content.value ?? 0, ...Object.values(content.thresholds ?? {})];
  const isSigned = content.isSigned ?? values.some((value) => value < 0);
  const format = isSigned ? "twos-complement" : "unsigned";
  const common = { format, linearization: 0, b: content.b ?? 0, bExponent: content.bExponent ?? 0 } as const;
  if (content.m !== undefined || content.rExponent !== undefined) {
    return { ...common, m: content.m ?? 1, rExponent: content.rExponent ?? 0 };
  }
  const [low, high] = isSigned ? [-128, 127] : [0, 255];
  if (values.every((value) => Number.isInteger(value) && value >= low && value <= high)) {
    return { ...common, m: 1, rExponent: 0 };
  }
  const step = (Math.max(...values.map(Math.abs)) * HEADROOM) / high;
  const power = Math.floor(Math.log10(step));
  const m = NICE_STEPS.find((nice) => nice * 10 ** power >= step) ?? 10;
  return { ...common, m, rExponent: Math.min(7, Math.max(-8, power)) };
}
