// ipmi-js fru: who made the machine, its parts and serial numbers.
import { type FruInventory, readFru } from "../read-fru.ts";
import { noWords, parseWithin } from "./arguments.ts";
import { fleetCommand } from "./fleet-command.ts";
import { formatFields, formatTime, hexByte } from "./output.ts";

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

export const fru = fleetCommand({
  name: "fru",
  summary: "maker, parts and serial numbers",
  help: HELP,
  options: OPTIONS,
  plan(words, { device }) {
    noWords("fru", words);
    const fruDeviceId = parseWithin(device ?? "0", "--device", 0, 254);
    return {
      isLong: true,
      async run({ bmc, longLimits }) {
        const inventory = await readFru(bmc, { ...longLimits, fruDeviceId });
        return { result: { ...inventory }, lines: linesOf(inventory) };
      },
    };
  },
});
