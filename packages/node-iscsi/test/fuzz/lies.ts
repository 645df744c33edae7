// What a lying target does to the PDUs it sends, in classes of which it is known what an initiator must make of them.
import { randomBytes } from "node:crypto";
import type { SentPdu } from "node-iscsi/target";
import { Opcode, opcodeOf } from "../../src/pdu/header.ts";

/** Random numbers in 0..1 (1 excluded). */
export type Random = () => number;
/** The target's `alterSent`. */
export type Lie = (pdu: SentPdu) => SentPdu | undefined;

export const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
export const upTo = (random: Random, limit: number): number => Math.floor(random() * (limit + 1));

const u32 = (random: Random) => Math.floor(random() * 2 ** 32);
const near = (random: Random, value: number) => (value + pick(random, [-1, 1, 2, 512, -512, 4096, 0x80000000])) >>> 0;

type HeaderEdit = (header: Buffer, random: Random) => void;

const field =
  (at: number): HeaderEdit =>
  (header, random) =>
    header.writeUInt32BE(pick(random, [u32(random), near(random, header.readUInt32BE(at)), 0, 0xffffffff]), at);

/**
 * Alterations of one header field each. Left out is what nobody can find out: another task's live tag, and a status that is not true.
 * DataSegmentLength and TotalAHSLength shift everything behind them.
 */
const HEADER_EDITS: readonly HeaderEdit[] = [
  (header, random) => {
    header[0] = pick(random, [
      ...Object.values(Opcode),
      u32(random) & 0x3f,
      0x80 | opcodeOf(header),
      0x40 | opcodeOf(header),
    ]);
  },
  (header, random) => {
    header[1] = (header[1] ?? 0) ^ (1 << upTo(random, 7));
  },
  (header, random) => {
    if (opcodeOf(header) !== Opcode.TaskManagementResponse) header[2] = 1 + upTo(random, 254);
  },
  (header, random) => {
    header[4] = 1 + upTo(random, 254);
  },
  (header, random) => {
    const length = header.readUIntBE(5, 3);
    header.writeUIntBE(
      pick(random, [0, length + 1, Math.max(0, length - 1), length * 2, u32(random)]) & 0xffffff,
      5,
      3,
    );
  },
  (header) => {
    header[16] = (header[16] ?? 0) ^ 0x80;
  },
  ...[8, 12, 20, 24, 28, 32, 36, 40, 44].map(field),
];

/** Lies about data that are just believable: a place, a length or a number of another PDU of the same task. */
const DATA_EDITS: readonly HeaderEdit[] = [
  (header, random) => shift(header, random, 40),
  (header, random) => shift(header, random, 40),
  (header, random) => header.writeUInt32BE((header.readUInt32BE(36) + pick(random, [-1, 1])) >>> 0, 36),
  (header, random) => header.writeUIntBE(Math.max(0, header.readUIntBE(5, 3) - pick(random, [1, 4, 512])), 5, 3),
  (header, random) => header.writeUInt32BE(Math.max(0, header.readUInt32BE(44) + pick(random, [-512, -1, 1, 512])), 44),
  // As if the status had come with it, or instead of it.
  (header) => {
    header[1] = (header[1] ?? 0) ^ 0x01;
  },
  (header) => {
    header[0] = Opcode.ScsiResponse;
  },
];

/** Moves an offset by the length of a segment, back or forth, or to the start. */
function shift(header: Buffer, random: Random, at: number): void {
  const length = header.readUIntBE(5, 3) || header.readUInt32BE(44);
  const offset = header.readUInt32BE(at);
  header.writeUInt32BE(pick(random, [0, offset + length, Math.max(0, offset - length), offset + 512]) >>> 0, at);
}

