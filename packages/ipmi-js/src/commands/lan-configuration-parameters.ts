// Set and Get LAN Configuration Parameters (IPMI 2.0, 23.1, 23.2). The parameters' own bytes: lan-parameters.ts.
import { PRIVILEGE_LEVEL } from "./command.ts";
import { getParameterCommand, setParameterCommand } from "./configuration-parameters.ts";

/** The BMC does not have the parameter. */
export const LAN_PARAMETER_NOT_SUPPORTED = 0x80;
/** Another party is writing. */
export const LAN_SET_IN_PROGRESS = 0x81;
export const LAN_PARAMETER_READ_ONLY = 0x82;

const NOT_SUPPORTED = { [LAN_PARAMETER_NOT_SUPPORTED]: "the BMC does not have this LAN parameter" };

export const setLanConfigurationParameters = setParameterCommand({
  name: "Set LAN Configuration Parameters",
  code: 0x01,
  completionCodes: {
    ...NOT_SUPPORTED,
    [LAN_SET_IN_PROGRESS]: "another party is writing LAN parameters now",
    [LAN_PARAMETER_READ_ONLY]: "this LAN parameter is read-only",
  },
});

export const getLanConfigurationParameters = getParameterCommand({
  name: "Get LAN Configuration Parameters",
  code: 0x02,
  privilege: PRIVILEGE_LEVEL.operator,
  completionCodes: { ...NOT_SUPPORTED, 131: "this LAN parameter is write-only" },
});
