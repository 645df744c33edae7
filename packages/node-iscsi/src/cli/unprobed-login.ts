// A login that asks no logical unit whether it is ready: for questions a target answers about any LUN, even one that does not exist.
import { FullFeaturePhase } from "../full-feature-phase.ts";
import { openAndLogin } from "../open-and-login.ts";
import { executeWithRetry } from "../retry.ts";
import type { ScsiCommand } from "../scsi/command.ts";
import type { PortalArguments } from "./arguments.ts";

/** Runs a command on a LUN, with the usual retries. */
export type RunOnLun = <T>(command: ScsiCommand<T>, lun: number) => Promise<T>;

const LOGIN_DEADLINE_MS = 15_000;

/** Logs in to `targetName`, hands `work` the means to run commands, and logs out whatever happened. */
export async function withLogin<T>(
  portal: PortalArguments & { readonly targetName: string },
  signal: AbortSignal,
  work: (run: RunOnLun) => Promise<T>,
): Promise<T> {
  const { targetName, deadlineMs = LOGIN_DEADLINE_MS, commandDeadlineMs = 30_000 } = portal;
  const { connection, login } = await openAndLogin({ ...portal, signal }, targetName, deadlineMs);
  const phase = new FullFeaturePhase(connection, login, {
    targetName,
    lun: 0,
    commandDeadlineMs,
    maxOutstandingCommands: 16,
    keepaliveIntervalMs: 0,
    keepaliveDeadlineMs: 5000,
    hooks: {},
  });
  try {
    return await work((command, lun) => executeWithRetry(phase, command, { lun, signal }));
  } finally {
    await phase.logout();
  }
}
