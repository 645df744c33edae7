// REPORT SUPPORTED OPERATION CODES (SPC-4 6.35) for one command: the way to know without trying it.
import type { ScsiCommand } from "./command.ts";
import { requireBytes, requireInteger } from "./fields.ts";

const MAINTENANCE_IN = 0xa3;
const ACTION = 0x0c;
const ALLOCATION_BYTES = 64;
const NAME = "REPORT SUPPORTED OPERATION CODES";

/** What a target says of one command. */
export interface CommandSupport {
  /** "unknown": the target cannot tell now. "vendor" means supported, but not as the standard has it. */
  readonly support: "unknown" | "unsupported" | "standard" | "vendor";
  /** CDB usage data: the bits of the CDB that the target looks at; empty when it is not supported. */
  readonly cdbUsage: Buffer;
}

/** @throws InvalidArgumentError when a number does not fit its field. */
export function reportSupportedOperationCode(opcode: number, serviceAction?: number): ScsiCommand<CommandSupport> {
  requireInteger(NAME, "operation code", opcode, 0xff);
  requireInteger(NAME, "service action", serviceAction ?? 0, 0xffff);
  const cdb = Buffer.alloc(12);
  cdb[0] = MAINTENANCE_IN;
  cdb[1] = ACTION;
  // REPORTING OPTIONS: one command without, or with a service action.
  cdb[2] = serviceAction === undefined ? 1 : 2;
  cdb[3] = opcode;
  cdb.writeUInt16BE(serviceAction ?? 0, 4);
  cdb.writeUInt32BE(ALLOCATION_BYTES, 6);
  return { name: NAME, cdb, isIdempotent: true, dataIn: Buffer.alloc(ALLOCATION_BYTES), decode };
}

function decode(data: Buffer): CommandSupport {
  requireBytes(data, 4, "one command parameter data");
  const support = ({ 1: "unsupported", 3: "standard", 5: "vendor" } as const)[data.readUInt8(1) & 7] ?? "unknown";
  const usageBytes = support === "standard" || support === "vendor" ? data.readUInt16BE(2) : 0;
  requireBytes(data, 4 + Math.min(usageBytes, ALLOCATION_BYTES - 4), "one command parameter data");
  return { support, cdbUsage: Buffer.from(data.subarray(4, 4 + usageBytes)) };
}
