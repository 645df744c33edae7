// Disk images: raw and qcow2, opened or refused, streamed as extents.
export { type Chunk, chunksOf, readChunk } from "./chunks.ts";
export type { ImageExtent, ImageSource } from "./image-source.ts";
export { unacceptable } from "./image-source.ts";
export { type DeployableImage, openImage } from "./open-image.ts";
