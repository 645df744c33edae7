// ipmi-js fru: who made the machine, its parts and serial numbers.
import { type FruInventory, readFru } from "../read-fru.ts";
import { type CliCommand, noWords, parseCommand } from "./arguments.ts";
import { runFleet } from "./fleet.ts";
import { formatFields, formatTime, hexByte } from "./output.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js fru: who made the machine, its parts and serial numbers (FRU inventory).

Usage: ipmi-js fru [--device N] -H BMCS [options]

      --device N   another FRU device than 0, the machine's own`;

const OPTIONS = { device: { type: "string" } } as const;

function fieldsOf({ chassis, board, product }: FruInventory): (readonly [string, string | undefined])[] {
  const made = board?.manufacturedAt;
  return [
    ["product", [product?.manufacturer, product?.productName].filter(Boolean).join(" ")],
    ["product part", product?.partNumber],
    ["product version", product?.version],
    ["product serial", product?.serialNumber],
    ["asset tag", product?.assetTag],
    ["product, more", product?.custom.join(", ")],
    ["board", [board?.manufacturer, board?.productName].filter(Boolean).join(" ")],
    ["board part", board?.partNumber],
    ["board serial", board?.serialNumber],
    ["board made", made === undefined ? undefined : formatTime(made)],
    ["board, more", board?.custom.join(", ")],
    ["chassis type", chassis === undefined ? undefined : hexByte(chassis.chassisType)],
    ["chassis part", chassis?.partNumber],
    ["chassis serial", chassis?.serialNumber],
    ["chassis, more", chassis?.custom.join(", ")],
  ];
}

function linesOf(inventory: FruInventory): string[] {
  const problems = inventory.problems.map((problem) => ["PROBLEM", problem] as const);
  const lines = formatFields([...fieldsOf(inventory), ...problems]);
  return lines.length === 0 ? ["the inventory is empty"] : lines;
}

function deviceOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const id = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (!(id <= 254)) throw new UsageError(`--device takes a number from 0 to 254, not ${text}`);
  return id;
}

export const fru: CliCommand = {
  name: "fru",
  summary: "maker, parts and serial numbers",
  help: HELP,
  run: async (args, signal) => {
    const { values, positionals } = parseCommand(args, OPTIONS);
    noWords("fru", positionals);
    const fruDeviceId = deviceOf(values.device);
    return runFleet(
      "fru",
      values,
      {
        isLong: true,
        async run({ bmc, longLimits }) {
          const inventory = await readFru(bmc, { ...longLimits, fruDeviceId });
          return { result: { ...inventory }, lines: linesOf(inventory) };
        },
      },
      signal,
    );
  },
};
