// Get SOL Configuration Parameters (IPMI 2.0, 26.3). The parameters: table 26-5.
import { PRIVILEGE_LEVEL } from "./command.ts";
import { getParameterCommand } from "./configuration-parameters.ts";

export const SOL_PARAMETER_NOT_SUPPORTED = 0x80;

export const getSolConfiguration = getParameterCommand({
  name: "Get SOL Configuration Parameters",
  code: 0x22,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: { [SOL_PARAMETER_NOT_SUPPORTED]: "the BMC does not have this SOL parameter" },
});
