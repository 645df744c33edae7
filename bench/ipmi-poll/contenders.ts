// Who takes part in the IPMI figures: ipmi-js in a process of its own, ipmitool sixteen at a time, and FreeIPMI's ipmipower.
import { fileURLToPath } from "node:url";
import { type MeasuredProcess, measureProcess } from "../measured-process.ts";
import type { Contender } from "../rounds.ts";
import type { Farm } from "./farm.ts";

/** What all runs share. */
export interface Course {
  readonly folder: string;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** `username` and `password` for FreeIPMI's `--config-file`. */
  readonly freeipmiConfig: string;
}

const CLIENT = fileURLToPath(new URL("client.mjs", import.meta.url));
const IPMITOOL_PARALLEL = 16;
/** ipmitool has no cipher suite list to fetch then, and asks for no more privilege than a look needs: its fastest way. */
const IPMITOOL_OPTIONS = "-I lanplus -C 3 -L USER";

interface ClientResult {
  readonly looks: number;
  readonly seconds: number;
  readonly cpuSeconds?: number;
}

export interface ClientJob {
  readonly task: "kept" | "cold" | "once" | "idle";
  /** BMCs, from the farm's first. */
  readonly count: number;
  readonly parallel: number;
  readonly passes?: number;
  readonly idleSeconds?: number;
}

export async function runClient(
  course: Course,
  { plan }: Farm,
  job: ClientJob,
): Promise<MeasuredProcess & { result: ClientResult }> {
  const { firstPort, user, passwordFile } = plan;
  const whole = JSON.stringify({ firstPort, user, passwordFile, ...job });
  const measured = await measureProcess(process.execPath, [CLIENT, whole], course);
  const result = JSON.parse(measured.stdout) as ClientResult;
  if (result.looks !== job.count * (job.passes ?? 1)) throw new Error(`only ${result.looks} looks were made`);
  return { ...measured, result };
}

/** Looks a second: between the first datagram and the last answer of the passes that count. */
export function ours(name: string, course: Course, farm: Farm, job: ClientJob): Contender {
  return {
    name,
    run: async () => {
      const before = await farm.counts();
      const measured = await runClient(course, farm, job);
      const after = await farm.counts();
      if (after.commands - before.commands < measured.result.looks)
        throw new Error("the farm has answered fewer commands than looks were reported");
      return { ...measured, value: measured.result.looks / measured.result.seconds };
    },
  };
}

/** BMCs a second, of the whole run of `xargs -P 16`. */
export function ipmitool(course: Course, { plan }: Farm, count: number): Contender {
  const { firstPort, user, passwordFile } = plan;
  const each = `ipmitool ${IPMITOOL_OPTIONS} -H 127.0.0.1 -p {} -U ${user} -f ${passwordFile} power status`;
  const script = `seq ${firstPort} ${firstPort + count - 1} | xargs -P ${IPMITOOL_PARALLEL} -I{} ${each}`;
  return {
    name: `ipmitool, ${IPMITOOL_PARALLEL} at a time`,
    run: async () => {
      const measured = await measureProcess("sh", ["-c", script], course);
      return { ...measured, value: rate(measured, "Chassis Power is on", count) };
    },
  };
}

/** BMCs a second, of the whole process. */
export function ipmipower(course: Course, { plan }: Farm, count: number, fanout: number): Contender {
  const hosts = Array.from({ length: count }, (_, index) => `127.0.0.1:${plan.firstPort + index}`).join(",");
  const args = ["--config-file", course.freeipmiConfig, "-D", "LAN_2_0", "-I", "3", "-l", "USER"];
  return {
    name: `ipmipower --fanout ${fanout}`,
    run: async () => {
      const measured = await measureProcess(
        "ipmipower",
        [...args, "-F", String(fanout), "-h", hosts, "--stat"],
        course,
      );
      return { ...measured, value: rate(measured, "127.0.0.1: on", count) };
    },
  };
}

/** @throws Error unless `line` came for every BMC: a peer that failed fast must not look fast. */
function rate({ stdout, wallSeconds }: MeasuredProcess, line: string, count: number): number {
  const seen = stdout.split("\n").filter((text) => text === line).length;
  if (seen !== count) throw new Error(`"${line}" came for ${seen} of ${count} BMCs`);
  return count / wallSeconds;
}
