// Names for the manufacturer ids that BMCs of servers have (IANA enterprise numbers); others are shown as their number.

const VENDORS: ReadonlyMap<number, string> = new Map([
  [0, "unspecified"],
  [2, "IBM"],
  [11, "HP"],
  [42, "Sun"],
  [111, "Oracle"],
  [343, "Intel"],
  [674, "Dell"],
  [2011, "Huawei"],
  [5771, "Cisco"],
  [7244, "Quanta"],
  [10368, "Fujitsu"],
  [10876, "Supermicro"],
  [19046, "Lenovo"],
  [20301, "IBM eServer X"],
  [37945, "Inspur"],
  [47196, "HPE"],
  [47488, "Supermicro"],
]);

/** `Dell (674)`, or `674`. */
export function vendorName(manufacturerId: number): string {
  const name = VENDORS.get(manufacturerId);
  return name === undefined ? String(manufacturerId) : `${name} (${manufacturerId})`;
}
