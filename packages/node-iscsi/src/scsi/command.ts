// What a SCSI command is to the session: a CDB, at most one data buffer per direction, and a decoder of the answer.

/** One SCSI command. Either `dataOut` or `dataIn` may be set, never both (no bidirectional commands). */
export interface ScsiCommand<T> {
  /** The standard's name, such as `WRITE(16)`; appears in errors. */
  readonly name: string;
  /** Command descriptor block, 6 to 16 bytes. */
  readonly cdb: Buffer;
  /**
   * May be sent again when it is not known whether it was executed: doing it twice leaves the same medium and the same state as
   * doing it once. Not set where a second execution could fail or could undo another initiator's work (COMPARE AND WRITE,
   * PERSISTENT RESERVE OUT, FORMAT UNIT, SANITIZE, START STOP UNIT, REQUEST SENSE).
   */
  readonly isIdempotent?: boolean;
  /** Sent without copying: must not change until the command has settled. */
  readonly dataOut?: Buffer;
  /** GOOD with a residual is a success all the same. For commands that promise nothing; a write never is one. */
  readonly ignoresResidual?: boolean;
  /** Filled in place. */
  readonly dataIn?: Buffer;
  /** Expected Data Transfer Length (RFC 7143 11.3.4) of a command that reads; default: the length of `dataIn`, beyond which no byte may come. */
  readonly expectedDataInBytes?: number;
  /** Turns the received part of `dataIn` into the result. @throws ProtocolError when it is too short. */
  decode(data: Buffer): T;
}

/** Runs a command with the usual retries. */
export type RunCommand = <T>(command: ScsiCommand<T>) => Promise<T>;

/** Decoder of commands that return no data. */
export function noResult(): void {}
