// Commands to controllers behind the BMC: satellite controllers on its IPMB (IPMI 2.0, 6.13, 22.7).
import type { CommandRunner } from "./commands/command-runner.ts";
import { type BridgeTarget, bridgedCommand, sendMessage } from "./commands/send-message.ts";
import { IpmiError } from "./errors.ts";

/**
 * A runner whose commands the BMC of `runner` hands on to `target` and whose answers are the target's. `CompletionCode`
 * for a refusal by either; `InvalidArgument`, thrown at once, for a target that has no place in a message.
 */
export function bridge(runner: CommandRunner, target: BridgeTarget): CommandRunner {
  const { channel = 0, address, lun = 0 } = target;
  const isValid = inRange(channel, 0x0f) && inRange(address, 0xfe) && address % 2 === 0 && inRange(lun, 3);
  if (!isValid) {
    const text = `a bridge goes to a channel from 0 to 15, an even address up to FEh and a LUN from 0 to 3, not to ${channel}, ${address}, ${lun}`;
    throw new IpmiError("InvalidArgument", text, { address: runner.address, operation: sendMessage.name });
  }
  return {
    address: runner.address,
    execute: (command, request, options) => runner.execute(bridgedCommand(command, target), request, options),
  };
}

function inRange(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most;
}
