// The rack's network, inside its own network namespace: one bridge, one tap a machine, dnsmasq for DHCP.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./command.ts";
import { Daemon } from "./daemon.ts";

/** Where our services listen, as seen from the machines. */
export const SERVER_ADDRESS = "192.168.250.1";
const BRIDGE = "br0";
const IPV6_PREFIX = "fd00:250::";

/** What a machine is on the network. */
export interface MachineAddress {
  readonly index: number;
  readonly mac: string;
  /** What DHCP will give it. */
  readonly ip: string;
  readonly tap: string;
  /** Its BMC has an address of its own, port 623, as a real one has. */
  readonly bmcAddress: string;
}

/** Addresses of machine `index`, 0 to 99. */
export function machineAddress(index: number): MachineAddress {
  const mac = `52:54:00:ba:fe:${index.toString(16).padStart(2, "0")}`;
  return { index, mac, ip: `192.168.250.${10 + index}`, tap: `tap${index}`, bmcAddress: `127.1.0.${1 + index}` };
}

/** Loopback, bridge and taps. Nothing has to be removed: it all goes with the namespace. */
export async function bringUpNetwork(machines: readonly MachineAddress[]): Promise<void> {
  const commands = [
    "link set lo up",
    `link add ${BRIDGE} type bridge forward_delay 0 mcast_snooping 0`,
    `addr add ${SERVER_ADDRESS}/24 dev ${BRIDGE}`,
    `addr add ${IPV6_PREFIX}1/64 dev ${BRIDGE} nodad`,
    `link set ${BRIDGE} up`,
    ...machines.flatMap(({ tap }) => [`tuntap add ${tap} mode tap`, `link set ${tap} master ${BRIDGE} up`]),
  ];
  for (const command of commands) await run("ip", command.split(" "));
}

/** dnsmasq for addresses and the boot file's name. The files themselves come from our own TFTP server. */
export async function startDhcp(runFolder: string, machines: readonly MachineAddress[]): Promise<Daemon> {
  const configFile = join(runFolder, "dnsmasq.conf");
  const lines = [
    "# Written by the lab of nova-baremetal.",
    "port=0",
    `interface=${BRIDGE}`,
    "bind-interfaces",
    "no-hosts",
    "no-resolv",
    "no-ping",
    "leasefile-ro",
    "log-dhcp",
    "dhcp-range=192.168.250.100,192.168.250.200,255.255.255.0,1h",
    ...machines.map(({ mac, ip }) => `dhcp-host=${mac},${ip}`),
    "# pxelinux.0 is fetched from siaddr; PXE ROMs overlook options that overlap the file name's field.",
    `dhcp-boot=pxelinux.0,,${SERVER_ADDRESS}`,
    "dhcp-no-override",
    "# iPXE's own option 176, no-pxedhcp: without it the ROM waits for a ProxyDHCP server, three seconds in every boot.",
    "dhcp-option-force=encap:175,176,1b",
    "# Debian's iPXE looks for IPv6 routers first and waits 8 to 13 s if none answers.",
    "enable-ra",
    `dhcp-range=${IPV6_PREFIX},ra-only`,
    `ra-param=${BRIDGE},600,0`,
  ];
  await writeFile(configFile, `${lines.join("\n")}\n`);
  // --no-daemon: otherwise dnsmasq drops its group, which a user namespace with one mapped id refuses.
  const dnsmasq = await Daemon.start({
    name: "dnsmasq",
    command: "dnsmasq",
    args: ["--no-daemon", `--conf-file=${configFile}`, "--pid-file="],
    logFile: join(runFolder, "dnsmasq.log"),
  });
  const isUp = async () => ((await dnsmasq.log()).includes("DHCP, IP range") ? true : undefined);
  await dnsmasq.ready(isUp, 10_000);
  return dnsmasq;
}
