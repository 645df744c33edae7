// Runs the command line tools of other IPMI implementations. Debian packages: ipmitool, freeipmi-tools.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { CREDENTIALS } from "../simulated-machine.ts";

export interface ToolRun {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a tool to its end; a missing one is status -1 and says so in `stderr`. */
export function runTool(tool: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<ToolRun> {
  const env = { ...process.env, IPMI_PASSWORD: CREDENTIALS.password, TZ: "UTC", LC_ALL: "C", ...more };
  return new Promise((resolve) => {
    execFile(tool, args, { env, timeout: 15_000 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ status, stdout, stderr: status === -1 ? `${error?.message}\n${stderr}` : stderr });
    });
  });
}

/** How ipmitool logs in at `port`; the password goes by the environment, never by argv. */
export const ipmitoolLogin = (port: number): readonly string[] => [
  ...["-H", "127.0.0.1", "-p", String(port), "-U", CREDENTIALS.user, "-E"],
];

/** `ipmitool -I lanplus`. */
export function ipmitool(port: number, suite: number, ...words: string[]): Promise<ToolRun> {
  return runTool("ipmitool", ["-I", "lanplus", "-C", String(suite), ...ipmitoolLogin(port), ...words]);
}

/** FreeIPMI's tools; the password goes by a configuration file, never by argv. */
export class FreeIpmi {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<FreeIpmi> {
    const folder = await mkdtemp(join(tmpdir(), "freeipmi-"));
    const { user, password } = CREDENTIALS;
    await writeFile(join(folder, "freeipmi.conf"), `username ${user}\npassword ${password}\n`, { mode: 0o600 });
    return new FreeIpmi(folder);
  }

  /** What the tool printed; it must succeed, and not complain. */
  async run(port: number, tool: string, ...words: string[]): Promise<string> {
    const login = [`--config-file=${join(this.folder, "freeipmi.conf")}`, "-l", "admin"];
    const { status, stdout, stderr } = await runTool(tool, [
      ...login,
      ...["-D", "LAN_2_0", "-h", `127.0.0.1:${port}`],
      ...words,
    ]);
    expect(stderr.replaceAll(/Caching SDR re.*/g, "").trim(), tool).to.equal("");
    expect(status, tool).to.equal(0);
    return stdout;
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }
}

/** The lines of a tool's table, each cut at `|`. */
export function tableOf(text: string): string[][] {
  const lines = text.split("\n").filter((line) => line.includes("|"));
  return lines.map((line) => line.split("|").map((cell) => cell.trim()));
}

/** `Name : value` lines. */
export function fieldsOf(text: string): Map<string, string> {
  const pairs = text.split("\n").map((line) => /^\s*(.+?)\s*: (.*)$/.exec(line));
  return new Map(pairs.flatMap((match) => (match ? [[match[1] ?? "", (match[2] ?? "").trim()]] : [])));
}
