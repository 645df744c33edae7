// One command on many BMCs: so many at a time, answers in the order of the BMCs, a summary of what failed.
import { Bmc } from "../bmc.ts";
import type { OperationOptions } from "../budget.ts";
import type { Command } from "../commands/command.ts";
import type { CommandRunner } from "../commands/command-runner.ts";
import { isIpmiError } from "../errors.ts";
import { SharedSockets } from "../shared-sockets.ts";
import { type CommonArguments, type CommonValues, commonArguments } from "./arguments.ts";
import { confirm } from "./confirm.ts";
import { type Credentials, readCredentials } from "./credentials.ts";
import { codeOf, explain } from "./explain.ts";
import type { Target } from "./node-range.ts";
import { counted, note, print, printJsonLine, READER_GONE } from "./output.ts";

/** What one BMC had to say. */
export interface Report {
  /** For `--json`. */
  readonly result: Readonly<Record<string, unknown>>;
  /** For people; with several BMCs each line gets the name in front. */
  readonly lines: readonly string[];
}

/** One BMC of many, as the work on it sees it. */
export interface FleetMember {
  readonly target: Target;
  readonly bmc: Bmc;
  /** False: the lines share a page with those of other BMCs. */
  readonly isAlone: boolean;
  /** For one operation. */
  readonly limits: OperationOptions & { readonly deadlineMs: number };
  /** For reading a log, a repository or an inventory. */
  readonly longLimits: OperationOptions;
}

/** What a subcommand does, its own arguments read. */
export interface FleetPlan {
  /** As the question says it, `switch off`; undefined for what does no harm. */
  readonly harm?: string;
  /** Columns of the lines, printed once when there are several BMCs. */
  readonly header?: string;
  /** False for what BMCs answer without a login. Default true. */
  readonly hasLogin?: boolean;
  /** Default of `--timeout`, in seconds, where it is another. */
  readonly timeout?: string;
  /** True if it may take long: first the BMC must answer within the usual time. Default false. */
  readonly isLong?: boolean;
  run(member: FleetMember): Promise<Report>;
}

type Outcome =
  | { readonly report: Report }
  | { readonly error: unknown }
  /** The run was given up before this BMC's turn came. */
  | { readonly isUnasked: true };

const LONG_FACTOR = 10;

/** Runs `plan` on the BMCs of the common options; resolves with the exit status. @throws UsageError, IpmiError InvalidArgument */
export async function runFleet(
  name: string,
  values: CommonValues,
  plan: FleetPlan,
  signal: AbortSignal,
): Promise<number> {
  const common = await commonArguments(values, plan.timeout);
  if (plan.harm !== undefined) await confirm(plan.harm, common.targets, values.yes === true, signal);
  const credentials = plan.hasLogin === false ? { user: "", password: "" } : await readCredentials(values, signal);
  requireValid(common, credentials);
  const shown = new Display(name, common.targets, values, plan.header);
  // A socket of its own tells of a closed port, which a shared one cannot.
  const network = common.targets.length > 1 ? new SharedSockets() : undefined;
  const login = network === undefined ? credentials : { ...credentials, network };
  try {
    await each(common, async (target, index) => {
      if (signal.aborted) shown.add(index, { isUnasked: true });
      else shown.add(index, await askOne(target, login, common, plan, signal));
    });
  } finally {
    await network?.close();
  }
  return shown.finish(signal);
}

/** The answer; undefined from BMCs that refuse the command, or answer it with something else. */
export async function answerIfAny<Response>(
  { bmc, limits }: Pick<FleetMember, "limits"> & { readonly bmc: CommandRunner },
  command: Command<void, Response>,
): Promise<Response | undefined> {
  try {
    return await bmc.execute(command, undefined, limits);
  } catch (error) {
    if (isIpmiError(error, "CompletionCode", "Protocol")) return undefined;
    throw error;
  }
}

/** A password that is too long is told once, before anything is sent, not once for each BMC. */
function requireValid({ targets: [first] }: CommonArguments, credentials: Credentials): void {
  if (first !== undefined) new Bmc({ ...first, ...credentials });
}

/** `fanout` at a time. */
async function each(
  { targets, fanout }: CommonArguments,
  work: (target: Target, index: number) => Promise<void>,
): Promise<void> {
  const turns = targets.entries();
  const worker = async (): Promise<void> => {
    for (const [index, target] of turns) await work(target, index);
  };
  await Promise.all(Array.from({ length: Math.min(fanout, targets.length) }, worker));
}

