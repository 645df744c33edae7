// Requests that could not be put into a PDU, refused before they take up a CmdSN or a tag.
import { type ErrorContext, InvalidArgumentError } from "./errors.ts";
import { MAX_LUN } from "./pdu/header.ts";

/** The sizes of a SCSI command. */
interface RequestSizes {
  readonly cdb: Buffer;
  readonly dataOut?: Buffer;
  readonly dataIn?: Buffer;
}

const MIN_CDB_BYTES = 6;
/** RFC 7143 11.3.5: longer CDBs need an additional header segment, which we do not send. */
const MAX_CDB_BYTES = 16;
const MAX_DATA_BYTES = 0xffffffff;

export function illegalLun(lun: number, context: ErrorContext): InvalidArgumentError | undefined {
  if (Number.isInteger(lun) && lun >= 0 && lun <= MAX_LUN) return undefined;
  return new InvalidArgumentError(`logical unit number ${lun} is not in 0..${MAX_LUN}`, context);
}

export function illegalRequest(
  command: RequestSizes,
  lun: number,
  deadlineMs: number,
  context: ErrorContext,
): InvalidArgumentError | undefined {
  const { length } = command.cdb;
  if (length < MIN_CDB_BYTES || length > MAX_CDB_BYTES)
    return new InvalidArgumentError(
      `a CDB of ${length} bytes; ${MIN_CDB_BYTES} to ${MAX_CDB_BYTES} can be sent`,
      context,
    );
  const dataBytes = Math.max(command.dataOut?.length ?? 0, command.dataIn?.length ?? 0);
  if (dataBytes > MAX_DATA_BYTES)
    return new InvalidArgumentError(`${dataBytes} bytes in one command; 4 GiB - 1 can be sent`, context);
  // It would compare with nothing, and the command never end.
  if (Number.isNaN(deadlineMs))
    return new InvalidArgumentError("deadlineMs is NaN; it takes a number of milliseconds", context);
  return illegalLun(lun, context);
}