/** Alters one field in some of the PDUs: those whose turn is in `turns`, counted from the first. */
export function headerLie(random: Random, turns: ReadonlySet<number>): Lie {
  let turn = 0;
  return (pdu) => {
    turn += 1;
    if (!turns.has(turn)) return pdu;
    const header = Buffer.from(pdu.header);
    const opcode = opcodeOf(header);
    const isOfData = opcode === Opcode.DataIn || opcode === Opcode.ReadyToTransfer;
    pick(random, isOfData && random() < 0.6 ? DATA_EDITS : HEADER_EDITS)(header, random);
    return { header, data: pdu.data };
  };
}

const isOfLogin = (pdu: SentPdu) => opcodeOf(pdu.header) === Opcode.LoginResponse;

/** Leaves PDUs out. */
export function losingLie(turns: ReadonlySet<number>): Lie {
  let turn = 0;
  return (pdu) => {
    turn += 1;
    return turns.has(turn) ? undefined : pdu;
  };
}

/** Holds PDUs back and sends them in another order; the last ones stay with it until others push them out. */
export function reorderingLie(random: Random, held: number): Lie {
  const queue: SentPdu[] = [];
  return (pdu) => {
    if (isOfLogin(pdu)) {
      queue.length = 0;
      return pdu;
    }
    queue.push({ header: pdu.header, data: pdu.data === undefined ? undefined : Buffer.from(pdu.data) });
    if (queue.length <= held) return undefined;
    return queue.splice(upTo(random, queue.length - 1), 1)[0];
  };
}

/** Changes the bytes of reads on their way, by their place on the disk: the same wherever and whenever they are read. */
export function payloadLie(lbaOfTag: ReadonlyMap<number, number>, lie: (at: number, byte: number) => number): Lie {
  return ({ header, data }) => {
    const lba = opcodeOf(header) === Opcode.DataIn ? lbaOfTag.get(header.readUInt32BE(16)) : undefined;
    if (lba === undefined || data === undefined) return { header, data };
    const at = lba * 512 + header.readUInt32BE(40);
    return { header, data: Buffer.from(data.map((byte, index) => lie(at + index, byte))) };
  };
}

/** Anything at all, to a share of the PDUs. */
export function anyLie(random: Random, share: number): Lie {
  const edits: ((header: Buffer, data: Buffer) => SentPdu | undefined)[] = [
    (header, data) => {
      for (let count = upTo(random, 4); count >= 0; count -= 1) header[upTo(random, 47)] = upTo(random, 255);
      return { header, data };
    },
    (header, data) => {
      pick(random, HEADER_EDITS)(header, random);
      return { header, data };
    },
    (header, data) => {
      for (let count = upTo(random, 8); count >= 0 && data.length > 0; count -= 1)
        data[upTo(random, data.length - 1)] = upTo(random, 255);
      return { header, data };
    },
    // Another live tag, a status that is not true.
    (header, data) => {
      header[19] = upTo(random, 20);
      return { header, data };
    },
    (header, data) => {
      header[3] = pick(random, [0, 2, 4, 8, 0x18, 0x28, 0x30, 0x40, 0xff]);
      return { header, data };
    },
    // The length says less or more than there is.
    (header, data) => ({ header, data: data.subarray(0, upTo(random, data.length)) }),
    (header, data) => ({ header, data: Buffer.concat([data, randomBytes(upTo(random, 64))]) }),
    // A PDU nobody asked for comes first: asynchronous message, Reject, NOP-In, R2T, whatever.
    (header, data) => {
      const extra = randomBytes(48);
      extra[0] = pick(random, Object.values(Opcode));
      extra.fill(0, 4, 8);
      header.copy(extra, 16, 16, 20);
      if (random() < 0.7) header.copy(extra, 24, 24, 36);
      if (random() < 0.5) extra[36] = upTo(random, 4);
      return { header: Buffer.concat([extra, header]), data };
    },
    (header) => ({ header: header.subarray(0, upTo(random, 47)), data: undefined }),
    () => undefined,
  ];
  return (pdu) => {
    if (random() >= share) return pdu;
    const data = Buffer.from(pdu.data ?? []);
    return pick(random, edits)(Buffer.from(pdu.header), data);
  };
}
