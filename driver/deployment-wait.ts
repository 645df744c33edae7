// Waiting for the deploy helper: reads the deployment's row until it says how the deployment went.
import type { DeploymentRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";

export interface DeploymentReader {
  get(id: number): Promise<DeploymentRecord | undefined>;
}

export interface WaitOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** From `startedAt`; a wait without an end is a machine that nobody looks at. */
  readonly deadlineMs: number;
  /** Milliseconds since the epoch: when the power went on (or, after a restart, when the row was last `prepared`). */
  readonly startedAt: number;
  readonly signal?: AbortSignal;
}

/**
 * Resolves with the row once the helper wrote `deploy complete`.
 * @throws BaremetalError `DeployFailed` with the helper's or the ramdisk's text, `DeadlineExceeded` with what was last
 * seen of the node, `Conflict` if the row is gone
 */
export async function waitForDeployment(
  reader: DeploymentReader,
  id: number,
  options: WaitOptions,
): Promise<DeploymentRecord> {
  for (;;) {
    const row = await readPatiently(reader, id, options);
    if (row === undefined) {
      throw new BaremetalError("Conflict", `deployment ${id} was removed while its instance waited for it`, {
        data: { id },
      });
    }
    const { instanceUuid } = row;
    if (row.state === "deploy complete" || row.state === "active") return row;
    if (row.state === "failed" || row.state === "cancelled") {
      // An image that one helper refuses is refused by all: the caller must not try it on the next machine.
      const code = row.result.errorCode === "ImageUnacceptable" ? "ImageUnacceptable" : "DeployFailed";
      throw new BaremetalError(code, `PXE deploy failed for instance ${instanceUuid}: ${row.error ?? row.state}`, {
        data: { step: row.step, instanceUuid },
      });
    }
    if (options.clock.now() > options.startedAt + options.deadlineMs) {
      throw new BaremetalError(
        "DeadlineExceeded",
        `Timeout reached while waiting for PXE deploy of instance ${instanceUuid}: ${lastSeen(row)}`,
        { data: { step: row.step ?? row.state, deadlineMs: options.deadlineMs, instanceUuid } },
      );
    }
    await options.clock.sleep(options.intervalMs, options.signal);
  }
}

/** A database that is away for a while must not tear down a machine that is being written well. */
async function readPatiently(
  reader: DeploymentReader,
  id: number,
  options: WaitOptions,
): Promise<DeploymentRecord | undefined> {
  for (;;) {
    try {
      return await reader.get(id);
    } catch (error) {
      if (options.clock.now() > options.startedAt + options.deadlineMs) throw error;
    }
    await options.clock.sleep(options.intervalMs, options.signal);
  }
}

function lastSeen(row: DeploymentRecord): string {
  if (row.state === "prepared") {
    return "the node was powered on, but its deploy ramdisk never called the deploy helper; look at the node's console, at DHCP and at TFTP";
  }
  if (row.state === "queued") {
    return "the ramdisk called, but no deploy helper took the job; is baremetal-deploy-helper running, and are its workers busy?";
  }
  return `the deploy helper was at "${row.step ?? row.state}", ${row.bytesDone} of ${row.bytesTotal} bytes`;
}
