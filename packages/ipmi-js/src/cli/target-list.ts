// The BMCs a command is for: what `-H` says, files and standard input included.
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { expandTargets, splitList, type Target } from "./node-range.ts";
import { UsageError } from "./usage-error.ts";

/** BMCs of all `-H`, in their order. `@FILE` and `-` (standard input) hold one or several in a line; `#` begins a remark. @throws UsageError */
export async function readTargets(hosts: readonly string[], defaultPort: number): Promise<Target[]> {
  const items: string[] = [];
  for (const item of hosts.flatMap(splitList)) {
    if (item === "-") items.push(...itemsOf(await text(process.stdin), "standard input"));
    else if (item.startsWith("@")) items.push(...itemsOf(readList(item.slice(1)), item.slice(1)));
    else items.push(item);
  }
  const targets = expandTargets(items, defaultPort);
  if (targets.length > 0) return targets;
  throw new UsageError(
    hosts.length === 0
      ? "no BMC is named; add -H BMCS, such as -H bmc7 or -H bmc[01-40].rack7"
      : `-H ${hosts.join(" ")} names no BMC`,
  );
}

function readList(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`-H @${file} cannot be read (${code}); give a file with a BMC in each line`);
  }
}

/** Items of a file. A line that is wrong is told by its number. */
export function itemsOf(content: string, source: string): string[] {
  return content.split(/\r?\n/).flatMap((line, index) => {
    try {
      const items = splitList(line.replace(/#.*/, ""));
      const nested = items.find((item) => item === "-" || item.startsWith("@"));
      if (nested !== undefined) throw new UsageError(`"${nested}" names another list`);
      return items;
    } catch (error) {
      throw error instanceof UsageError ? new UsageError(`${source}, line ${index + 1}: ${error.message}`) : error;
    }
  });
}
