// What a file really is, by its first bytes, so that a "raw" image that is something else is refused by name (S5).

/** Bytes that `recogniseFormat` looks at. */
export const FORMAT_HEAD_BYTES = 40 * 1024;

const SIGNATURES: readonly { readonly name: string; readonly offset: number; readonly bytes: string }[] = [
  { name: "a qcow2 image", offset: 0, bytes: "QFI\xfb\x00\x00\x00\x02" },
  { name: "a qcow2 image", offset: 0, bytes: "QFI\xfb\x00\x00\x00\x03" },
  { name: "a qcow image", offset: 0, bytes: "QFI\xfb" },
  { name: "a QED image", offset: 0, bytes: "QED\0" },
  { name: "a VMDK image", offset: 0, bytes: "KDMV" },
  { name: "a VMDK image", offset: 0, bytes: "COWD" },
  { name: "a VMDK descriptor", offset: 0, bytes: "# Disk DescriptorFile" },
  { name: "a VDI image", offset: 64, bytes: "\x7f\x10\xda\xbe" },
  { name: "a VHD image", offset: 0, bytes: "conectix" },
  { name: "a VHDX image", offset: 0, bytes: "vhdxfile" },
  { name: "a Parallels image", offset: 0, bytes: "WithoutFreeSpace" },
  { name: "a Parallels image", offset: 0, bytes: "WithouFreSpacExt" },
  { name: "a LUKS volume", offset: 0, bytes: "LUKS\xba\xbe" },
  { name: "gzip data", offset: 0, bytes: "\x1f\x8b" },
  { name: "xz data", offset: 0, bytes: "\xfd7zXZ\0" },
  { name: "bzip2 data", offset: 0, bytes: "BZh" },
  { name: "zstd data", offset: 0, bytes: "\x28\xb5\x2f\xfd" },
  { name: "a ZIP archive", offset: 0, bytes: "PK\x03\x04" },
  { name: "a tar archive", offset: 257, bytes: "ustar" },
  { name: "an ISO 9660 image", offset: 32769, bytes: "CD001" },
  { name: "a Linux kernel", offset: 0x202, bytes: "HdrS" },
  { name: "an ELF program", offset: 0, bytes: "\x7fELF" },
];

/** Names a known format that is no raw partition image; undefined if nothing is recognised. */
export function recogniseFormat(head: Buffer): string | undefined {
  const found = SIGNATURES.find(
    ({ offset, bytes }) => head.toString("latin1", offset, offset + bytes.length) === bytes,
  );
  if (found !== undefined) return found.name;
  const start = head.toString("latin1", 0, 512).trimStart().toLowerCase();
  if (/^<(!doctype|html|\?xml)/.test(start)) return "a web page (was the download answered with an error page?)";
  if (head.length > 0 && isText(head.subarray(0, 512)))
    return "text (was the download answered with an error message?)";
  return undefined;
}

/** True if the block ends in 0x55AA and holds at least one partition entry that makes sense. */
export function hasPartitionTable(head: Buffer): boolean {
  if (head.length < 512 || head.readUInt16LE(510) !== 0xaa55) return false;
  return [446, 462, 478, 494].some((at) => {
    const status = head[at];
    return (status === 0 || status === 0x80) && head[at + 4] !== 0 && head.readUInt32LE(at + 12) > 0;
  });
}

function isText(bytes: Buffer): boolean {
  return bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 9 || byte === 10 || byte === 13);
}
