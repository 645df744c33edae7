// The inner loop of CRC32C as a WebAssembly module of some 1400 bytes, put together here: no binary blob, nothing to compile at install.
// WebAssembly Core Specification 2.0, section 5 (binary format, vector instructions); the operations below carry the spec's names.
//
// A message is a polynomial over GF(2), its first bit the highest power, and its digest the remainder modulo the digest's
// polynomial P. Long messages are shortened to 1264 bytes first, with 7 XORs of 16 bytes for each 16 bytes and no table:
//   - MULTIPLE below is a multiple of P with few terms. Squaring over GF(2) doubles each exponent, so that after seven times
//     the same terms with all exponents times 128 are a multiple of P still: its distances are whole 16-byte vectors.
//   - Adding a multiple of P changes no remainder. Added so that its first term cancels a vector of the message, it clears
//     that vector and XORs it into the vectors 4, 8, 21, 61, 67, 78 and 79 places further on.
//   - Done from the front, that clears all vectors but the last 79. Here each vector gathers what the cleared ones before it
//     give to it, which is one store a vector instead of seven.
// The rest goes through tables, 16 bytes a step ("slicing"): about 3 bytes a nanosecond, where shortening does 10.

/** Tables of 256 words each, from byte 0 of the module's memory on: one for each byte of a step. */
export const TABLE_COUNT = 16;
const TABLE_BYTES = 1024;
/** Where the input lies in the module's memory, and how much at once. Both are whole vectors; `update` overwrites the input. */
export const INPUT_AT = TABLE_COUNT * TABLE_BYTES;
export const INPUT_BYTES = 64 * 1024;
const PAGE_BYTES = 65_536;

/**
 * Exponents of a multiple of P. Found by search: of all with eight terms (six need degree 209, P itself has eighteen) the one
 * of least degree. The gap of 4 after the first lets a vector's sources be stored well before they are loaded.
 */
const MULTIPLE = [79, 75, 71, 58, 18, 12, 1, 0] as const;
const VECTOR_BYTES = 16;
/** How far before a vector its sources lie, in bytes, nearest first. */
const DISTANCES = MULTIPLE.slice(1).map((exponent) => VECTOR_BYTES * (MULTIPLE[0] - exponent));
/** The farthest source, and what shortening leaves. */
const WINDOW = VECTOR_BYTES * MULTIPLE[0];
/** The least input that is shortened: all sources must come into range before the first goes out of it. */
export const SHORTENED_FROM = 2 * WINDOW;

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
const i32Store = (offset: number): Code => [0x36, 0, ...unsigned(offset)];
const v128Load = (offset: number): Code => [0xfd, 0, 0, ...unsigned(offset)];
const v128Store = (offset: number): Code => [0xfd, 11, 0, ...unsigned(offset)];
const V128_XOR: Code = [0xfd, 0x51];
const I32_GE_U = 0x4f;
const I32_ADD = 0x6a;
const I32_SUB = 0x6b;
const I32_AND = 0x71;
const I32_XOR = 0x73;
const I32_SHL = 0x74;
const I32_SHR_U = 0x76;

/** `while (at < end) body`: br_if 1 leaves the block, br 0 goes on with the loop. */
function whileBelow(at: number, end: Code, body: Code): Code {
  const test = [...localGet(at), ...end, I32_GE_U, 0x0d, 1];
  return [0x02, EMPTY, 0x03, EMPTY, ...test, ...body, 0x0c, 0, 0x0b, 0x0b];
}

const plus = (local: number, by: number): Code => [...localGet(local), ...i32Const(by), I32_ADD];
const increase = (local: number, by: number): Code => [...plus(local, by), ...localSet(local)];

const STATE = 0;
const FROM = 1;
const TO = 2;
const AT = 3;
/** Where the cleared vectors end. */
const END = 4;
/** Locals 5 to 8: the four words of a step. */
const WORD = 5;
/** Locals beside the three parameters. */
const LOCAL_COUNT = 6;

