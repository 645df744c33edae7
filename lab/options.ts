// The lab's command line.
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { BaremetalError } from "../lib/errors.ts";

export interface LabOptions {
  /** Deploy, check, delete, tear down, print one JSON line. */
  readonly isOnce: boolean;
  readonly nodes: number;
  /** A partition image to deploy instead of the lab's tenant. */
  readonly image: string | undefined;
  readonly keepDisks: boolean;
  readonly verbose: boolean;
  readonly db: "sqlite" | "mysql";
  /** Run the services from their TypeScript sources instead of dist/. */
  readonly fromSource: boolean;
}

export const USAGE = `npm run lab -- [options]

A rack of virtual machines on this computer, with real firmware, PXE, IPMI, iSCSI and our services. It needs no root.

  --once          deploy, check, delete, tear down; exit 0 or 1 with one JSON line on standard output
  --nodes N       how many machines, all deployed at the same time (default 1, at most 16)
  --image FILE    deploy this partition image (qcow2 or raw; a Linux root with /sbin/init) instead of the lab's own
  --db KIND       sqlite (default) or mysql (a private MariaDB)
  --keep-disks    leave the machines' disks in .lab/disks, and start from those that are there
  --from-source   run the services from their sources instead of dist/
  --verbose       more words
  --help          this text
`;

const MAX_NODES = 16;

/**
 * Reads the arguments; undefined: --help was asked for.
 * @throws BaremetalError `BadInput` with the fix
 */
export function parseLabOptions(args: readonly string[]): LabOptions | undefined {
  let values: ReturnType<typeof readArguments>;
  try {
    values = readArguments(args);
  } catch (cause) {
    throw new BaremetalError("BadInput", cause instanceof Error ? cause.message : String(cause), { cause });
  }
  if (values.help) return undefined;
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES) {
    throw new BaremetalError("BadInput", `--nodes ${values.nodes}: give a number from 1 to ${MAX_NODES}`);
  }
  if (values.db !== "sqlite" && values.db !== "mysql") {
    throw new BaremetalError("BadInput", `--db ${values.db}: give sqlite or mysql`);
  }
  return {
    isOnce: values.once,
    nodes,
    image: values.image === undefined ? undefined : resolve(values.image),
    keepDisks: values["keep-disks"],
    verbose: values.verbose,
    db: values.db,
    fromSource: values["from-source"],
  };
}

function readArguments(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      once: { type: "boolean", default: false },
      nodes: { type: "string", default: "1" },
      image: { type: "string" },
      "keep-disks": { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
      db: { type: "string", default: "sqlite" },
      "from-source": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  }).values;
}
