// Entry of the ipmi-js command: finds the subcommand, explains errors in one line, turns Ctrl-C into an orderly end.
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { isatty } from "node:tty";
import { type CliCommand, COMMON_HELP, commandIndex } from "./arguments.ts";
import { bootdev } from "./bootdev.ts";
import { explain, isUsage } from "./explain.ts";
import { fru } from "./fru.ts";
import { identify } from "./identify.ts";
import { info } from "./info.ts";
import { lan } from "./lan.ts";
import { mc } from "./mc.ts";
import { note, print, printed, printText, READER_GONE } from "./output.ts";
import { ping } from "./ping.ts";
import { power } from "./power.ts";
import { raw } from "./raw.ts";
import { sel } from "./sel.ts";
import { sensors } from "./sensors.ts";
import { sol } from "./sol.ts";
import { status } from "./status.ts";
import { user } from "./user.ts";
import { watchdog } from "./watchdog.ts";

const COMMANDS: readonly CliCommand[] = [
  power,
  status,
  bootdev,
  sol,
  identify,
  sel,
  sensors,
  fru,
  info,
  lan,
  user,
  watchdog,
  mc,
  raw,
  ping,
];

/** Exit status of a command that a signal ended, as shells have it: 129 SIGHUP, 130 SIGINT, 141 SIGPIPE, 143 SIGTERM. */
const statusOfSignal = (signal: NodeJS.Signals) => 128 + constants.signals[signal];

const OVERVIEW = `ipmi-js: IPMI from the command line, for one BMC or for thousands at once.

Usage: ipmi-js COMMAND ... -H BMCS -U USER [options]

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(10)}${summary}`).join("\n")}

  $ ipmi-js status -U admin -H 'bmc[01-40].rack7'
  $ ipmi-js power on --wait -U admin --password-file bmc.secret -H @rack7

"ipmi-js COMMAND --help" explains each, "ipmi-js --version" says which one this is.`;

/** Beside the sources as well as beside what is built of them. */
function version(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

const isCalled = (word: string) => (command: CliCommand) => command.name === word || command.alias === word;
const asksHelp = (args: readonly string[]) => args.includes("--help") || args.includes("-h");

/** Runs the command line `args`; resolves with the exit status. Never throws. */
export async function main(args: readonly string[]): Promise<number> {
  const index = commandIndex(args);
  const name = args[index];
  if (name === undefined || name === "help") {
    if (args.includes("--version")) print(version());
    else if (name === "help" || asksHelp(args)) printText(helpFor(args[index + 1]));
    else {
      process.stderr.write(`${OVERVIEW}\n`);
      return 2;
    }
    return 0;
  }
  const command = COMMANDS.find(isCalled(name));
  if (command === undefined) {
    note(`ipmi-js: there is no command ${name}; one of ${COMMANDS.map((each) => each.name).join(", ")}`);
    return 2;
  }
  const rest = [...args.slice(0, index), ...args.slice(index + 1)];
  if (asksHelp(rest)) {
    printText(`${command.help}\n\n${COMMON_HELP}`);
    return 0;
  }
  return runCommand(command, rest);
}

function helpFor(word: string | undefined): string {
  const command = word === undefined ? undefined : COMMANDS.find(isCalled(word));
  return command === undefined ? OVERVIEW : `${command.help}\n\n${COMMON_HELP}`;
}

async function runCommand(command: CliCommand, args: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  // As many listen as there are BMCs asked at a time.
  setMaxListeners(0, interrupt.signal);
  let ended: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    // Trap: the shell and the kernel each tell of a closed terminal.
    if (signal === "SIGHUP" && interrupt.signal.aborted) return;
    // The second one does not wait for the BMCs any more.
    if (interrupt.signal.aborted) process.exit(statusOfSignal(signal));
    ended = signal;
    interrupt.abort(new Error(`interrupted by ${signal}`));
  };
  const signals: NodeJS.Signals[] = ["SIGINT", "SIGTERM"];
  // A terminal that is closed. Trap: to listen would undo nohup, which leaves no terminal for input.
  if (isatty(0)) signals.push("SIGHUP");
  for (const signal of signals) process.on(signal, onSignal);
  // `ipmi-js ... | head -1`: nobody reads on. We end as any Unix command does, without a word and with SIGPIPE's status.
  const onReaderGone = () => {
    ended ??= "SIGPIPE";
    interrupt.abort(READER_GONE);
  };
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") onReaderGone();
    else if (!interrupt.signal.aborted) note(`ipmi-js ${command.name}: writing to stdout failed: ${error.message}`);
  });
  // Nobody is left to be told.
  process.stderr.on("error", () => undefined);
  try {
    const status = await command.run(args, interrupt.signal);
    // An error of what was printed last shows only when it has been written.
    await printed();
    return ended === undefined ? status : statusOfSignal(ended);
  } catch (error) {
    if (ended === undefined) {
      const see = isUsage(error) ? ` (see ipmi-js ${command.name} --help)` : "";
      note(`ipmi-js ${command.name}: ${explain(error)}${see}`);
      return isUsage(error) ? 2 : 1;
    }
    if (ended !== "SIGPIPE") note(`ipmi-js ${command.name}: ${interrupt.signal.reason.message}`);
    return statusOfSignal(ended);
  } finally {
    for (const signal of signals) process.removeListener(signal, onSignal);
  }
}
