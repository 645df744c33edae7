// The scheduler: which free node of which live host takes an instance (facts section 11).
import type { ComputeNodeRecord, FlavorSnapshot, ServiceRecord } from "../db/records.ts";
import { BaremetalError } from "../lib/errors.ts";
import { unmetSpec } from "./capabilities.ts";

/** What is asked for. */
export interface PlacementRequest {
  readonly flavor: FlavorSnapshot;
  /** From `zone:host:node`: only this host, only this node. */
  readonly forcedHost?: string | undefined;
  readonly forcedNode?: string | undefined;
  /** Nodes that were tried already, or that another boot of this process holds. */
  readonly excluded: ReadonlySet<string>;
}

/** What there is. */
export interface PlacementView {
  readonly nodes: readonly ComputeNodeRecord[];
  readonly services: readonly ServiceRecord[];
  readonly now: number;
  /** A host is live if its heartbeat is not older. */
  readonly serviceDownMs: number;
}

/** True if the service has been heard of within `serviceDownMs`. */
export function isServiceUp(service: ServiceRecord, now: number, serviceDownMs: number): boolean {
  return now - service.lastSeenUp.getTime() <= serviceDownMs;
}

/**
 * The best node: of those that pass all filters, the one with the least to spare, so that a big machine is kept for a
 * big flavor; ties go to the lower id.
 * @throws BaremetalError `Conflict` "No valid host was found", saying how many nodes each filter left out
 */
export function chooseNode(request: PlacementRequest, view: PlacementView): ComputeNodeRecord {
  const rejections = new Map<string, number>();
  const passed: ComputeNodeRecord[] = [];
  for (const node of view.nodes) {
    const reason = rejection(node, request, view);
    if (reason === undefined) passed.push(node);
    else rejections.set(reason, (rejections.get(reason) ?? 0) + 1);
  }
  passed.sort((left, right) => compareSpare(left, right, request.flavor));
  const best = passed[0];
  if (best !== undefined) return best;
  const text = [...rejections].map(([reason, count]) => `${count} ${reason}`).join(", ");
  throw new BaremetalError(
    "Conflict",
    `No valid host was found. ${view.nodes.length === 0 ? "No node is enrolled." : `Of ${view.nodes.length} node(s): ${text}.`}`,
    { data: { isNoValidHost: true } },
  );
}

/** Disk the flavor needs, in gigabytes: root, ephemeral, and swap rounded up. */
export function flavorDiskGb(flavor: FlavorSnapshot): number {
  return flavor.disk + flavor.ephemeral + Math.ceil(flavor.swap / 1024);
}

function rejection(node: ComputeNodeRecord, request: PlacementRequest, view: PlacementView): string | undefined {
  const { flavor } = request;
  const service = view.services.find((one) => one.host === node.host && one.binary === "nova-compute");
  if (service === undefined || !isServiceUp(service, view.now, view.serviceDownMs)) return "on a host that is down";
  if (service.disabled) return "on a disabled host";
  if (request.forcedHost !== undefined && node.host !== request.forcedHost) return "not on the forced host";
  if (request.forcedNode !== undefined && node.hypervisorHostname !== request.forcedNode) return "not the forced node";
  if (request.excluded.has(node.hypervisorHostname)) return "tried already or being taken";
  // A node is whole or nothing: what is partly used is used.
  if (node.vcpusUsed > 0 || node.memoryMbUsed > 0 || node.runningVms > 0) return "in use or held";
  if (node.freeRamMb < flavor.ram) return `with less RAM than ${flavor.ram} MB`;
  if (node.vcpus < flavor.vcpus) return `with fewer CPUs than ${flavor.vcpus}`;
  if (node.freeDiskGb < flavorDiskGb(flavor)) return `with less disk than ${flavorDiskGb(flavor)} GB`;
  const unmet = unmetSpec(flavor.extraSpecs, { ...node.stats, ...hostFacts(node) });
  return unmet === undefined ? undefined : `without the flavor's ${unmet}`;
}

/** What a requirement may name besides the statistics: the host state's attributes of the original. */
function hostFacts(node: ComputeNodeRecord): Record<string, unknown> {
  return {
    vcpus_total: node.vcpus,
    vcpus_used: node.vcpusUsed,
    free_ram_mb: node.freeRamMb,
    total_usable_ram_mb: node.memoryMb,
    free_disk_mb: node.freeDiskGb * 1024,
    hypervisor_type: node.hypervisorType,
    hypervisor_version: node.hypervisorVersion,
    hypervisor_hostname: node.hypervisorHostname,
  };
}

function compareSpare(left: ComputeNodeRecord, right: ComputeNodeRecord, flavor: FlavorSnapshot): number {
  const spare = (node: ComputeNodeRecord) => [
    node.freeRamMb - flavor.ram,
    node.vcpus - flavor.vcpus,
    node.freeDiskGb - flavorDiskGb(flavor),
    node.id,
  ];
  const a = spare(left);
  const b = spare(right);
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
