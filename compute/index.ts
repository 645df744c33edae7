// The compute side: what stands in for nova-api's logic, the scheduler and the conductor.
export { type ComputeRepositories, ComputeServices } from "./compute-services.ts";
export { ImageStore } from "./image-store.ts";