async function askOne(
  target: Target,
  login: Credentials & { readonly network?: SharedSockets },
  { timeoutMs, targets }: CommonArguments,
  plan: FleetPlan,
  signal: AbortSignal,
): Promise<Outcome> {
  const { address, port } = target;
  const bmc = new Bmc({ ...login, address, port, operationDeadlineMs: timeoutMs });
  const limits = { deadlineMs: timeoutMs, signal };
  try {
    if (plan.isLong === true) await bmc.getDeviceId(limits);
    const report = await plan.run({
      target,
      bmc,
      isAlone: targets.length === 1,
      limits,
      longLimits: { deadlineMs: timeoutMs * LONG_FACTOR, signal },
    });
    return { report };
  } catch (error) {
    return { error };
  } finally {
    await bmc.close();
  }
}

/** Keeps answers until it is their turn, and counts. */
class Display {
  readonly #name: string;
  readonly #targets: readonly Target[];
  readonly #isOrdered: boolean;
  readonly #isJson: boolean;
  readonly #header: string | undefined;
  readonly #nameWidth: number;
  readonly #waiting = new Map<number, Outcome>();
  readonly #failures = new Map<string, number>();
  #next = 0;
  #done = 0;
  #unasked = 0;

  constructor(name: string, targets: readonly Target[], values: CommonValues, header: string | undefined) {
    this.#name = name;
    this.#targets = targets;
    this.#isOrdered = values.unordered !== true;
    this.#isJson = values.json === true;
    this.#header = this.#isJson || targets.length === 1 ? undefined : header;
    this.#nameWidth = targets.reduce((width, target) => Math.max(width, target.name.length), 0);
  }

  add(index: number, outcome: Outcome): void {
    if (!this.#isOrdered) {
      this.#show(index, outcome);
      return;
    }
    this.#waiting.set(index, outcome);
    for (let ready = this.#waiting.get(this.#next); ready !== undefined; ready = this.#waiting.get(this.#next)) {
      this.#waiting.delete(this.#next);
      this.#show(this.#next, ready);
      this.#next += 1;
    }
  }

  /** The summary, and the exit status. Throws the signal's reason if it fired. */
  finish(signal: AbortSignal): number {
    const count = this.#targets.length;
    const kinds = [...this.#failures].sort(([, one], [, other]) => other - one);
    const failed = kinds.reduce((sum, [, each]) => sum + each, 0);
    if (count > 1 && failed + this.#unasked > 0 && signal.reason !== READER_GONE) {
      const parts = [`${this.#done} of ${counted(count, "BMC")} done`];
      if (failed > 0) parts.push(`${failed} failed (${kinds.map(([code, each]) => `${each} ${code}`).join(", ")})`);
      if (this.#unasked > 0) parts.push(`${this.#unasked} not asked`);
      note(`ipmi-js ${this.#name}: ${parts.join("; ")}`);
    }
    signal.throwIfAborted();
    return failed === 0 ? 0 : 1;
  }

  #show(index: number, outcome: Outcome): void {
    const name = this.#targets[index]?.name ?? "";
    if ("report" in outcome) {
      this.#done += 1;
      this.#showReport(name, outcome.report);
    } else if ("isUnasked" in outcome) {
      this.#unasked += 1;
      if (this.#isJson) printJsonLine({ name, ok: false, error: { code: "Aborted", message: "it was not asked" } });
    } else {
      this.#showError(name, outcome.error);
    }
  }

  #showReport(name: string, { result, lines }: Report): void {
    if (this.#isJson) {
      printJsonLine({ name, ok: true, result });
      return;
    }
    // A table's columns tell where the name ends; lines by themselves need the colon.
    const mark = this.#header === undefined ? ":" : "";
    if (this.#done === 1 && this.#header !== undefined) print(`${"BMC".padEnd(this.#nameWidth)}  ${this.#header}`);
    const start = `${name}${mark}`.padEnd(this.#nameWidth + mark.length);
    for (const line of lines) print(this.#targets.length === 1 ? line : `${start}  ${line}`.trimEnd());
  }

  #showError(name: string, error: unknown): void {
    const code = codeOf(error);
    this.#failures.set(code, (this.#failures.get(code) ?? 0) + 1);
    if (this.#isJson) {
      const completionCode = isIpmiError(error) ? error.completionCode : undefined;
      printJsonLine({ name, ok: false, error: { code, message: explain(error), completionCode } });
    } else if (code === "Aborted") {
      // Whoever pressed Ctrl-C is told once, by the summary.
    } else if (this.#targets.length === 1) {
      note(`ipmi-js ${this.#name}: ${explain(error)}`);
    } else {
      note(`${`${name}:`.padEnd(this.#nameWidth + 1)}  FAILED ${code}: ${explain(error)}`);
    }
  }
}
