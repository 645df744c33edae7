// What the rack's logs say, line by line: dnsmasq's, our TFTP server's, and a machine's serial console. Pure.

/** One thing seen of a machine. */
export type Observation =
  | { readonly kind: "power"; readonly isOn: boolean }
  | { readonly kind: "firmware" }
  | { readonly kind: "dhcp"; readonly ip: string }
  | { readonly kind: "tftp"; readonly file: string; readonly bytes: number; readonly durationMs: number }
  | { readonly kind: "ramdisk"; readonly text: string }
  | { readonly kind: "tenant"; readonly text: string }
  | { readonly kind: "marker"; readonly marker: TenantMarker };

/** What the tenant says of itself on the console. */
export interface TenantMarker {
  readonly hostname: string;
  /** SHA-256 of the line in its authorized_keys; `-`: none. */
  readonly key: string;
  readonly root: string;
  readonly uuid: string;
  readonly instance: string;
  readonly line: string;
}

/** `DHCPACK(br0) 192.168.250.10 52:54:00:ba:fe:00` in dnsmasq's log. */
export function parseDhcpLine(line: string): { mac: string; ip: string } | undefined {
  const match = /DHCPACK\([^)]*\) ([0-9.]+) ((?:[0-9a-f]{2}:){5}[0-9a-f]{2})/.exec(line);
  const [, ip, mac] = match ?? [];
  return ip === undefined || mac === undefined ? undefined : { ip, mac };
}

/** A finished transfer in baremetal-tftp's log, which is JSON. */
export function parseTftpLine(
  line: string,
): { ip: string; file: string; bytes: number; durationMs: number } | undefined {
  if (!line.includes('"tftp end"')) return undefined;
  try {
    const record = JSON.parse(line) as Record<string, unknown> & { peer?: { address?: unknown } };
    const { file, bytes, durationMs } = record;
    const ip = record.peer?.address;
    if (typeof ip !== "string" || typeof file !== "string" || typeof bytes !== "number") return undefined;
    return { ip, file, bytes, durationMs: typeof durationMs === "number" ? durationMs : 0 };
  } catch {
    return undefined;
  }
}

/** A line of the serial console that means something to us. */
export function parseConsoleLine(line: string): Observation | undefined {
  if (line.includes("SeaBIOS (version")) return { kind: "firmware" };
  const marker = parseMarker(line);
  if (marker) return { kind: "marker", marker };
  const said = /(DEPLOY|TENANT): (.*)/.exec(line);
  if (said?.[1] === undefined || said[2] === undefined) return undefined;
  return { kind: said[1] === "DEPLOY" ? "ramdisk" : "tenant", text: said[2] };
}

/** `TENANT-MARKER hostname=h key=k root=/dev/vda1 uuid=u instance=i`. */
export function parseMarker(line: string): TenantMarker | undefined {
  const at = line.indexOf("TENANT-MARKER ");
  if (at < 0) return undefined;
  const text = line.slice(at).trimEnd();
  const values = new Map(
    text
      .split(" ")
      .slice(1)
      .map((word) => {
        const equals = word.indexOf("=");
        return [word.slice(0, equals), word.slice(equals + 1)];
      }),
  );
  const field = (name: string) => values.get(name) ?? "-";
  const [hostname, key, root] = [field("hostname"), field("key"), field("root")];
  return { hostname, key, root, uuid: field("uuid"), instance: field("instance"), line: text };
}
