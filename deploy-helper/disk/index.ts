// What the deploy helper writes to a disk besides the image: partition table, swap, ext, config drive.
export type { AbortableOptions, BlockDevice } from "./block-device.ts";
export { Region } from "./block-device.ts";
export { makeExt, parseExtFormat, randomUuid } from "./ext.ts";
export { FILESYSTEM_HEAD_BYTES, type FilesystemIdentity, identifyFilesystem } from "./filesystem-uuid.ts";
export { encodeIso } from "./iso.ts";
export { decodeMbr, encodeMbr, MIB, type Partition, planPartitions } from "./mbr.ts";
export { encodeSwapHeader } from "./swap.ts";
export { WriteWindow } from "./write-window.ts";
export { zeroRange } from "./zero-range.ts";
