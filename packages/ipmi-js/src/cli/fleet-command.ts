// A subcommand for many BMCs: reads its own arguments into a plan, which is run on each.
import { type CliCommand, type Options, type ParsedValues, parseCommand } from "./arguments.ts";
import { type FleetPlan, runFleet } from "./fleet.ts";

type Described<T extends Options> = Omit<CliCommand, "run"> & {
  /** Its own options. */
  readonly options: T;
  /** `words` are what is left without options. @throws UsageError */
  plan(words: readonly string[], values: ParsedValues<T>, signal: AbortSignal): FleetPlan | Promise<FleetPlan>;
};

export function fleetCommand<T extends Options>({ options, plan, ...command }: Described<T>): CliCommand {
  return {
    ...command,
    run: async (args, signal) => {
      const { values, positionals } = parseCommand(args, options);
      return runFleet(command.name, values, await plan(positionals, values, signal), signal);
    },
  };
}
