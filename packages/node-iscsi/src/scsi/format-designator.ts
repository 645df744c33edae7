// Text of a designation descriptor of VPD page 83h (SPC-4 7.8.6), in the forms that udev, multipath and libiscsi print.
import type { Designator } from "./vpd-pages.ts";

const TYPE_NAMES = [
  "vendor",
  "t10",
  "eui",
  "naa",
  "relative-port",
  "target-port-group",
  "logical-unit-group",
  "md5",
  "name",
  "protocol-port",
  "uuid",
];

/**
 * `naa.6001405abc...`, `eui.0002c9...`, `t10.IET     00010001`, an iSCSI name as it stands, or `<type>.<hex or text>`.
 * The text is the same for the same designator and differs between designator types.
 */
export function formatDesignator(designator: Designator): string {
  const { type, identifier } = designator;
  const name = TYPE_NAMES[type] ?? `type-${type}`;
  switch (name) {
    case "t10":
    case "vendor":
      return `${name}.${isText(designator) ? printable(identifier, "latin1") : identifier.toString("hex")}`;
    case "name":
      // A SCSI name string is UTF-8 and names its own format (iqn., eui., naa.); it ends at its first NUL.
      return printable(identifier, "utf8");
    case "relative-port":
    case "target-port-group":
    case "logical-unit-group":
      return identifier.length === 4
        ? `${name}.${identifier.readUInt16BE(2)}`
        : `${name}.${identifier.toString("hex")}`;
    case "uuid":
      return `uuid.${formatUuid(identifier)}`;
    default:
      return `${name}.${identifier.toString("hex")}`;
  }
}

function isText(designator: Designator): boolean {
  return designator.codeSet === 2 || designator.codeSet === 3;
}

/** The text up to its padding; bytes that could disturb a terminal or a log are shown as a question mark. */
function printable(bytes: Buffer, encoding: "latin1" | "utf8"): string {
  const end = bytes.indexOf(0);
  const text = bytes.toString(encoding, 0, end === -1 ? bytes.length : end).trimEnd();
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, "?");
}

/** Type 1 and a reserved byte come before the 16 bytes. */
function formatUuid(identifier: Buffer): string {
  const hex = identifier.toString("hex");
  if (identifier.length !== 18) return hex;
  return [hex.slice(4, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 24), hex.slice(24)].join("-");
}
