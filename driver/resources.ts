// What the scheduler is told of a node (get_available_resource of the original, section 11 of its facts).
import type { ComputeNodeRecord, NodeRecord } from "../db/records.ts";

/** The columns of nova.compute_nodes that a driver fills. */
export type ResourceView = Omit<ComputeNodeRecord, "id" | "host" | "createdAt" | "updatedAt">;

/** Splits flavor_extra_specs items at the first colon: `cpu_arch:x86_64` -> `{ cpu_arch: "x86_64" }`. */
export function parseExtraSpecs(items: readonly string[]): Record<string, string> {
  const specs: Record<string, string> = {};
  for (const item of items) {
    const at = item.indexOf(":");
    if (at > 0) specs[item.slice(0, at).trim()] = item.slice(at + 1).trim();
  }
  return specs;
}

/** A node that cannot take an instance now, though none is on it: the operator or a fault holds it. */
export function isHeld(node: NodeRecord): boolean {
  return node.maintenance || node.fault !== null || node.provisionState !== "available";
}

/** A node is whole or nothing: in use, or held, it has no free resources. */
export function nodeResources(node: NodeRecord, extraSpecs: Readonly<Record<string, string>>): ResourceView {
  const vcpus = node.cpus ?? 0;
  const memoryMb = node.memoryMb ?? 0;
  const localGb = node.localGb ?? 0;
  const isUsed = node.instanceUuid !== null || isHeld(node);
  const arch = extraSpecs.cpu_arch;
  return {
    hypervisorHostname: node.uuid,
    hypervisorType: "baremetal",
    hypervisorVersion: 1,
    cpuInfo: "baremetal cpu",
    vcpus,
    vcpusUsed: isUsed ? vcpus : 0,
    memoryMb,
    memoryMbUsed: isUsed ? memoryMb : 0,
    localGb,
    localGbUsed: isUsed ? localGb : 0,
    freeRamMb: isUsed ? 0 : memoryMb,
    freeDiskGb: isUsed ? 0 : localGb,
    runningVms: node.instanceUuid === null ? 0 : 1,
    stats: { ...extraSpecs, ...(node.fault === null ? {} : { fault: node.fault }) },
    supportedInstances: arch === undefined ? [] : [[arch, "baremetal", "hvm"]],
  };
}
