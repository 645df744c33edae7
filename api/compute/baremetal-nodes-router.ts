// /os-baremetal-nodes: enrolment, as the extension of Juno words it (facts section 8.1). Administrators only.
import { type Request, Router } from "express";
import { z } from "zod";
import { type ComputeServices, notFound } from "../../compute/compute-services.ts";
import type { InterfaceRecord, NodeRecord } from "../../db/records.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { integerOf, isoMicros, paramOf, parseBody, requireAdmin } from "../request.ts";

const MAX_INT = 2_147_483_647;
const whole = z
  .union([
    z.int(),
    z
      .string()
      .regex(/^\d{1,10}$/, "must be a whole number")
      .transform(Number),
  ])
  .pipe(z.int().min(0).max(MAX_INT));
const MAC_MESSAGE = "Must specify address in the form of xx:xx:xx:xx:xx:xx";
const mac = z.string(MAC_MESSAGE).regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, MAC_MESSAGE);
const short = z.string().max(255);

/** The fields that are taken; anything else in the body is let fall, so that no client can write a node's state. */
const createNode = z.object({
  node: z.object({
    service_host: short.min(1),
    cpus: whole,
    memory_mb: whole,
    local_gb: whole,
    pm_address: short.nullish(),
    pm_user: short.nullish(),
    pm_password: short.nullish(),
    terminal_port: whole.pipe(z.int().max(65_535)).nullish(),
    prov_mac_address: mac.nullish(),
    uuid: z
      .string()
      .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "must be a uuid in lower case")
      .nullish(),
  }),
});

const addInterface = z.object({
  address: mac,
  datapath_id: z.union([z.string().max(255), z.int().transform(String)]).nullish(),
  port_no: whole.nullish(),
});
const removeInterface = z.object({ id: whole.nullish(), address: z.string().nullish() });

function interfaceView(port: InterfaceRecord): object {
  return { id: port.id, address: port.address, datapath_id: port.datapathId, port_no: port.portNo };
}

/** What is shown of a node: never its BMC password, deploy key or virtual interfaces. */
function nodeView(node: NodeRecord, ports: readonly InterfaceRecord[]): object {
  return {
    id: node.id,
    uuid: node.uuid,
    service_host: node.serviceHost,
    cpus: node.cpus,
    memory_mb: node.memoryMb,
    local_gb: node.localGb,
    pm_address: node.pmAddress,
    pm_user: node.pmUser,
    terminal_port: node.terminalPort,
    instance_uuid: node.instanceUuid,
    task_state: node.taskState,
    updated_at: isoMicros(node.updatedAt),
    pxe_config_path: node.pxeConfigPath,
    interfaces: ports.map(interfaceView),
  };
}

/** Routes under `/os-baremetal-nodes`. `{id}` is the integer id; the uuid is answered too. */
export function baremetalNodesRouter(services: ComputeServices): Router {
  const { nodes, interfaces } = services.repositories;
  const router = Router();
  router.use((_req, res, next) => {
    requireAdmin(res, "compute_extension:baremetal_nodes");
    next();
  });
  const find = async (req: Request): Promise<NodeRecord> => {
    const text = paramOf(req, "id");
    const id = integerOf(text);
    const node = id !== undefined ? await nodes.get(id) : text.length > 36 ? undefined : await nodes.getByUuid(text);
    if (node === undefined) throw notFound("Node", text);
    return node;
  };
  router.get("/", async (_req, res) => {
    const [all, ports] = await Promise.all([nodes.list(), interfaces.listAll()]);
    const byNode = groupPorts(ports);
    res.json({ nodes: all.map((node) => nodeView(node, byNode.get(node.id) ?? [])) });
  });
  router.post("/", async (req, res) => {
    const { node } = parseBody(createNode, req);
    const first = node.prov_mac_address ? [{ address: node.prov_mac_address }] : [];
    const record = await nodes.create(
      {
        ...(node.uuid ? { uuid: node.uuid } : {}),
        serviceHost: node.service_host,
        cpus: node.cpus,
        memoryMb: node.memory_mb,
        localGb: node.local_gb,
        pmAddress: node.pm_address ?? null,
        pmUser: node.pm_user ?? null,
        pmPassword: node.pm_password ?? null,
        terminalPort: node.terminal_port ?? null,
      },
      first,
    );
    await services.reportSoon();
    res.json({ node: nodeView(record, await interfaces.listByNode(record.id)) });
  });
  router.get("/:id", async (req, res) => {
    const node = await find(req);
    res.json({ node: nodeView(node, await interfaces.listByNode(node.id)) });
  });
  router.delete("/:id", async (req, res) => {
    await nodes.destroy((await find(req)).id);
    await services.reportSoon();
    res.status(202).end();
  });
  router.post("/:id/action", async (req, res) => {
    const node = await find(req);
    const body: unknown = req.body;
    const names = typeof body === "object" && body !== null ? Object.keys(body) : [];
    if (names.length === 1 && names[0] === "add_interface") {
      const { add_interface: port } = parseBody(z.object({ add_interface: addInterface }), req);
      const added = await interfaces.create(node.id, {
        address: port.address,
        datapathId: port.datapath_id ?? null,
        portNo: port.port_no ?? null,
      });
      res.json({ interface: interfaceView(added) });
    } else if (names.length === 1 && names[0] === "remove_interface") {
      const { remove_interface: by } = parseBody(z.object({ remove_interface: removeInterface }), req);
      await remove(services, node, { id: by.id ?? undefined, address: by.address ?? undefined });
      res.status(202).end();
    } else {
      throw new BaremetalError("BadInput", "The body must name one action: add_interface or remove_interface");
    }
  });
  return router;
}

async function remove(
  services: ComputeServices,
  node: NodeRecord,
  by: { id: number | undefined; address: string | undefined },
): Promise<void> {
  if (by.id === undefined && by.address === undefined)
    throw new BaremetalError("BadInput", "Must specify id or address");
  if (by.address !== undefined && !mac.safeParse(by.address).success) throw new BaremetalError("BadInput", MAC_MESSAGE);
  if (!(await services.repositories.interfaces.destroyBy(node.id, by))) {
    throw notFound("Interface", by.address ?? by.id ?? "");
  }
}

function groupPorts(ports: readonly InterfaceRecord[]): Map<number, InterfaceRecord[]> {
  const groups = new Map<number, InterfaceRecord[]>();
  for (const port of ports) {
    const group = groups.get(port.nodeId);
    if (group === undefined) groups.set(port.nodeId, [port]);
    else group.push(port);
  }
  return groups;
}
