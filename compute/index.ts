// The compute side: what stands in for nova-api's logic, the scheduler and the conductor.
export { type ComputeRepositories, ComputeServices, type ComputeServicesOptions } from "./compute-services.ts";
export {
  type ComputeDriver,
  type InstanceInfo,
  isShutdown,
  type ResourceView,
  type SpawnResult,
  shutdownReason,
} from "./driver-interface.ts";
export { ImageStore } from "./image-store.ts";
