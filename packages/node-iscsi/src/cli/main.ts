// Entry of the node-iscsi command: finds the subcommand, explains errors in one line, turns Ctrl-C into an orderly end.
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { type CliCommand, COMMON_HELP } from "./arguments.ts";
import { dd } from "./dd.ts";
import { explain, isUsage } from "./explain.ts";
import { inq } from "./inq.ts";
import { ls } from "./ls.ts";
import { note, print, printed } from "./output.ts";
import { perf } from "./perf.ts";

const COMMANDS: readonly CliCommand[] = [ls, inq, dd, perf];

/** Exit status of a command that a signal ended, as shells have it: 130 SIGINT, 141 SIGPIPE, 143 SIGTERM. */
const statusOfSignal = (signal: NodeJS.Signals) => 128 + constants.signals[signal];

const OVERVIEW = `node-iscsi: iSCSI from the command line, without root and without a kernel module.

Usage: node-iscsi COMMAND ...

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(6)}${summary}`).join("\n")}

A disk is named by a URL: iscsi://[user@]host[:port]/target-name/lun
Begin with "node-iscsi ls -s iscsi://host"; "node-iscsi COMMAND --help" explains each,
"node-iscsi --version" says which one this is.`;

/** Beside the sources as well as beside what is built of them. */
function version(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

/** Runs the command line `args`; resolves with the exit status. Never throws. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    if (name !== undefined) print(OVERVIEW);
    else process.stderr.write(`${OVERVIEW}\n`);
    return name === undefined ? 2 : 0;
  }
  if (name === "--version") {
    print(version());
    return 0;
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
  let ended: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    // The second one does not wait for the target any more.
    if (interrupt.signal.aborted) process.exit(statusOfSignal(signal));
    ended = signal;
    interrupt.abort(new Error(`interrupted by ${signal}`));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // `node-iscsi ls ... | head -1`: nobody reads on. We end as any Unix command does, without a word and with SIGPIPE's status.
  const onReaderGone = () => {
    ended ??= "SIGPIPE";
    interrupt.abort();
  };
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") onReaderGone();
    else if (!interrupt.signal.aborted) note(`node-iscsi ${command.name}: writing to stdout failed: ${error.message}`);
  });
  // Nobody is left to be told.
  process.stderr.on("error", () => undefined);
  try {
    const status = await command.run(args, interrupt.signal);
    // An error of what was printed last shows only when it has been written.
    await printed();
    return ended === "SIGPIPE" ? statusOfSignal(ended) : status;
  } catch (error) {
    // Of standard output or of a pipe that --of names.
    if ((error as NodeJS.ErrnoException).code === "EPIPE") onReaderGone();
    if (ended === undefined) {
      note(
        `node-iscsi ${command.name}: ${explain(error)}${isUsage(error) ? ` (see node-iscsi ${command.name} --help)` : ""}`,
      );
      return isUsage(error) ? 2 : 1;
    }
    if (ended !== "SIGPIPE") note(`node-iscsi ${command.name}: ${interrupt.signal.reason.message}`);
    return statusOfSignal(ended);
  } finally {
    process.removeListener("SIGINT", onSignal);
    process.removeListener("SIGTERM", onSignal);
  }
}
