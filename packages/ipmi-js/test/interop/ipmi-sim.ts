// Starts a real `ipmi_sim` (OpenIPMI) with a shell script as its machine. Debian package: openipmi.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getChannelAuthenticationCapabilities } from "../../src/sessionless.ts";
import { bindSocket } from "../bind-socket.ts";
import type { BmcUnderTest } from "../contract/bmc-contract.ts";

const ADDRESS = "127.0.0.1";

/** `get power boot`, `set power 1 boot pxe`, `check power`: how ipmi_sim calls its chassis_control program. */
const CHASSIS_SCRIPT = `#!/bin/sh
D=$(dirname "$0")
verb=$1; shift
case $verb in
get) for item in "$@"; do
  case $item in
  power) echo "power:$(cat "$D/power")" ;;
  boot) echo "boot:$(cat "$D/boot")" ;;
  *) echo "$item:" ;;
  esac
done ;;
set) while [ $# -ge 2 ]; do
  case $1 in power | boot) echo "$2" >"$D/$1" ;; esac
  shift 2
done ;;
check) for item in "$@"; do
  case $item in power | boot | reset | shutdown) ;; *) exit 1 ;; esac
done ;;
esac
exit 0
`;

const emulation = (records: string) => `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
${records}mc_enable 0x20
`;

const lanConf = (folder: string, port: number, more: string) => `name "test"
set_working_mc 0x20
  startlan 1
    addr ${ADDRESS} ${port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcde1
  endlan
  chassis_control "${folder}/chassis.sh"
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "admin" "secret" admin 10 none md2 md5 straight
${more}
`;

async function freePort(): Promise<number> {
  const socket = await bindSocket();
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

async function launch(folder: string, port: number): Promise<ChildProcess> {
  const files = ["-c", join(folder, "lan.conf"), "-f", join(folder, "sim.emu"), "-s", join(folder, "state")];
  const child = spawn("ipmi_sim", [...files, "-n"], { stdio: "ignore", cwd: folder });
  try {
    await getChannelAuthenticationCapabilities({ address: ADDRESS, port, deadlineMs: 5000, retransmitMs: 100 });
  } catch (error) {
    await end(child);
    throw error;
  }
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** A running ipmi_sim; its user is admin with the password secret. `more`: further lines of its lan.conf. */
export async function startIpmiSim(more = "", records = ""): Promise<BmcUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "ipmi-sim-"));
  const port = await freePort();
  await mkdir(join(folder, "state"));
  await writeFile(join(folder, "chassis.sh"), CHASSIS_SCRIPT, { mode: 0o755 });
  await writeFile(join(folder, "lan.conf"), lanConf(folder, port, more));
  await writeFile(join(folder, "sim.emu"), emulation(records));
  await writeFile(join(folder, "power"), "0\n");
  await writeFile(join(folder, "boot"), "none\n");
  let child = await launch(folder, port);
  const read = async (name: string) => (await readFile(join(folder, name), "utf8")).trim();
  return {
    address: ADDRESS,
    port,
    user: "admin",
    password: "secret",
    machineIsOn: async () => (await read("power")) === "1",
    bootDevice: () => read("boot"),
    restart: async () => {
      await end(child);
      child = await launch(folder, port);
    },
    close: async () => {
      await end(child);
      await rm(folder, { recursive: true });
    },
  };
}