/** Gathers from the sources at `distances` into each vector up to `limit` after `base`. AT runs {@link WINDOW} behind the vector. */
function gather(distances: Code, base: number, limit: number): Code {
  // The nearest source last: it was stored the shortest time ago.
  const sources = distances.toReversed().flatMap((d) => [...localGet(AT), ...v128Load(WINDOW - d), ...V128_XOR]);
  const body = [...localGet(AT), ...localGet(AT), ...v128Load(WINDOW), ...sources, ...v128Store(WINDOW)];
  return whileBelow(AT, plus(base, limit - WINDOW), [...body, ...increase(AT, VECTOR_BYTES)]);
}

/** Shortens the input: AT becomes where the rest starts, between {@link WINDOW} and 15 bytes more before TO. */
function shorten(): Code {
  const [nearest = 0, ...further] = DISTANCES;
  return [
    // The state belongs to the first four bytes, like in any CRC.
    ...[...localGet(FROM), ...localGet(FROM), ...i32Load(0), ...localGet(STATE), I32_XOR, ...i32Store(0)],
    ...[...i32Const(0), ...localSet(STATE)],
    ...[...localGet(TO), ...localGet(FROM), I32_SUB, ...i32Const(-WINDOW), I32_ADD],
    ...[...i32Const(-VECTOR_BYTES), I32_AND, ...localGet(FROM), I32_ADD, ...localSet(END)],
    // From the start on the sources come into range one by one; from END on they go out of it.
    ...[...plus(FROM, nearest - WINDOW), ...localSet(AT)],
    ...further.flatMap((limit, count) => gather(DISTANCES.slice(0, count + 1), FROM, limit)),
    ...DISTANCES.flatMap((limit, count) => gather(DISTANCES.slice(count), END, limit)),
    ...[...localGet(END), ...localSet(AT)],
  ];
}

/** Entry for byte `at` of a step. Index times 4 comes from shifting by two less. */
function lookUp(at: number): Code {
  const byte = at % 4;
  const shift = byte === 0 ? [...i32Const(2), I32_SHL] : [...i32Const(8 * byte - 2), I32_SHR_U];
  const table = TABLE_COUNT - 1 - at;
  return [...localGet(WORD + (at >> 2)), ...shift, ...i32Const(0x3fc), I32_AND, ...i32Load(table * TABLE_BYTES)];
}

/** Sixteen bytes, last first: the later words do not depend on the state, so their look-ups run ahead of the step before. */
function step(): Code {
  const loads = [0, 1, 2, 3].flatMap((word) => [
    ...localGet(AT),
    ...i32Load(4 * word),
    ...(word === 0 ? [...localGet(STATE), I32_XOR] : []),
    ...localSet(WORD + word),
  ]);
  const others = [14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0].flatMap((at) => [...lookUp(at), I32_XOR]);
  return [...loads, ...lookUp(15), ...others, ...localSet(STATE), ...increase(AT, TABLE_COUNT)];
}

/** One byte, for what a step leaves over. */
function byteStep(): Code {
  const index = [...localGet(STATE), ...localGet(AT), ...i32Load8U(0), I32_XOR, ...i32Const(0xff), I32_AND];
  const entry = [...index, ...i32Const(2), I32_SHL, ...i32Load(0)];
  return [...entry, ...localGet(STATE), ...i32Const(8), I32_SHR_U, I32_XOR, ...localSet(STATE), ...increase(AT, 1)];
}

/** The module: exports `memory` (tables, then input) and `update` ({@link Crc32cKernel}). Needs 128-bit vectors. */
export function assembleCrc32cModule(): Uint8Array<ArrayBuffer> {
  // Trap: the end of whole steps is counted from `from`, which is 16-byte aligned like INPUT_AT.
  const wholeSteps = [...localGet(TO), ...i32Const(-16), I32_AND];
  const isLong = [...localGet(TO), ...localGet(FROM), I32_SUB, ...i32Const(SHORTENED_FROM), I32_GE_U];
  const code = [
    ...[...localGet(FROM), ...localSet(AT)],
    ...[...isLong, 0x04, EMPTY, ...shorten(), 0x0b],
    ...whileBelow(AT, wholeSteps, step()),
    ...whileBelow(AT, localGet(TO), byteStep()),
    ...localGet(STATE),
    0x0b,
  ];
  const body = [...vector([[LOCAL_COUNT, I32]]), ...code];
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
