// The node's disk over iSCSI: node-iscsi behind the small interface that a deployment needs.
import { connect, type IscsiSession, TransportError } from "node-iscsi";
import type { Clock } from "../lib/clock.ts";
import type { BlockDevice } from "./disk/index.ts";

/** Where a deploy ramdisk exports its disk. */
export interface DiskAddress {
  readonly address: string;
  readonly port: number;
  readonly lun: number;
  readonly iqn: string;
}

/** A logged-in disk. */
export interface DiskSession {
  /** Reads the disk's size; to be called once. */
  open(signal: AbortSignal): Promise<BlockDevice>;
  logout(): Promise<void>;
  /** Cuts the connection at once: nothing more is written. Harmless when logged out. */
  destroy(): void;
}

/** Logs in to a node's disk. */
export type OpenDisk = (
  disk: DiskAddress,
  options: { deadlineMs: number; clock: Clock; signal: AbortSignal },
) => Promise<DiskSession>;

const PAUSE_MS = 500;

/** Logs in with node-iscsi. A refused connection is tried again until the deadline: the target may just be starting. */
export const openIscsiDisk: OpenDisk = async (disk, { deadlineMs, clock, signal }) => {
  const end = clock.now() + deadlineMs;
  for (;;) {
    try {
      const session = await connect({
        address: disk.address,
        port: disk.port,
        targetName: disk.iqn,
        lun: disk.lun,
        deadlineMs: Math.max(1000, end - clock.now()),
        signal,
      });
      return wrap(session);
    } catch (error) {
      if (!(error instanceof TransportError) || clock.now() + PAUSE_MS >= end) throw error;
    }
    await clock.sleep(PAUSE_MS, signal);
  }
};

function wrap(session: IscsiSession): DiskSession {
  return {
    open: (signal) => session.blockDevice({ signal }),
    logout: () => session.logout(),
    destroy: () => session.destroy(),
  };
}
