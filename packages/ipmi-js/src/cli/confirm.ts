// The question before something that hurts is done to more than one BMC.
import type { Target } from "./node-range.ts";
import { counted } from "./output.ts";
import { ask, canAsk } from "./terminal.ts";
import { UsageError } from "./usage-error.ts";

const NAMES_SHOWN = 3;

/** Asks whether to go on, unless it is one BMC or `--yes` was given. @throws UsageError if nobody is there to ask, Error if the answer is no */
export async function confirm(
  harm: string,
  targets: readonly Target[],
  isAgreed: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (targets.length <= 1 || isAgreed) return;
  const what = `${harm} ${counted(targets.length, "BMC")} (${someNames(targets)})`;
  if (!canAsk())
    throw new UsageError(`this would ${what}, and there is no terminal to ask on; add --yes if that is meant`);
  const answer = await ask(`This will ${what}. Go on? [y/N] `, { signal });
  if (!/^(y|yes)$/i.test(answer.trim())) throw new Error("not confirmed; nothing was done");
}

/** `bmc01, bmc02, ..., bmc40`: the ends of a range show whether it is the right one. */
function someNames(targets: readonly Target[]): string {
  const names = targets.map(({ name }) => name);
  if (names.length <= NAMES_SHOWN + 1) return names.join(", ");
  return `${names.slice(0, NAMES_SHOWN - 1).join(", ")}, ..., ${names.at(-1)}`;
}
