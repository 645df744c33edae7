// Opens the disk that a URL names: login, a look at what kind of unit it is, and the block device.
import type { BlockDeviceView } from "../block-device.ts";
import { connect } from "../connect.ts";
import { formatPortal } from "../errors.ts";
import { inquiry } from "../scsi/inquiry.ts";
import type { IscsiSession } from "../session.ts";
import type { UnitArguments } from "./arguments.ts";
import { loggingIn } from "./explain.ts";
import { deviceTypeName } from "./inquiry-text.ts";

interface OpenDisk {
  readonly session: IscsiSession;
  readonly device: BlockDeviceView;
}

/** Types with blocks that READ(16) reads: disk, optical, simplified disk, zoned disk (SPC-4 table 138). */
const TYPES_WITH_BLOCKS: readonly number[] = [0x00, 0x05, 0x07, 0x0e, 0x14];

/** Logs in for `requests` commands at a time. @throws Error when the unit is no disk, and what `connect` throws. */
export async function openDisk(unit: UnitArguments, requests: number, signal: AbortSignal): Promise<OpenDisk> {
  const session = await loggingIn(unit, connect({ ...unit, maxOutstandingCommands: requests, signal }));
  try {
    const { peripheralDeviceType: type } = await session.executeWithRetry(inquiry(), { signal });
    // Trap: LUN 0 of tgtd and LIO is there for REPORT LUNS only.
    if (!TYPES_WITH_BLOCKS.includes(type)) {
      const kind = type === 0x0c ? "storage controller" : deviceTypeName(type);
      const portal = formatPortal(unit.address, unit.port ?? 3260);
      throw new Error(
        `LUN ${unit.lun} of ${unit.targetName} is no disk but a ${kind}; "node-iscsi ls -s iscsi://${portal}" lists the disks`,
      );
    }
    return { session, device: await session.blockDevice({ signal }) };
  } catch (error) {
    session.destroy();
    throw error;
  }
}
