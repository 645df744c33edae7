// Entry of the node-iscsi command: finds the subcommand, explains errors in one line, turns Ctrl-C into an orderly end.
import { InvalidArgumentError } from "../errors.ts";
import { type CliCommand, COMMON_HELP, UsageError } from "./arguments.ts";
import { dd } from "./dd.ts";
import { inq } from "./inq.ts";
import { ls } from "./ls.ts";
import { note, print } from "./output.ts";
import { perf } from "./perf.ts";

const COMMANDS: readonly CliCommand[] = [ls, inq, dd, perf];

/** Exit status of a shell's command that SIGINT ended. */
const INTERRUPTED = 130;

const OVERVIEW = `node-iscsi: iSCSI from the command line, without root and without a kernel module.

Usage: node-iscsi COMMAND ...

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(6)}${summary}`).join("\n")}

A disk is named by a URL: iscsi://[user@]host[:port]/target-name/lun
Begin with "node-iscsi ls -s iscsi://host"; "node-iscsi COMMAND --help" explains each.`;

/** Runs the command line `args`; resolves with the exit status. Never throws. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    if (name !== undefined) print(OVERVIEW);
    else process.stderr.write(`${OVERVIEW}\n`);
    return name === undefined ? 2 : 0;
  }
  const command = COMMANDS.find((each) => each.name === name);
  if (command === undefined) {
    note(`node-iscsi: there is no command ${name}; one of ${COMMANDS.map((each) => each.name).join(", ")}`);
    return 2;
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    print(`${command.help}\n\n${COMMON_HELP}`);
    return 0;
  }
  return runCommand(command, rest);
}

async function runCommand(command: CliCommand, args: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    // The second one does not wait for the target any more.
    if (interrupt.signal.aborted) process.exit(INTERRUPTED);
    interrupt.abort(new Error(`interrupted by ${signal}`));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // `node-iscsi ls ... | head -1`: nobody reads on, and that is no failure of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") interrupt.abort(error);
    else note(`node-iscsi ${command.name}: writing to stdout failed: ${error.message}`);
  });
  try {
    return await command.run(args, interrupt.signal);
  } catch (error) {
    const isUsage = error instanceof UsageError || error instanceof InvalidArgumentError;
    if (interrupt.signal.aborted) {
      note(`node-iscsi ${command.name}: ${interrupt.signal.reason.message}`);
      return INTERRUPTED;
    }
    const message = error instanceof Error ? error.message : String(error);
    note(`node-iscsi ${command.name}: ${message}${isUsage ? ` (see node-iscsi ${command.name} --help)` : hint(error)}`);
    return isUsage ? 2 : 1;
  } finally {
    process.removeListener("SIGINT", onSignal);
    process.removeListener("SIGTERM", onSignal);
  }
}

/** What to try next, where that is known. */
function hint(error: unknown): string {
  const code = String((error as { code?: unknown }).code);
  const reason = error instanceof Error ? error.message : "";
  if (code === "Login" && (error as { statusClass?: number }).statusClass === 2) {
    const detail = (error as { statusDetail?: number }).statusDetail;
    if (detail === 1) return "; check --chap-user and its secret";
    if (detail === 2) return "; the target does not let this --initiator-name in";
    if (detail === 3) return '; "node-iscsi ls" lists the targets of this portal';
  }
  if (/ECONNREFUSED/.test(reason)) return "; is a target running there, and is this its port?";
  if (/ENOTFOUND|EAI_AGAIN/.test(reason)) return "; check the host name";
  if (code === "Timeout") return "; check the network, or give more --timeout";
  return "";
}
