// CRC32C, the digest of RFC 7143 13.1 (Castagnoli polynomial 11EDC6F41h, reflected): a WebAssembly kernel, and tables in JavaScript for headers.
import { assembleCrc32cModule, type Crc32cKernel, INPUT_AT, INPUT_BYTES, TABLE_COUNT } from "./crc32c-wasm.ts";

/** The polynomial 1EDC6F41h with its bits reversed. */
const POLYNOMIAL = 0x82f63b78;

/**
 * TABLES[256 * k + b]: remainder of byte b followed by k zero bytes. One table for each byte of a 16-byte step, so that all
 * look-ups of a step are independent of each other ("slicing"). Zeros until {@link start}.
 */
const TABLES = new Uint32Array(TABLE_COUNT * 256);

function fillTables(tables: Uint32Array): void {
  for (let byte = 0; byte < 256; byte += 1) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit += 1) remainder = (remainder >>> 1) ^ ((remainder & 1) === 0 ? 0 : POLYNOMIAL);
    tables[byte] = remainder;
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = tables[at - 256] ?? 0;
    tables[at] = (before >>> 8) ^ (tables[before & 0xff] ?? 0);
  }
}

/** Below this a call into WebAssembly and the copy into its memory cost more than the tables in JavaScript. */
const SMALL_BYTES = 128;

interface Kernel {
  readonly input: Uint8Array;
  readonly update: Crc32cKernel;
}

let isStarted = false;
let kernel: Kernel | undefined;

/** At the first digest, not at import: most programs never see one. */
function start(): void {
  fillTables(TABLES);
  kernel = startKernel();
  isStarted = true;
}

/** The part of the engine's WebAssembly that is used here; Node's type declarations leave it to the DOM's. */
interface WebAssemblyEngine {
  readonly validate: (bytes: Uint8Array) => boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: { readonly memory: { readonly buffer: ArrayBuffer }; readonly update: Crc32cKernel };
  };
}

/** Undefined where the engine has no WebAssembly (`node --jitless`) or no vectors: digests then are slower, not impossible. */
function startKernel(): Kernel | undefined {
  const engine = (globalThis as { WebAssembly?: WebAssemblyEngine }).WebAssembly;
  const bytes = assembleCrc32cModule();
  if (engine?.validate(bytes) !== true) return undefined;
  const { memory, update } = new engine.Instance(new engine.Module(bytes)).exports;
  new Uint32Array(memory.buffer).set(TABLES);
  return { input: new Uint8Array(memory.buffer, INPUT_AT, INPUT_BYTES), update };
}

/**
 * CRC32C of `data`, finalised: of "123456789" it is E3069283h. On the wire a digest is this number, least significant byte first.
 * @param crc the value of the bytes before `data`, for computing piece by piece
 */
export function crc32c(data: Uint8Array, crc = 0): number {
  if (!isStarted) start();
  const state = ~crc;
  return (
    ~(data.length < SMALL_BYTES || kernel === undefined
      ? updateSmall(data, state)
      : updateLarge(data, state, kernel)) >>> 0
  );
}

function updateLarge(data: Uint8Array, initial: number, { input, update }: Kernel): number {
  const { length } = data;
  if (length <= INPUT_BYTES) {
    input.set(data);
    return update(initial, INPUT_AT, INPUT_AT + length);
  }
  let state = initial;
  for (let at = 0; at < length; at += INPUT_BYTES) {
    const piece = data.subarray(at, at + INPUT_BYTES);
    input.set(piece);
    state = update(state, INPUT_AT, INPUT_AT + piece.length);
  }
  return state;
}

/** Eight bytes a step. A 48-byte header takes six steps. */
function updateSmall(data: Uint8Array, initial: number): number {
  const { length } = data;
  let state = initial;
  let at = 0;
  for (; at + 8 <= length; at += 8)
    state =
      entry(1792 + ((state ^ byteAt(data, at)) & 0xff)) ^
      entry(1536 + (((state >>> 8) ^ byteAt(data, at + 1)) & 0xff)) ^
      entry(1280 + (((state >>> 16) ^ byteAt(data, at + 2)) & 0xff)) ^
      entry(1024 + ((state >>> 24) ^ byteAt(data, at + 3))) ^
      entry(768 + byteAt(data, at + 4)) ^
      entry(512 + byteAt(data, at + 5)) ^
      entry(256 + byteAt(data, at + 6)) ^
      entry(byteAt(data, at + 7));
  for (; at < length; at += 1) state = (state >>> 8) ^ entry((state ^ byteAt(data, at)) & 0xff);
  return state;
}

// Trap: `?? 0` here would cost a third of the speed; all indices are in range by construction.
const entry = (index: number) => TABLES[index] as number;
const byteAt = (data: Uint8Array, index: number) => data[index] as number;
