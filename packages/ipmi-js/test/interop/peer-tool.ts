// Runs the command line tools of other IPMI implementations. Debian packages: ipmitool, freeipmi-tools.
import { execFile } from "node:child_process";
import { CREDENTIALS } from "../simulated-machine.ts";

export interface ToolRun {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a tool to its end; a missing one is status -1 and says so in `stderr`. */
export function runTool(tool: string, args: readonly string[]): Promise<ToolRun> {
  const env = { ...process.env, IPMI_PASSWORD: CREDENTIALS.password, TZ: "UTC", LC_ALL: "C" };
  return new Promise((resolve) => {
    execFile(tool, args, { env, timeout: 15_000 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ status, stdout, stderr: status === -1 ? `${error?.message}\n${stderr}` : stderr });
    });
  });
}

/** `ipmitool -I lanplus`; the password goes by the environment, never by argv. */
export function ipmitool(port: number, suite: number, ...words: string[]): Promise<ToolRun> {
  const { user } = CREDENTIALS;
  const session = ["-I", "lanplus", "-C", String(suite), "-H", "127.0.0.1", "-p", String(port), "-U", user, "-E"];
  return runTool("ipmitool", [...session, ...words]);
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
