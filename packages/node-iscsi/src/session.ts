// IscsiSession: full feature phase plus the commands and views a caller wants at hand.
import { BlockDeviceView } from "./block-device.ts";
import { FullFeaturePhase } from "./full-feature-phase.ts";
import { executeWithRetry } from "./retry.ts";
import type { ScsiCommand } from "./scsi/command.ts";
import { type InquiryData, inquiry } from "./scsi/inquiry.ts";
import { type Capacity, readCapacity10, readCapacity16 } from "./scsi/read-capacity.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";
import type { ExecuteOptions } from "./session-options.ts";

/** A session with one logical unit in view; made by `connect`. */
export class IscsiSession extends FullFeaturePhase {
  /** {@link execute}, repeated within the deadline after UNIT ATTENTION, BUSY and TASK SET FULL. */
  executeWithRetry<T>(command: ScsiCommand<T>, options: ExecuteOptions = {}): Promise<T> {
    return executeWithRetry(this, command, options);
  }

  testUnitReady(options?: ExecuteOptions): Promise<void> {
    return this.executeWithRetry(testUnitReady(), options);
  }

  inquiry(options?: ExecuteOptions): Promise<InquiryData> {
    return this.executeWithRetry(inquiry(), options);
  }

  readCapacity10(options?: ExecuteOptions): Promise<Capacity> {
    return this.executeWithRetry(readCapacity10(), options);
  }

  readCapacity16(options?: ExecuteOptions): Promise<Capacity> {
    return this.executeWithRetry(readCapacity16(), options);
  }

  /** The session's LUN as bytes; asks the target for capacity and limits first. */
  blockDevice(options: { signal?: AbortSignal } = {}): Promise<BlockDeviceView> {
    return BlockDeviceView.open(this, options);
  }
}
