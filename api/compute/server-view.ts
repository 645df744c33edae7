// A server as Nova shows it, for each microversion we speak (facts section 8.4).
import { createHash } from "node:crypto";
import type { FlavorSnapshot, InstanceRecord } from "../../db/records.ts";
import { isoMicros, isoSeconds } from "../request.ts";

export interface ServerViewContext {
  readonly baseUrl: string;
  /** 1 for 2.1. */
  readonly minor: number;
  readonly isAdmin: boolean;
  /** Where the node was seen on the provisioning network, and by which port. */
  readonly address?: { readonly ip: string; readonly mac: string | null } | undefined;
  /** True if the heartbeat of the instance's host is fresh. */
  readonly isHostUp: boolean;
}

/** Nova's status word for a vm_state and task_state. */
export function serverStatus(instance: Pick<InstanceRecord, "vmState" | "taskState">): string {
  const { vmState, taskState } = instance;
  if (vmState === "building") return "BUILD";
  if (vmState === "error") return "ERROR";
  if (vmState === "deleted") return "DELETED";
  if (taskState === "rebooting_hard") return "HARD_REBOOT";
  if (vmState === "stopped") return "SHUTOFF";
  if (vmState !== "active") return "UNKNOWN";
  return taskState === "rebooting" ? "REBOOT" : "ACTIVE";
}

/** The links of a thing under the compute endpoint. */
export function linksTo(baseUrl: string, kind: string, id: string): object[] {
  return [
    { rel: "self", href: `${baseUrl}/compute/v2.1/${kind}/${id}` },
    { rel: "bookmark", href: `${baseUrl}/compute/${kind}/${id}` },
  ];
}

/** The short form of lists. */
export function serverSummary(instance: InstanceRecord, baseUrl: string): object {
  return { id: instance.uuid, name: instance.displayName, links: linksTo(baseUrl, "servers", instance.uuid) };
}

function flavorView(flavor: FlavorSnapshot, context: ServerViewContext): object {
  if (context.minor < 47) {
    const href = `${context.baseUrl}/compute/flavors/${flavor.id}`;
    return { id: flavor.id, links: [{ rel: "bookmark", href }] };
  }
  const { name, ram, vcpus, disk, ephemeral, swap, extraSpecs } = flavor;
  return { original_name: name, ram, vcpus, disk, ephemeral, swap, extra_specs: extraSpecs };
}

function addresses(context: ServerViewContext): Record<string, object[]> {
  const { address } = context;
  if (address === undefined) return {};
  return {
    provisioning: [
      {
        addr: address.ip,
        version: address.ip.includes(":") ? 6 : 4,
        "OS-EXT-IPS:type": "fixed",
        "OS-EXT-IPS-MAC:mac_addr": address.mac,
      },
    ],
  };
}

function hostId(instance: InstanceRecord): string {
  if (instance.host === null) return "";
  return createHash("sha224")
    .update(instance.projectId + instance.host)
    .digest("hex");
}

function adminView(instance: InstanceRecord, context: ServerViewContext): object {
  if (!context.isAdmin) return {};
  return {
    "OS-EXT-SRV-ATTR:host": instance.host,
    "OS-EXT-SRV-ATTR:hypervisor_hostname": instance.node,
    "OS-EXT-SRV-ATTR:instance_name": `instance-${instance.id.toString(16).padStart(8, "0")}`,
    ...(context.minor < 3
      ? {}
      : {
          "OS-EXT-SRV-ATTR:reservation_id": `r-${instance.uuid.slice(0, 8)}`,
          "OS-EXT-SRV-ATTR:launch_index": 0,
          "OS-EXT-SRV-ATTR:hostname": instance.hostname,
          "OS-EXT-SRV-ATTR:kernel_id": instance.kernelId ?? "",
          "OS-EXT-SRV-ATTR:ramdisk_id": instance.ramdiskId ?? "",
          "OS-EXT-SRV-ATTR:root_device_name": "/dev/sda",
          "OS-EXT-SRV-ATTR:user_data": instance.userData,
        }),
    ...(context.minor < 16 ? {} : { host_status: instance.host === null ? "" : context.isHostUp ? "UP" : "DOWN" }),
  };
}

function faultView(instance: InstanceRecord, context: ServerViewContext): object {
  // Nova shows a fault in ERROR only; a stop or reboot that failed is worth a word too, until the next one succeeds.
  const { fault } = instance;
  if (fault === null) return {};
  const { code, message, created, details } = fault;
  return { fault: { code, message, created, ...(context.isAdmin && details !== undefined ? { details } : {}) } };
}

/** The whole form. */
export function serverView(instance: InstanceRecord, context: ServerViewContext): Record<string, unknown> {
  const { baseUrl, minor } = context;
  const imageHref = `${baseUrl}/compute/images/${instance.imageRef}`;
  return {
    id: instance.uuid,
    name: instance.displayName,
    status: serverStatus(instance),
    tenant_id: instance.projectId,
    user_id: instance.userId,
    metadata: instance.metadata,
    hostId: hostId(instance),
    image: { id: instance.imageRef, links: [{ rel: "bookmark", href: imageHref }] },
    flavor: flavorView(instance.flavor, context),
    created: isoSeconds(instance.createdAt),
    updated: isoSeconds(instance.updatedAt),
    addresses: addresses(context),
    accessIPv4: "",
    accessIPv6: "",
    links: linksTo(baseUrl, "servers", instance.uuid),
    progress: instance.progress,
    key_name: instance.keyName,
    config_drive: instance.configDrive ? "True" : "",
    security_groups: [],
    "OS-DCF:diskConfig": "MANUAL",
    "OS-EXT-AZ:availability_zone": instance.availabilityZone ?? (instance.host === null ? "" : "nova"),
    "OS-EXT-STS:vm_state": instance.vmState,
    "OS-EXT-STS:task_state": instance.taskState,
    "OS-EXT-STS:power_state": instance.powerState,
    "OS-SRV-USG:launched_at": isoMicros(instance.launchedAt),
    "OS-SRV-USG:terminated_at": isoMicros(instance.terminatedAt),
    "os-extended-volumes:volumes_attached": [],
    ...adminView(instance, context),
    ...(minor < 9 ? {} : { locked: false }),
    ...(minor < 19 ? {} : { description: null }),
    ...(minor < 26 ? {} : { tags: [] }),
    ...faultView(instance, context),
  };
}
