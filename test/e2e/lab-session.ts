// The lab as an operator has it: started without --once, used by the words it prints, ended by Ctrl-C.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { poll, systemClock } from "../../lib/clock.ts";
import { descendantsOf, namespacesOf, type Process } from "./process-table.ts";
import { Terminal } from "./terminal.ts";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const UP_DEADLINE_MS = 300_000;
/** More than the lab allows its inner process (30 s) before it ends the namespace as a whole. */
const DOWN_DEADLINE_MS = 60_000;
const CLIENT_DEADLINE_MS = 60_000;
const FILE_DEADLINE_MS = 5000;

export interface Folders {
  readonly logs: string;
  readonly state: string;
  readonly disks: string;
  readonly sockets: string;
}

/** `node lab/main.ts ...args`, with TypeScript as npm's scripts run it. */
export function spawnLab(...args: string[]): ChildProcess {
  const node = ["--import", "tsx", "--conditions", "source", "lab/main.ts"];
  return spawn(process.execPath, [...node, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
}

/** Started by `start`; `interrupt` or `kill` ends it. */
export class LabSession {
  /** Each process that was seen under the lab, those that have ended too. */
  readonly seen = new Map<string, Process>();
  /** Each namespace that was seen under the lab and is not ours. */
  readonly namespaces = new Set<string>();
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #words = "";
  #environment: Readonly<Record<string, string>> = {};
  #folders: Folders | undefined;

  private constructor() {
    this.#child = spawnLab();
    this.#ended = new Promise((resolve) => this.#child.once("close", resolve));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#words += text;
      });
    }
  }

  /** Resolves when the rack is up. `home` is the clients' home folder. */
  static async start(home: string): Promise<LabSession> {
    const session = new LabSession();
    try {
      await session.until("the rack to be up", UP_DEADLINE_MS, async () => {
        if (session.#child.exitCode !== null) throw new Error(`the lab ended with ${session.#child.exitCode}`);
        return session.#words.includes("Ctrl-C ends everything.");
      });
      await session.#readExports(home);
    } catch (cause) {
      await session.kill();
      throw new Error(`the lab did not come up:\n${session.#words}`, { cause });
    }
    return session;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Everything the lab has said. */
  get words(): string {
    return this.#words;
  }

  get folders(): Folders {
    if (this.#folders === undefined) throw new TypeError("the lab is not up");
    return this.#folders;
  }

  /** Scheme, address and port of the API. */
  get apiOrigin(): string {
    return new URL(this.#environment["OS_AUTH_URL"]!).origin;
  }

  /** The one line that the lab prints and that begins with `start`, as words for a shell without its specialities. */
  printedCommand(start: string): string[] {
    const lines = this.#words.split("\n").map((line) => line.trim());
    const found = lines.filter((line) => line.startsWith(start));
    if (found.length !== 1) throw new Error(`the lab prints ${found.length} lines that begin with "${start}"`);
    return found[0]!.split(" ");
  }

  /** Runs Debian's `nova` or `openstack` outside of the rack, with the printed exports and nothing else. Gives its output. */
  client(program: "nova" | "openstack", args: readonly string[], deadlineMs = CLIENT_DEADLINE_MS): Promise<string> {
    const options = { env: { ...this.#environment }, timeout: deadlineMs, maxBuffer: 2 ** 24 };
    return output(`/usr/bin/${program}`, args, options);
  }

  /** Runs a command outside of the rack, with the printed exports and nothing else, on a terminal. */
  terminal(command: string): Terminal {
    return new Terminal(command, this.#environment);
  }

  /** Looks at the processes under the lab, and remembers them. */
  async look(): Promise<Process[]> {
    const ours = new Set(await namespacesOf(process.pid));
    const processes = await descendantsOf(this.pid);
    for (const one of processes) {
      this.seen.set(`${one.pid}/${one.startTime}`, one);
      for (const name of await namespacesOf(one.pid)) if (!ours.has(name)) this.namespaces.add(name);
    }
    return processes;
  }

  /** The QEMU process of the machine with this MAC; undefined: its power is off. */
  async qemu(mac: string): Promise<Process | undefined> {
    const isMachine = ({ argv }: Process) => argv[0] === "qemu-system-x86_64" && argv.join(" ").includes(`mac=${mac}`);
    return (await this.look()).find(isMachine);
  }

  /** Polls until `probe` gives true. */
  async until(step: string, deadlineMs: number, probe: () => Promise<boolean>): Promise<void> {
    const tried = async () => ((await probe()) ? true : undefined);
    await poll(tried, { clock: systemClock, step, deadlineMs, intervalMs: 200 });
  }

  /** Ctrl-C. Gives the exit status; rejects if the lab does not end in time. */
  async interrupt(): Promise<number | null> {
    this.#child.kill("SIGINT");
    let status: number | null | undefined;
    void this.#ended.then((value) => {
      status = value;
    });
    await this.until("the lab to end after SIGINT", DOWN_DEADLINE_MS, async () => status !== undefined);
    return status!;
  }

  /** For a test that failed: whatever the state, nothing is left. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    await this.interrupt().catch(async () => {
      // The kernel ends every process of the namespace with `unshare --kill-child`.
      const unshare = (await this.look()).filter(({ argv }) => argv[0] === "unshare");
      for (const { pid } of unshare) process.kill(pid, "SIGKILL");
      this.#child.kill("SIGKILL");
      await this.#ended;
    });
  }

  async #readExports(home: string): Promise<void> {
    const lines = this.#words.split("\n").filter((line) => line.startsWith("  export "));
    const passwordFile = /cat ([^)]+)\)/.exec(lines.join("\n"))?.[1] ?? "";
    // A shell reads them, as the operator's would: they hold a command substitution.
    const script = [...lines, "exec env -0"].join("\n");
    const env = { PATH: "/usr/bin:/bin", HOME: home, LANG: "C.UTF-8" };
    const text = await output("/bin/sh", ["-eu", "-c", script], { env, timeout: FILE_DEADLINE_MS });
    const pairs = text.split("\0").filter((entry) => entry !== "");
    this.#environment = Object.fromEntries(pairs.map((entry) => entry.split(/=(.*)/s).slice(0, 2)));
    const plan = JSON.parse(await readFile(join(dirname(passwordFile), "plan.json"), "utf8"));
    this.#folders = plan.folders as Folders;
  }
}

/** Standard output of a program. @throws Error with both outputs if its status is not 0, or its time ran out */
function output(
  program: string,
  args: readonly string[],
  options: { env: Record<string, string>; timeout: number; maxBuffer?: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const how = error.killed ? `no end after ${options.timeout} ms` : `status ${error.code}`;
      reject(new Error(`${program} ${args.join(" ")}: ${how}\n${stdout}\n${stderr}`));
    });
  });
}
