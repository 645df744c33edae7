// ipmi-js sol: the machine's serial console, for people and for pipes.
import { type Budget, pause, startBudget } from "../budget.ts";
import { IpmiError } from "../errors.ts";
import { openSerialConsole, type SerialConsole, type SerialConsoleEvent } from "../sol/serial-console.ts";
import { type CliCommand, commonArguments, noWords, parseCommand, parseNumber } from "./arguments.ts";
import { readCredentials } from "./credentials.ts";
import { ESCAPE_HELP, EscapeReader } from "./escape-reader.ts";
import { safeLine } from "./output.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js sol: the machine's serial console (Serial over LAN).

Usage: ipmi-js sol [--take-over] [--idle SECONDS] -H BMC [options]

On a terminal every key goes to the machine, Ctrl-C too. At the beginning of a line:
${ESCAPE_HELP.slice(0, -1)
  .map((line) => `  ${line}`)
  .join("\n")}

Otherwise standard input goes to the machine and what it writes to standard output; it ends when the input has ended and the
machine has been silent for a while. A lost console is opened again for five minutes.

      --take-over      end another session's use of the console
      --idle SECONDS   how long the machine must be silent after the end of the input (default 3)

  $ printf '\\nuname -a\\n' | ipmi-js sol -U admin --password-file bmc.secret -H bmc7`;

const OPTIONS = { "take-over": { type: "boolean" }, idle: { type: "string" } } as const;
const DEFAULT_IDLE = "3";
/** Of the input, handed over at a time: a machine that takes no more is noticed within the timeout. */
const PIECE_BYTES = 256;

/** On a terminal in raw mode lines end with both characters. */
function remark(text: string): void {
  process.stderr.write(`\r\n[${safeLine(text)}]\r\n`);
}

function eventText(event: SerialConsoleEvent): string {
  switch (event.kind) {
    case "disconnected": {
      const uncertain = event.uncertainBytes === 0 ? "" : `; ${event.uncertainBytes} typed characters may be lost`;
      return `the console is lost: ${event.error.message}${uncertain}; opening it again`;
    }
    case "reconnected":
      return "the console is back; what the machine wrote meanwhile may be lost";
    case "transfer-unavailable":
      return "the BMC cannot reach the serial line: the machine is off, or resets";
    case "transfer-available":
      return "the serial line is back";
    case "break":
      return "the machine sent a break";
    case "overrun":
      return "the machine wrote faster than the BMC could; some of it is lost";
  }
}

/** When something last went either way. */
class Activity {
  #at = performance.now();

  touch(): void {
    this.#at = performance.now();
  }

  /** Resolves when nothing has happened for `ms`. */
  async silence(ms: number, budget: Budget): Promise<void> {
    for (let left = ms; left > 0 && budget.signal?.aborted !== true; left = this.#at + ms - performance.now())
      await pause(left, budget);
  }
}

async function copyOutput(console: SerialConsole, activity: Activity): Promise<void> {
  for await (const piece of console.output) {
    activity.touch();
    await new Promise<void>((resolve) => process.stdout.write(piece, () => resolve()));
    activity.touch();
  }
}

/** Standard input to the machine, then silence. */
async function copyInput(
  console: SerialConsole,
  activity: Activity,
  limits: { readonly idleMs: number; readonly timeoutMs: number; readonly address: string },
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of process.stdin) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      await withinTime(console.write(chunk.subarray(at, at + PIECE_BYTES)), limits);
      activity.touch();
    }
  }
  await activity.silence(limits.idleMs, startBudget(Number.POSITIVE_INFINITY, signal));
}

async function withinTime(work: Promise<void>, limits: { timeoutMs: number; address: string }): Promise<void> {
  const { timeoutMs, address } = limits;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `the machine of ${address} took no characters for ${timeoutMs / 1000} s; is it on?`;
      reject(new IpmiError("Timeout", text, { address, operation: "Serial over LAN" }));
    }, timeoutMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

/** Keys to the machine until `~.`. */
function typeKeys(console: SerialConsole): Promise<void> {
  const reader = new EscapeReader();
  return new Promise((resolve) => {
    process.stdin.on("data", (keys: Buffer) => {
      for (const typed of reader.read(keys)) {
        // What cannot be sent any more is told by the output, which ends with the reason.
        if (typed.kind === "characters") console.write(typed.data).catch(() => {});
        else if (typed.kind === "break") console.sendBreak().catch(() => {});
        else if (typed.kind === "help") process.stderr.write(`\r\n${ESCAPE_HELP.join("\r\n")}\r\n`);
        else resolve();
      }
    });
    process.stdin.once("end", resolve);
    process.stdin.setRawMode(true);
    process.stdin.resume();
  });
}

async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parseCommand(args, OPTIONS);
  noWords("sol", positionals);
  const idleMs = parseNumber(values.idle ?? DEFAULT_IDLE, "--idle") * 1000;
  const { targets, timeoutMs } = await commonArguments(values);
  const [target] = targets;
  if (target === undefined || targets.length > 1)
    throw new UsageError(`sol is for one BMC at a time, not ${targets.length}`);
  if (values.json === true) throw new UsageError("what a console writes cannot be JSON; leave --json out");
  const credentials = await readCredentials(values, signal);
  const isInteractive = process.stdin.isTTY === true;
  const { address, port } = target;
  const console = await openSerialConsole({
    ...credentials,
    ...{ address, port, deadlineMs: timeoutMs, signal, takeOver: values["take-over"] === true },
    onEvent: (event) => remark(eventText(event)),
  });
  const activity = new Activity();
  try {
    const limits = { idleMs, timeoutMs, address: target.name };
    const input = isInteractive ? typeKeys(console) : copyInput(console, activity, limits, signal);
    // By now no key is echoed or held for a line.
    if (isInteractive) remark(`console of ${target.name}; ~. leaves, ~? helps`);
    const output = copyOutput(console, activity);
    await Promise.race([input, output]);
    await console.close();
    await output;
    signal.throwIfAborted();
    return 0;
  } finally {
    if (isInteractive) process.stdin.setRawMode(false);
    process.stdin.destroy();
    await console.close();
    if (isInteractive) remark("console closed");
  }
}

export const sol: CliCommand = { name: "sol", summary: "the machine's serial console", help: HELP, run };
