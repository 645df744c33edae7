// /os-hypervisors, /os-services, /os-availability-zone: the compute hosts and the nodes as the scheduler sees them.
import { createHash } from "node:crypto";
import { type Request, type Response, Router } from "express";
import { z } from "zod";
import { type ComputeServices, notFound } from "../../compute/compute-services.ts";
import { isServiceUp } from "../../compute/scheduler.ts";
import type { ComputeNodeRecord, ServiceRecord } from "../../db/records.ts";
import { integerOf, isoMicros, microversionOf, pageOf, paramOf, parseBody, queryOf, requireAdmin } from "../request.ts";

/** From 2.53 services and hypervisors are known by uuid. A service has none of its own: it is made of its name. */
const UUID_MINOR = 53;

function serviceUuid(service: Pick<ServiceRecord, "host" | "binary">): string {
  const hex = createHash("sha256").update(`service:${service.host}/${service.binary}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function serviceId(service: ServiceRecord, minor: number): number | string {
  return minor < UUID_MINOR ? service.id : serviceUuid(service);
}

function nodeId(node: ComputeNodeRecord, minor: number): number | string {
  return minor < UUID_MINOR ? node.id : node.hypervisorHostname;
}

function hypervisorState(
  service: ServiceRecord | undefined,
  services: ComputeServices,
): { state: string; status: string } {
  const isUp = service !== undefined && isServiceUp(service, services.clock.now(), services.serviceDownMs);
  return { state: isUp ? "up" : "down", status: service?.disabled === true ? "disabled" : "enabled" };
}

function hypervisorView(
  node: ComputeNodeRecord,
  service: ServiceRecord | undefined,
  services: ComputeServices,
  minor: number,
): object {
  return {
    id: nodeId(node, minor),
    hypervisor_hostname: node.hypervisorHostname,
    ...hypervisorState(service, services),
    hypervisor_type: node.hypervisorType,
    hypervisor_version: node.hypervisorVersion,
    // From 2.28 an object; ours is the original's two words, which are none.
    cpu_info: minor < 28 ? node.cpuInfo : {},
    current_workload: 0,
    disk_available_least: node.freeDiskGb,
    free_disk_gb: node.freeDiskGb,
    free_ram_mb: node.freeRamMb,
    host_ip: null,
    local_gb: node.localGb,
    local_gb_used: node.localGbUsed,
    memory_mb: node.memoryMb,
    memory_mb_used: node.memoryMbUsed,
    running_vms: node.runningVms,
    vcpus: node.vcpus,
    vcpus_used: node.vcpusUsed,
    service: { host: node.host, id: service === undefined ? null : serviceId(service, minor), disabled_reason: null },
  };
}

/** Routes under `/os-hypervisors`; administrators only. */
export function hypervisorsRouter(services: ComputeServices): Router {
  const { computeNodes, services: daemons } = services.repositories;
  const router = Router();
  router.use((_req, res, next) => {
    requireAdmin(res, "os_compute_api:os-hypervisors");
    next();
  });
  const read = async () => {
    const [nodes, found] = await Promise.all([computeNodes.list(), daemons.list({ binary: "nova-compute" })]);
    return { nodes, serviceOf: (node: ComputeNodeRecord) => found.find((one) => one.host === node.host) };
  };
  const list = async (req: Request, res: Response, isDetail: boolean): Promise<void> => {
    const minor = microversionOf(res);
    const { nodes, serviceOf } = await read();
    const pattern = minor < UUID_MINOR ? undefined : queryOf(req, "hypervisor_hostname_pattern");
    const wanted = nodes.filter((node) => pattern === undefined || node.hypervisorHostname.includes(pattern));
    if (pattern !== undefined && wanted.length === 0) throw notFound("Hypervisor", pattern);
    const page = minor < 33 ? wanted : pageOf(req, wanted, (node) => String(nodeId(node, minor))).page;
    const hypervisors = page.map((node) =>
      isDetail
        ? hypervisorView(node, serviceOf(node), services, minor)
        : {
            id: nodeId(node, minor),
            hypervisor_hostname: node.hypervisorHostname,
            ...hypervisorState(serviceOf(node), services),
          },
    );
    res.json({ hypervisors });
  };
  router.get("/", (req, res) => list(req, res, false));
  router.get("/detail", (req, res) => list(req, res, true));
  router.get(
    "/statistics",
    async (_req, res) => void res.json({ hypervisor_statistics: statistics((await read()).nodes) }),
  );
  router.get("/:id", async (req, res) => {
    const id = paramOf(req, "id");
    const minor = microversionOf(res);
    const { nodes, serviceOf } = await read();
    const node = nodes.find((one) => String(nodeId(one, minor)) === id);
    if (node === undefined) throw notFound("Hypervisor", id);
    res.json({ hypervisor: hypervisorView(node, serviceOf(node), services, minor) });
  });
  return router;
}

function statistics(nodes: readonly ComputeNodeRecord[]): Record<string, number> {
  const sum = (pick: (node: ComputeNodeRecord) => number) => nodes.reduce((total, node) => total + pick(node), 0);
  return {
    count: nodes.length,
    current_workload: 0,
    disk_available_least: sum((node) => node.freeDiskGb),
    free_disk_gb: sum((node) => node.freeDiskGb),
    free_ram_mb: sum((node) => node.freeRamMb),
    local_gb: sum((node) => node.localGb),
    local_gb_used: sum((node) => node.localGbUsed),
    memory_mb: sum((node) => node.memoryMb),
    memory_mb_used: sum((node) => node.memoryMbUsed),
    running_vms: sum((node) => node.runningVms),
    vcpus: sum((node) => node.vcpus),
    vcpus_used: sum((node) => node.vcpusUsed),
  };
}

const byName = z.looseObject({ host: z.string(), binary: z.string() });
const byStatus = z.looseObject({ status: z.enum(["enabled", "disabled"]) });

/** Routes under `/os-services`; administrators only. */
export function servicesRouter(services: ComputeServices): Router {
  const { services: daemons } = services.repositories;
  const router = Router();
  router.use((_req, res, next) => {
    requireAdmin(res, "os_compute_api:os-services");
    next();
  });
  const view = (one: ServiceRecord, minor: number) => ({
    id: serviceId(one, minor),
    binary: one.binary,
    host: one.host,
    zone: "nova",
    status: one.disabled ? "disabled" : "enabled",
    state: isServiceUp(one, services.clock.now(), services.serviceDownMs) ? "up" : "down",
    updated_at: isoMicros(one.lastSeenUp),
    disabled_reason: null,
    ...(minor < 11 ? {} : { forced_down: false }),
  });
  router.get("/", async (req, res) => {
    const [host, binary] = [queryOf(req, "host"), queryOf(req, "binary")];
    const found = await daemons.list({
      ...(host === undefined ? {} : { host }),
      ...(binary === undefined ? {} : { binary }),
    });
    res.json({ services: found.map((one) => view(one, microversionOf(res))) });
  });
  router.put(["/enable", "/disable"], async (req, res) => {
    const { host, binary } = parseBody(byName, req);
    const isDisabled = req.path.endsWith("/disable");
    const [one] = await daemons.list({ host, binary });
    if (one === undefined) throw notFound("Service", `${binary} on ${host}`);
    await daemons.setDisabled(one.id, isDisabled);
    res.json({ service: { host, binary, status: isDisabled ? "disabled" : "enabled" } });
  });
  router.put("/:id", async (req, res) => {
    const id = paramOf(req, "id");
    const one = (await daemons.list()).find((each) => serviceUuid(each) === id || each.id === integerOf(id));
    if (one === undefined) throw notFound("Service", id);
    const isDisabled = parseBody(byStatus, req).status === "disabled";
    await daemons.setDisabled(one.id, isDisabled);
    res.json({ service: view({ ...one, disabled: isDisabled }, microversionOf(res)) });
  });
  return router;
}

/** Routes under `/os-availability-zone`: there is one zone. */
export function availabilityZoneRouter(services: ComputeServices): Router {
  const router = Router();
  router.get("/", (_req, res) => {
    res.json({ availabilityZoneInfo: [{ zoneName: "nova", zoneState: { available: true }, hosts: null }] });
  });
  router.get("/detail", async (_req, res) => {
    requireAdmin(res, "os_compute_api:os-availability-zone:detail");
    const hosts: Record<string, object> = {};
    for (const one of await services.repositories.services.list({ binary: "nova-compute" })) {
      const available = isServiceUp(one, services.clock.now(), services.serviceDownMs);
      hosts[one.host] = { "nova-compute": { active: !one.disabled, available, updated_at: isoMicros(one.lastSeenUp) } };
    }
    res.json({ availabilityZoneInfo: [{ zoneName: "nova", zoneState: { available: true }, hosts }] });
  });
  return router;
}
