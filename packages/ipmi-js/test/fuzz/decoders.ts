// What every fuzz file of codecs needs: any bytes, the runs, and the promise that decoders throw WireError or nothing.
import fc from "fast-check";
import type { Command } from "../../src/commands/command.ts";
import { WireError } from "../../src/wire/wire-error.ts";

/** Options of fc.assert; FUZZ_RUNS for a longer run. */
export const RUNS = { numRuns: Number(process.env.FUZZ_RUNS ?? 200) };

export const anyBytes = fc.uint8Array({ maxLength: 300, size: "max" }).map((bytes) => Buffer.from(bytes));

export type Decoder = readonly [name: string, decode: (bytes: Buffer) => unknown];

/** Undefined for bytes that make no sense; any other error than that is the test's failure. */
export function unlessWireError<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return undefined;
  }
}

/** One test for each decoder, and for both directions of each command. */
export function itThrowsOnlyWireErrors(
  decoders: readonly Decoder[],
  commands: readonly Command<unknown, unknown>[] = [],
): void {
  const ofCommands = commands.flatMap((command): Decoder[] => [
    [`${command.name} request`, (bytes) => command.decodeRequest(bytes)],
    [`${command.name} response`, (bytes) => command.decodeResponse(bytes)],
  ]);
  for (const [name, decode] of [...decoders, ...ofCommands]) {
    it(`${name} throws WireError or nothing`, () => {
      fc.assert(
        fc.property(anyBytes, (bytes) => void unlessWireError(() => decode(bytes))),
        RUNS,
      );
    });
  }
}
