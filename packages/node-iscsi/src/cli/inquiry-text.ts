// INQUIRY data and vital product data pages as names and values, for people and for JSON.
import { formatDesignator } from "../scsi/format-designator.ts";
import {
  decodeBlockDeviceCharacteristics,
  decodeBlockLimits,
  decodeDeviceIdentification,
  decodeLogicalBlockProvisioning,
  decodeSupportedPages,
  decodeUnitSerialNumber,
  VpdPage,
} from "../scsi/vpd-pages.ts";

/** SPC-4 table 138; what is not listed is shown as its number. */
const DEVICE_TYPES: ReadonlyMap<number, string> = new Map([
  [0x00, "disk"],
  [0x01, "tape"],
  [0x03, "processor"],
  [0x05, "cd/dvd"],
  [0x08, "changer"],
  [0x0c, "controller"],
  [0x0d, "enclosure"],
  [0x0e, "rbc disk"],
  [0x1e, "well known"],
  [0x1f, "none"],
]);

/** Name of a peripheral device type. */
export function deviceTypeName(type: number): string {
  return DEVICE_TYPES.get(type) ?? `type ${hexByte(type)}`;
}

/** `0x0c`. */
export function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}

const PAGE_NAMES: ReadonlyMap<number, string> = new Map([
  [VpdPage.SupportedPages, "supported pages"],
  [VpdPage.UnitSerialNumber, "unit serial number"],
  [VpdPage.DeviceIdentification, "device identification"],
  [0x86, "extended inquiry data"],
  [0x8f, "third-party copy"],
  [VpdPage.BlockLimits, "block limits"],
  [VpdPage.BlockDeviceCharacteristics, "block device characteristics"],
  [VpdPage.LogicalBlockProvisioning, "logical block provisioning"],
]);

/** `0xb0 block limits`. */
export function pageTitle(page: number): string {
  return `${hexByte(page)} ${PAGE_NAMES.get(page) ?? ""}`.trimEnd();
}

const ASSOCIATIONS = ["logical unit", "target port", "target device"] as const;

/** The page as a plain object; a page we have no decoder for as its bytes. @throws ProtocolError when it is too short. */
export function decodePage(page: number, data: Buffer): Record<string, unknown> {
  switch (page) {
    case VpdPage.SupportedPages:
      return { pages: [...decodeSupportedPages(data)].map(pageTitle) };
    case VpdPage.UnitSerialNumber:
      return { serialNumber: decodeUnitSerialNumber(data) };
    case VpdPage.DeviceIdentification:
      return {
        designators: decodeDeviceIdentification(data).map((designator) => ({
          of: ASSOCIATIONS[designator.association] ?? "reserved",
          name: formatDesignator(designator),
          bytes: designator.identifier,
        })),
      };
    case VpdPage.BlockLimits:
      return { ...decodeBlockLimits(data) };
    case VpdPage.BlockDeviceCharacteristics:
      return { ...decodeBlockDeviceCharacteristics(data) };
    case VpdPage.LogicalBlockProvisioning:
      return { ...decodeLogicalBlockProvisioning(data) };
    default:
      return { bytes: data };
  }
}

/** `maximumUnmapLbaCount` as `maximum unmap lba count`. */
function words(name: string): string {
  return name.replace(/[A-Z]+|\d+/g, (part) => ` ${part.toLowerCase()}`);
}

function valueText(value: unknown): string {
  if (value === true) return "yes";
  if (value === false) return "no";
  return Buffer.isBuffer(value) ? value.toString("hex") : String(value);
}

/** Lines for people: one pair a value, a list's items one below the other. */
export function fieldsOf(decoded: object): [name: string, value: string][] {
  return Object.entries(decoded).flatMap(([name, value]): [string, string][] => {
    if (!Array.isArray(value)) return [[words(name), valueText(value)]];
    return value.map((item, index) => [
      index === 0 ? words(name) : "",
      typeof item === "object" ? `${item.name} (${item.of})` : valueText(item),
    ]);
  });
}
