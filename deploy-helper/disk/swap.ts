// The header that mkswap writes: Linux swap version 1 (union swap_header in the kernel's include/linux/swap.h).
import { BaremetalError } from "../../lib/errors.ts";

const PAGE = 4096;
const MIN_PAGES = 10;

/**
 * The first page of a swap partition of `sizeBytes`, with 4 KiB pages.
 * @param uuid 16 bytes
 * @param label at most 16 bytes; the original used `swap1`
 */
export function encodeSwapHeader(sizeBytes: number, uuid: Buffer, label: string): Buffer {
  const pages = Math.floor(sizeBytes / PAGE);
  if (pages < MIN_PAGES)
    throw new BaremetalError("BadInput", `a swap area needs ${MIN_PAGES} pages of ${PAGE} bytes, not ${pages}`);
  const text = Buffer.from(label);
  if (uuid.length !== 16 || text.length > 16) throw new BaremetalError("Internal", "swap: bad uuid or label");
  const page = Buffer.alloc(PAGE);
  page.writeUInt32LE(1, 1024);
  // last_page is an index, and 32 bits: what lies beyond 16 TiB is not used.
  page.writeUInt32LE(Math.min(pages - 1, 0xffffffff), 1028);
  uuid.copy(page, 1036);
  text.copy(page, 1052);
  page.write("SWAPSPACE2", PAGE - 10, "latin1");
  return page;
}
