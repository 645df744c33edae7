// How bulk data is cut up: measured with `npm run bench -- iscsi-write` against tgtd.

/**
 * Longest data of one command, and of one Data-In (MaxRecvDataSegmentLength, RFC 7143 13.12). At 1 MiB a read costs us a third more
 * processor time; at 4 MiB hardly less, and what waits behind such a command waits twice as long.
 */
export const MAX_COMMAND_BYTES = 2 * 1024 * 1024;

/** Commands of {@link MAX_COMMAND_BYTES} that keep a target busy: more wait there, and their buffers push each other out of the cache. */
export const BULK_COMMANDS_IN_FLIGHT = 3;
