// The inner loop of CRC32C as a WebAssembly module of some 300 bytes, put together here: no binary blob, nothing to compile at install.
// WebAssembly Core Specification 1.0, section 5 (binary format); the operations below carry the spec's names.

/** Tables of 256 words each, from byte 0 of the module's memory on: one for each byte of a step. */
export const TABLE_COUNT = 16;
const TABLE_BYTES = 1024;
/** Where the input lies in the module's memory, and how much at once. */
export const INPUT_AT = TABLE_COUNT * TABLE_BYTES;
export const INPUT_BYTES = 32 * 1024;
const PAGE_BYTES = 65_536;

/** The module's `update`: state after the bytes from `from` up to `to` of its memory. */
export type Crc32cKernel = (state: number, from: number, to: number) => number;

type Code = readonly number[];

const I32 = 0x7f;
const EMPTY = 0x40;

/** LEB128, unsigned. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** LEB128, signed. */
function signed(value: number): Code {
  return value >= -64 && value < 64 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

const vector = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const section = (id: number, body: Code): Code => [id, ...unsigned(body.length), ...body];
const name = (text: string): Code => vector([...Buffer.from(text)].map((byte) => [byte]));

const i32Const = (value: number): Code => [0x41, ...signed(value)];
const localGet = (index: number): Code => [0x20, index];
const localSet = (index: number): Code => [0x21, index];
const i32Load = (offset: number): Code => [0x28, 0, ...unsigned(offset)];
const i32Load8U = (offset: number): Code => [0x2d, 0, ...unsigned(offset)];
const I32_GE_U = 0x4f;
const I32_ADD = 0x6a;
const I32_AND = 0x71;
const I32_XOR = 0x73;
const I32_SHL = 0x74;
const I32_SHR_U = 0x76;

/** `while (at < end) body`: br_if 1 leaves the block, br 0 goes on with the loop. */
function whileBelow(at: number, end: Code, body: Code): Code {
  const test = [...localGet(at), ...end, I32_GE_U, 0x0d, 1];
  return [0x02, EMPTY, 0x03, EMPTY, ...test, ...body, 0x0c, 0, 0x0b, 0x0b];
}

const increase = (local: number, by: number): Code => [
  ...localGet(local),
  ...i32Const(by),
  I32_ADD,
  ...localSet(local),
];

const STATE = 0;
const AT = 1;
const TO = 2;
/** Locals 3 to 6: the four words of a step. */
const WORD = 3;

/** Entry of `table` for byte `byte` of a word: index times 4 comes from shifting by two less. */
function lookUp(word: number, byte: number, table: number): Code {
  const shift = byte === 0 ? [...i32Const(2), I32_SHL] : [...i32Const(8 * byte - 2), I32_SHR_U];
  return [...localGet(word), ...shift, ...i32Const(0x3fc), I32_AND, ...i32Load(table * TABLE_BYTES)];
}

/** Sixteen bytes: the later words do not depend on the state, so their look-ups run ahead of the step before. */
function step(): Code {
  const loads = [0, 1, 2, 3].flatMap((word) => [
    ...localGet(AT),
    ...i32Load(4 * word),
    ...(word === 0 ? [...localGet(STATE), I32_XOR] : []),
    ...localSet(WORD + word),
  ]);
  const four = (word: number): Code => {
    const entry = (byte: number) => lookUp(WORD + word, byte, TABLE_COUNT - 1 - 4 * word - byte);
    return [...entry(0), ...entry(1), I32_XOR, ...entry(2), ...entry(3), I32_XOR, I32_XOR];
  };
  const mix = [...four(3), ...four(2), I32_XOR, ...four(1), I32_XOR, ...four(0), I32_XOR, ...localSet(STATE)];
  return [...loads, ...mix, ...increase(AT, 16)];
}

/** One byte, for what a step leaves over. */
function byteStep(): Code {
  const index = [...localGet(STATE), ...localGet(AT), ...i32Load8U(0), I32_XOR, ...i32Const(0xff), I32_AND];
  const entry = [...index, ...i32Const(2), I32_SHL, ...i32Load(0)];
  return [...entry, ...localGet(STATE), ...i32Const(8), I32_SHR_U, I32_XOR, ...localSet(STATE), ...increase(AT, 1)];
}

/** The module: exports `memory` (tables, then input) and `update` ({@link Crc32cKernel}). */
export function assembleCrc32cModule(): Uint8Array<ArrayBuffer> {
  // Trap: the end of whole steps is counted from `from`, which is 16-byte aligned like INPUT_AT.
  const wholeSteps = [...localGet(TO), ...i32Const(-16), I32_AND];
  const code = [
    ...whileBelow(AT, wholeSteps, step()),
    ...whileBelow(AT, localGet(TO), byteStep()),
    ...localGet(STATE),
    0x0b,
  ];
  const body = [...vector([[4, I32]]), ...code];
  const pages = Math.ceil((INPUT_AT + INPUT_BYTES) / PAGE_BYTES);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...vector([[I32], [I32], [I32]]), ...vector([[I32]])]])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, ...unsigned(pages)]])),
    ...section(
      7,
      vector([
        [...name("memory"), 2, 0],
        [...name("update"), 0, 0],
      ]),
    ),
    ...section(10, vector([[...unsigned(body.length), ...body]])),
  ]);
}
