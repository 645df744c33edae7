// Set SOL Configuration Parameters (IPMI 2.0, 26.2). The parameters: table 26-5.
import { setParameterCommand } from "./configuration-parameters.ts";
import { SOL_PARAMETER_NOT_SUPPORTED } from "./get-sol-configuration.ts";

export const SOL_PARAMETER_READ_ONLY = 0x82;

export const setSolConfiguration = setParameterCommand({
  name: "Set SOL Configuration Parameters",
  code: 0x21,
  completionCodes: {
    [SOL_PARAMETER_NOT_SUPPORTED]: "the BMC does not have this SOL parameter",
    129: "another party is setting SOL parameters now",
    [SOL_PARAMETER_READ_ONLY]: "this SOL parameter is read-only",
  },
});
