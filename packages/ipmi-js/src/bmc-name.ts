// How a BMC is named in errors.

/** The port of RMCP (ASF 2.0, 3.2.3). */
export const DEFAULT_PORT = 623;

/** The name errors give to a BMC: its address, with the port if it is another than 623. */
export function bmcName(address: string, port: number): string {
  if (port === DEFAULT_PORT) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
