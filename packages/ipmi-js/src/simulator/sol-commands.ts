// The commands around Serial over LAN (IPMI 2.0, 24.1, 24.2, 24.4, 24.5, 26.2, 26.3).
import { activatePayload } from "../commands/activate-payload.ts";
import { deactivatePayload } from "../commands/deactivate-payload.ts";
import { getChannelPayloadSupport } from "../commands/get-channel-payload-support.ts";
import { getPayloadActivationStatus } from "../commands/get-payload-activation-status.ts";
import { getPayloadInstanceInfo } from "../commands/get-payload-instance-info.ts";
import { getSolConfiguration, SOL_PARAMETER_NOT_SUPPORTED } from "../commands/get-sol-configuration.ts";
import { SOL_PARAMETER_READ_ONLY, setSolConfiguration } from "../commands/set-sol-configuration.ts";
import { SOL_PARAMETER } from "../commands/sol-configuration.ts";
import { PAYLOAD_TYPE } from "../wire/session-v20.ts";
import type { AddCommand } from "./command-table.ts";
import type { SimulatedSol } from "./sol.ts";

const INSUFFICIENT_PRIVILEGE = 0xd4;
const READ_ONLY: readonly number[] = [SOL_PARAMETER.payloadChannel, SOL_PARAMETER.payloadPort];

export function addSolCommands(add: AddCommand, sol: SimulatedSol): void {
  add(activatePayload, false, (request, session) =>
    session === undefined ? { refusal: INSUFFICIENT_PRIVILEGE } : sol.activate(session, request),
  );
  add(deactivatePayload, false, (_, session) => sol.deactivate(session));
  add(getPayloadActivationStatus, false, ({ payloadType }) => {
    const isSol = payloadType === PAYLOAD_TYPE.serialOverLan;
    return { response: { capacity: isSol ? 1 : 0, activeInstances: isSol ? sol.activeInstances : [] } };
  });
  add(getPayloadInstanceInfo, false, ({ payloadType, instance }) => ({
    response: { sessionId: sol.sessionIdOf(payloadType, instance) },
  }));
  // FreeIPMI's ipmiconsole asks first, and leaves if SOL is not among them.
  add(getChannelPayloadSupport, false, () => ({ response: { payloadTypes: Object.values(PAYLOAD_TYPE) } }));
  add(getSolConfiguration, false, ({ parameter }) => {
    const data = sol.getParameter(parameter);
    return data === undefined ? { refusal: SOL_PARAMETER_NOT_SUPPORTED } : { response: { data } };
  });
  add(setSolConfiguration, false, ({ parameter, data }) => {
    if (READ_ONLY.includes(parameter)) return { refusal: SOL_PARAMETER_READ_ONLY };
    return sol.setParameter(parameter, data) ? { response: undefined } : { refusal: SOL_PARAMETER_NOT_SUPPORTED };
  });
}
