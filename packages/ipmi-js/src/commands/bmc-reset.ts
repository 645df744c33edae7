// Cold Reset and Warm Reset of the BMC, not of the system it manages (IPMI 2.0, 20.2, 20.3).
import { NET_FN } from "../wire/message.ts";
import { type Command, NO_REQUEST_DATA, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";

function resetCommand(name: string, code: number): Command<void, void> {
  return {
    name,
    netFn: NET_FN.application,
    code,
    privilege: PRIVILEGE_LEVEL.administrator,
    ...NO_REQUEST_DATA,
    ...NO_RESPONSE_DATA,
  };
}

/**
 * The BMC starts anew: sessions are gone, and it is silent for seconds to minutes. Trap: many BMCs reset before they
 * answer, so a `Timeout` may mean that it worked; on a `Bmc` it is sent again then. Give it a short deadline.
 */
export const coldReset = resetCommand("Cold Reset", 0x02);

/** The BMC's firmware starts anew and keeps its settings and interrupts; many BMCs do not have the command. */
export const warmReset = resetCommand("Warm Reset", 0x03);
