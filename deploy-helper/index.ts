// The deploy helper's one door, for bin/.
export { DeployHelper, type DeployHelperConfig, type DeployHelperOptions } from "./deploy-helper.ts";
