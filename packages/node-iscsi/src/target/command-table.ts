// The commands of the test target: CDB usage data (SPC-4 6.35.3), what a reservation lets through (SPC-4 table 66, SBC-4 table 13), and
// REPORT SUPPORTED OPERATION CODES, which tells it.
import { type CommandResult, goodWith, invalidFieldInCdb } from "./command-result.ts";

/** What a persistent reservation of another initiator means for a command. */
type Access = "always" | "read" | "write";

/** One command. */
export interface CommandEntry {
  readonly opcode: number;
  readonly serviceAction?: number;
  /** CDB usage data: the bits that may be set; its length is that of the CDB. */
  readonly usage: Buffer;
  readonly access: Access;
  /** Reads or changes the medium: BUSY faults and a stopped unit concern it. */
  readonly usesMedium: boolean;
  /** Refused on a write-protected unit. */
  readonly changesMedium: boolean;
  /** Answered while a format or sanitize goes on. */
  readonly worksWhileErasing: boolean;
}

type Flags = Partial<Pick<CommandEntry, "worksWhileErasing">>;

/** `usage` without its first byte, which is the operation code. */
function entry(opcode: number, usage: string, access: Access, flags: Flags & { uses?: "medium" | "change" } = {}) {
  return {
    opcode,
    usage: Buffer.concat([Buffer.from([opcode]), Buffer.from(usage.replaceAll(" ", ""), "hex")]),
    access,
    usesMedium: flags.uses !== undefined,
    changesMedium: flags.uses === "change",
    worksWhileErasing: flags.worksWhileErasing === true,
  };
}

const MEDIUM = { uses: "medium" } as const;
const CHANGE = { uses: "change" } as const;
const ANY_TIME = { worksWhileErasing: true } as const;

/** Byte 1 of reads and writes: DPO, FUA and the obsolete FUA_NV; protection information is not supported. */
const TABLE: readonly CommandEntry[] = [
  entry(0x00, "00 000000 00", "always"),
  entry(0x03, "00 0000ff 00", "always", ANY_TIME),
  entry(0x04, "38 000000 00", "write", CHANGE),
  entry(0x08, "1f ffffff 00", "read", MEDIUM),
  entry(0x0a, "1f ffffff 00", "write", CHANGE),
  entry(0x12, "01 ffffff 00", "always", ANY_TIME),
  entry(0x1a, "08 ffffff 00", "write"),
  // Decided by the START bit.
  entry(0x1b, "01 000ff7 00", "always"),
  entry(0x25, "00 ffffffff 0000 01 00", "always"),
  entry(0x28, "1a ffffffff 1f ffff 00", "read", MEDIUM),
  entry(0x2a, "1a ffffffff 1f ffff 00", "write", CHANGE),
  entry(0x2e, "16 ffffffff 1f ffff 00", "write", CHANGE),
  entry(0x2f, "16 ffffffff 1f ffff 00", "read", MEDIUM),
  entry(0x34, "02 ffffffff 1f ffff 00", "read", MEDIUM),
  entry(0x35, "06 ffffffff 1f ffff 00", "write", MEDIUM),
  entry(0x41, "08 ffffffff 1f ffff 00", "write", CHANGE),
  entry(0x42, "00 00000000 1f ffff 00", "write", CHANGE),
  ...[0x01, 0x02, 0x03, 0x1f].map((action) => ({
    ...entry(0x48, "a0 0000000000 ffff 00", "write", CHANGE),
    serviceAction: action,
  })),
  entry(0x5a, "18 ffff 000000 ffff 00", "write"),
  ...[0, 1, 2, 3].map((action) => ({
    ...entry(0x5e, "00 0000000000 ffff 00", "always", ANY_TIME),
    serviceAction: action,
  })),
  ...[0, 1, 2, 3, 4, 5, 6].map((action) => ({
    ...entry(0x5f, "00 ff 0000 ffffffff 00", "always"),
    serviceAction: action,
  })),
  entry(0x88, "1a ffffffffffffffff ffffffff 1f 00", "read", MEDIUM),
  entry(0x89, "1a ffffffffffffffff 000000 ff 1f 00", "write", CHANGE),
  entry(0x8a, "1a ffffffffffffffff ffffffff 1f 00", "write", CHANGE),
  entry(0x8b, "1a ffffffffffffffff ffffffff 1f 00", "write", CHANGE),
  entry(0x8e, "16 ffffffffffffffff ffffffff 1f 00", "write", CHANGE),
  entry(0x8f, "16 ffffffffffffffff ffffffff 1f 00", "read", MEDIUM),
  entry(0x90, "02 ffffffffffffffff ffffffff 1f 00", "read", MEDIUM),
  entry(0x91, "06 ffffffffffffffff ffffffff 1f 00", "write", MEDIUM),
  entry(0x93, "09 ffffffffffffffff ffffffff 1f 00", "write", CHANGE),
  { ...entry(0x9e, "00 ffffffffffffffff ffffffff 01 00", "always"), serviceAction: 0x10 },
  { ...entry(0x9e, "00 ffffffffffffffff ffffffff 00 00", "read"), serviceAction: 0x12 },
  entry(0xa0, "00 ff 000000 ffffffff 00 00", "always", ANY_TIME),
  { ...entry(0xa3, "00 87 ff ffff ffffffff 00 00", "read", ANY_TIME), serviceAction: 0x0c },
  entry(0xa8, "1a ffffffff ffffffff 1f 00", "read", MEDIUM),
  entry(0xaa, "1a ffffffff ffffffff 1f 00", "write", CHANGE),
  entry(0xae, "16 ffffffff ffffffff 1f 00", "write", CHANGE),
  entry(0xaf, "16 ffffffff ffffffff 1f 00", "read", MEDIUM),
];

