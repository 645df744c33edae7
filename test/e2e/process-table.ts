// The computer's processes, namespaces, links and listening sockets as /proc and /sys tell them (proc(5), sysfs(5)):
// what a test compares before, during and after the lab.
import { access, readdir, readFile, readlink } from "node:fs/promises";

/** One process. `pid` and `startTime` together are never used twice. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks since the computer started. */
  readonly startTime: number;
  readonly argv: readonly string[];
}

const NAMESPACES = ["net", "pid", "user"];

/** Every process but the dead ones that nobody has waited for yet. */
export async function readProcesses(): Promise<Process[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const processes = await Promise.all(pids.map(readProcess));
  return processes.filter((one) => one !== undefined);
}

async function readProcess(pid: number): Promise<Process | undefined> {
  const [stat, commandLine] = await Promise.all([read(`/proc/${pid}/stat`), read(`/proc/${pid}/cmdline`)]);
  // The name, second field, is in brackets and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parent] = fields;
  if (state === undefined || parent === undefined || state === "Z" || state === "X") return undefined;
  return { pid, parent: Number(parent), startTime: Number(fields[19]), argv: commandLine.split("\0").slice(0, -1) };
}

/** Children of `root`, their children, and so on; not `root` itself. */
export async function descendantsOf(root: number): Promise<Process[]> {
  const processes = await readProcesses();
  const family = new Set([root]);
  let known = 0;
  while (known !== family.size) {
    known = family.size;
    for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid);
  }
  return processes.filter(({ pid }) => pid !== root && family.has(pid));
}

/** Network, process and user namespace of a process, as `net:[4026532179]`. Empty if it is gone or another user's. */
export async function namespacesOf(pid: number): Promise<string[]> {
  const links = NAMESPACES.map((name) => readlink(`/proc/${pid}/ns/${name}`).catch(() => ""));
  return (await Promise.all(links)).filter((link) => link !== "");
}

/** The bridges and taps of our own network namespace. */
export async function bridgesAndTaps(): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir("/sys/class/net")) {
    const marks = ["bridge", "tun_flags"].map((mark) => exists(`/sys/class/net/${name}/${mark}`));
    if ((await Promise.all(marks)).includes(true)) found.push(name);
  }
  return found;
}

/** Inodes of the IPv4 sockets of our network namespace that listen on `port`. */
export async function listeningSockets(port: number): Promise<string[]> {
  const LISTEN = "0A";
  const sockets = (await read("/proc/net/tcp")).split("\n").map((line) => line.trim().split(/\s+/));
  const onPort = sockets.filter(([, local, , state]) => {
    return state === LISTEN && Number.parseInt(local?.split(":")[1] ?? "", 16) === port;
  });
  return onPort.map((fields) => fields[9] ?? "");
}

/** The pid of the process that traces this thread; 0: none does. */
export async function tracersOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const states = await Promise.all(threads.map((thread) => read(`/proc/${pid}/task/${thread}/status`)));
  // A thread that ended meanwhile has no status.
  return states.filter((text) => text !== "").map((text) => Number(/^TracerPid:\s+(\d+)/m.exec(text)?.[1]));
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A file of /proc; empty if its process has gone. */
async function read(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
