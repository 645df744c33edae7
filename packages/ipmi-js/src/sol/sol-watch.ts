// Who has the console: a BMC may end an activation, or give it to another session, without a word (IPMI 2.0, 24.4, 24.5).
import { getDeviceId } from "../commands/get-device-id.ts";
import { getPayloadActivationStatus } from "../commands/get-payload-activation-status.ts";
import { getPayloadInstanceInfo, type PayloadInstance } from "../commands/get-payload-instance-info.ts";
import { isIpmiError } from "../errors.ts";
import type { CommandOptions, IpmiSession } from "../session.ts";

type Runner = Pick<IpmiSession, "execute">;

/** Something that stays the same while the payload is ours; 0: it is nobody's. */
type Question = (runner: Runner, payload: PayloadInstance, options: CommandOptions) => Promise<number>;

/** The best first. The last tells only that the session lives. */
const QUESTIONS: readonly Question[] = [
  async (runner, payload, options) => (await runner.execute(getPayloadInstanceInfo, payload, options)).sessionId,
  async (runner, payload, options) => {
    const { activeInstances } = await runner.execute(getPayloadActivationStatus, payload, options);
    return activeInstances.includes(payload.instance) ? 1 : 0;
  },
  async (runner, _, options) => {
    await runner.execute(getDeviceId, undefined, options);
    return 1;
  },
];

/** One command each time it is asked. What the BMC refuses is not sent again. */
export class SolWatch {
  readonly #runner: Runner;
  readonly #payload: PayloadInstance;
  #question = 0;
  #ours = 0;

  /** For a payload that was activated just now. */
  constructor(runner: Runner, payload: PayloadInstance) {
    this.#runner = runner;
    this.#payload = payload;
  }

  /** Who has it. Errors: `Timeout`, `Aborted` and `Closed` of the session. */
  async ask(options: CommandOptions): Promise<"us" | "nobody" | "another"> {
    const owner = await this.#owner(options);
    // Trap: firmware that never names an owner would have every console opened again and again.
    if (this.#ours === 0) this.#ours = owner;
    if (owner === this.#ours) return "us";
    return owner === 0 ? "nobody" : "another";
  }

  async #owner(options: CommandOptions): Promise<number> {
    try {
      return (await QUESTIONS[this.#question]?.(this.#runner, this.#payload, options)) ?? this.#ours;
    } catch (error) {
      if (!isIpmiError(error, "CompletionCode", "InsufficientPrivilege", "Protocol")) throw error;
      this.#question = Math.min(this.#question + 1, QUESTIONS.length - 1);
      this.#ours = 0;
      // A refusal is an answer too: the session lives.
      return 0;
    }
  }
}
