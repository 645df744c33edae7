// Parameters of the SOL configuration (IPMI 2.0, table 26-5).
import { requireLength } from "../wire/wire-error.ts";

/** Selectors of the parameters. */
export const SOL_PARAMETER = {
  setInProgress: 0,
  enable: 1,
  authentication: 2,
  accumulate: 3,
  retry: 4,
  nonvolatileBitRate: 5,
  volatileBitRate: 6,
  payloadChannel: 7,
  payloadPort: 8,
} as const;

/** How often an unacknowledged packet is sent again, and after which time (parameter 4). */
export interface SolRetry {
  /** 0-7. */
  readonly count: number;
  /** Milliseconds, in tens. */
  readonly intervalMs: number;
}

const INTERVAL_UNIT_MS = 10;

export function decodeSolRetry(data: Buffer): SolRetry {
  requireLength(data, 2, "the SOL retry parameter");
  return { count: data.readUInt8(0) & 0x07, intervalMs: data.readUInt8(1) * INTERVAL_UNIT_MS };
}

export function encodeSolRetry({ count, intervalMs }: SolRetry): Buffer {
  return Buffer.from([count & 0x07, Math.min(0xff, Math.round(intervalMs / INTERVAL_UNIT_MS))]);
}