const SERVICE_ACTION_MASK = 0x1f;

const BY_OPCODE = new Map<number, CommandEntry[]>();
for (const one of TABLE) BY_OPCODE.set(one.opcode, [...(BY_OPCODE.get(one.opcode) ?? []), one]);

/** The entry for a CDB, or how it ends without one; undefined when the operation code is unknown. */
export function lookUpCommand(cdb: Buffer): CommandEntry | CommandResult | undefined {
  const entries = BY_OPCODE.get(cdb.readUInt8(0));
  if (entries === undefined) return undefined;
  const action = cdb.readUInt8(1) & SERVICE_ACTION_MASK;
  const found = entries.find((one) => one.serviceAction === undefined || one.serviceAction === action);
  return found === undefined ? invalidFieldInCdb(1, 4) : (invalidBitOf(cdb, found) ?? found);
}

/** A bit that is set although the command does not use it; an iSCSI CDB has 16 bytes, so only its own are looked at. */
function invalidBitOf(cdb: Buffer, { usage, serviceAction }: CommandEntry): CommandResult | undefined {
  for (let byte = 1; byte < usage.length; byte += 1) {
    const isAction = byte === 1 && serviceAction !== undefined;
    const wrong = (cdb[byte] ?? 0) & ~((usage[byte] ?? 0) | (isAction ? SERVICE_ACTION_MASK : 0)) & 0xff;
    if (wrong !== 0) return invalidFieldInCdb(byte, 31 - Math.clz32(wrong));
  }
  return undefined;
}

/** Which commands a fault takes away. */
export type IsPresent = (opcode: number) => boolean;

const TIMEOUTS_DESCRIPTOR = Buffer.from("000a00000000000000000000", "hex");

/** REPORT SUPPORTED OPERATION CODES: all commands, or one in either of its three ways. */
export function reportSupportedOperationCodes(cdb: Buffer, isPresent: IsPresent): CommandResult {
  const hasTimeouts = (cdb.readUInt8(2) & 0x80) !== 0;
  const options = cdb.readUInt8(2) & 0x07;
  const opcode = cdb.readUInt8(3);
  const action = cdb.readUInt16BE(4);
  const allocation = cdb.readUInt32BE(6);
  const entries = isPresent(opcode) ? (BY_OPCODE.get(opcode) ?? []) : [];
  const hasActions = entries.some((one) => one.serviceAction !== undefined);
  switch (options) {
    case 0:
      return goodWith(allCommands(hasTimeouts, isPresent), allocation);
    case 1:
      // The operation code alone is not enough for a command with service actions, and too much is asked of one without.
      if (hasActions) return invalidFieldInCdb(2, 2);
      return goodWith(oneCommand(entries[0], hasTimeouts), allocation);
    case 2:
      if (entries.length > 0 && !hasActions) return invalidFieldInCdb(2, 2);
      return goodWith(
        oneCommand(
          entries.find((one) => one.serviceAction === action),
          hasTimeouts,
        ),
        allocation,
      );
    case 3:
      return goodWith(
        oneCommand(
          entries.find((one) => (one.serviceAction ?? 0) === action),
          hasTimeouts,
        ),
        allocation,
      );
    default:
      return invalidFieldInCdb(2, 2);
  }
}

function allCommands(hasTimeouts: boolean, isPresent: IsPresent): Buffer {
  const descriptors = TABLE.filter((one) => isPresent(one.opcode)).map(({ opcode, serviceAction, usage }) => {
    const descriptor = Buffer.alloc(8);
    descriptor[0] = opcode;
    descriptor.writeUInt16BE(serviceAction ?? 0, 2);
    descriptor[5] = (hasTimeouts ? 0x02 : 0) | (serviceAction === undefined ? 0 : 0x01);
    descriptor.writeUInt16BE(usage.length, 6);
    return hasTimeouts ? Buffer.concat([descriptor, TIMEOUTS_DESCRIPTOR]) : descriptor;
  });
  const header = Buffer.alloc(4);
  const body = Buffer.concat(descriptors);
  header.writeUInt32BE(body.length, 0);
  return Buffer.concat([header, body]);
}

function oneCommand(found: CommandEntry | undefined, hasTimeouts: boolean): Buffer {
  if (found === undefined) return Buffer.from([0, 0x01, 0, 0]);
  const header = Buffer.from([0, (hasTimeouts ? 0x80 : 0) | 0x03, 0, found.usage.length]);
  const usage = Buffer.from(found.usage);
  if (found.serviceAction !== undefined) usage[1] = (usage[1] ?? 0) | found.serviceAction;
  return Buffer.concat(hasTimeouts ? [header, usage, TIMEOUTS_DESCRIPTOR] : [header, usage]);
}
