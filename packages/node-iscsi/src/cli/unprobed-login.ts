// A login that asks no logical unit whether it is ready: for questions a target answers about any LUN, even one that does not exist.
import { connect } from "../connect.ts";
import type { ScsiCommand } from "../scsi/command.ts";
import type { PortalArguments } from "./arguments.ts";
import { loggingIn } from "./explain.ts";

/** Runs a command on a LUN, with the usual retries. */
export type RunOnLun = <T>(command: ScsiCommand<T>, lun: number) => Promise<T>;

/** Logs in to `targetName`, hands `work` the means to run commands, and logs out whatever happened. */
export async function withLogin<T>(
  portal: PortalArguments & { readonly targetName: string },
  signal: AbortSignal,
  work: (run: RunOnLun) => Promise<T>,
): Promise<T> {
  const session = await loggingIn(portal, connect({ ...portal, signal, probe: false, recovery: false }));
  try {
    return await work((command, lun) => session.executeWithRetry(command, { lun, signal }));
  } finally {
    await session.logout();
  }
}
