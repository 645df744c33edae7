// Checks what a caller gave before anything is sent: numbers that would only fail, or never end, much later.
import { InvalidArgumentError } from "./errors.ts";

interface CheckedOptions {
  readonly port?: number | undefined;
  readonly portals?: readonly { readonly port?: number | undefined }[] | undefined;
  readonly deadlineMs?: number | undefined;
  readonly commandDeadlineMs?: number | undefined;
  readonly maxOutstandingCommands?: number | undefined;
  readonly keepaliveIntervalMs?: number | undefined;
  readonly keepaliveDeadlineMs?: number | undefined;
}

/** @throws InvalidArgumentError that names the option, its value and what it may be. */
export function checkOptions(options: CheckedOptions): void {
  const check = (name: string, value: number | undefined, isRight: (value: number) => boolean, what: string) => {
    if (value === undefined || isRight(value)) return;
    throw new InvalidArgumentError(`${name} is ${value}; it must be ${what}`, { operation: "connect" });
  };
  const isPort = (value: number) => Number.isInteger(value) && value >= 1 && value <= 65_535;
  check("port", options.port, isPort, "a TCP port, 1 to 65535");
  for (const { port } of options.portals ?? []) check("a port of portals", port, isPort, "a TCP port, 1 to 65535");
  const isPositive = (value: number) => value > 0;
  check("deadlineMs", options.deadlineMs, isPositive, "a number of milliseconds above 0");
  check("commandDeadlineMs", options.commandDeadlineMs, isPositive, "a number of milliseconds above 0");
  check("keepaliveDeadlineMs", options.keepaliveDeadlineMs, isPositive, "a number of milliseconds above 0");
  check("keepaliveIntervalMs", options.keepaliveIntervalMs, (value) => value >= 0, "0 for off, or milliseconds");
  const isCount = (value: number) => Number.isInteger(value) && value >= 1;
  check("maxOutstandingCommands", options.maxOutstandingCommands, isCount, "a whole number above 0");
}
