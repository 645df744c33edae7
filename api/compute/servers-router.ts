// /servers: boot, list, show, delete, metadata, action (facts section 8.4, clients.md 1.2).
import { randomBytes } from "node:crypto";
import { type Request, type Response, Router } from "express";
import type { ComputeServices } from "../../compute/compute-services.ts";
import type { BootRequest } from "../../compute/instance-values.ts";
import { isServiceUp } from "../../compute/scheduler.ts";
import type { InstanceFilter } from "../../db/instances.ts";
import type { InstanceRecord } from "../../db/records.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { baseUrlOf, isTruthy, microversionOf, pageOf, paramOf, parseBody, queryOf, userOf } from "../request.ts";
import { serverAction } from "./server-actions.ts";
import { type CreateServer, createServer, metaBody, metadataBody, updateServer } from "./server-schemas.ts";
import { linksTo, type ServerViewContext, serverStatus, serverSummary, serverView } from "./server-view.ts";

/** Routes under `/servers`. */
export function serversRouter(services: ComputeServices): Router {
  const { instances } = services;
  const router = Router();
  const find = async (req: Request, res: Response): Promise<InstanceRecord> => {
    const id = paramOf(req, "id");
    const instance = id.length > 36 ? undefined : await instances.get(id, userOf(res));
    if (instance !== undefined) return instance;
    throw new BaremetalError("NotFound", `Instance ${id} could not be found.`, { data: { kind: "server", id } });
  };
  router.post("/", (req, res) => bootServer(services, req, res));
  router.get("/", (req, res) => listServers(services, req, res, false));
  router.get("/detail", (req, res) => listServers(services, req, res, true));
  router.get("/:id", async (req, res) => {
    res.json({ server: await fullView(services, await find(req, res), res) });
  });
  router.put("/:id", async (req, res) => {
    const instance = await find(req, res);
    const { server } = parseBody(updateServer, req);
    if (server.name !== undefined) await instances.rename(instance, server.name);
    res.json({ server: await fullView(services, await find(req, res), res) });
  });
  router.delete("/:id", async (req, res) => {
    await instances.delete(await find(req, res));
    res.status(204).end();
  });
  router.post("/:id/action", async (req, res) => {
    await serverAction(instances, await find(req, res), req.body, res);
    if (!res.headersSent) res.status(202).end();
  });
  router.get("/:id/metadata", async (req, res) => void res.json({ metadata: (await find(req, res)).metadata }));
  router.post("/:id/metadata", async (req, res) => {
    const instance = await find(req, res);
    const metadata = { ...instance.metadata, ...parseBody(metadataBody, req).metadata };
    await instances.setMetadata(instance, metadata);
    res.json({ metadata });
  });
  router.put("/:id/metadata/:key", async (req, res) => {
    const instance = await find(req, res);
    const { meta } = parseBody(metaBody, req);
    await instances.setMetadata(instance, { ...instance.metadata, ...meta });
    res.json({ meta });
  });
  router.delete("/:id/metadata/:key", async (req, res) => {
    const instance = await find(req, res);
    const key = paramOf(req, "key");
    if (!Object.hasOwn(instance.metadata, key)) throw new BaremetalError("NotFound", "Metadata item was not found");
    const left = Object.entries(instance.metadata).filter(([name]) => name !== key);
    await instances.setMetadata(instance, Object.fromEntries(left));
    res.status(204).end();
  });
  addEmptyParts(router, find);
  return router;
}

/** What a server of ours never has; clients ask all the same. */
function addEmptyParts(router: Router, find: (req: Request, res: Response) => Promise<InstanceRecord>): void {
  const parts: [path: string, answer: object][] = [
    ["ips", { addresses: {} }],
    ["os-security-groups", { security_groups: [] }],
    ["os-volume_attachments", { volumeAttachments: [] }],
    ["os-interface", { interfaceAttachments: [] }],
    ["tags", { tags: [] }],
  ];
  for (const [path, answer] of parts) {
    router.get(`/:id/${path}`, async (req, res) => {
      await find(req, res);
      res.json(answer);
    });
  }
}

async function bootServer(services: ComputeServices, req: Request, res: Response): Promise<void> {
  const { server } = parseBody(createServer, req);
  const user = userOf(res);
  const minor = microversionOf(res);
  checkUnsupported(server, minor);
  const total = server.max_count ?? server.min_count ?? 1;
  if ((server.min_count ?? 1) > total) throw new BaremetalError("BadInput", "min_count must be <= max_count");
  let first: InstanceRecord | undefined;
  for (let index = 1; index <= total; index++) {
    const request = bootRequest(server, total > 1 ? `${server.name}-${index}` : server.name);
    const instance = await services.instances.boot(request, user);
    first ??= instance;
  }
  if (first === undefined) throw new BaremetalError("Internal", "nothing was booted");
  res.status(202).location(`${baseUrlOf(res)}/compute/v2.1/servers/${first.uuid}`);
  res.json({
    server: {
      id: first.uuid,
      links: linksTo(baseUrlOf(res), "servers", first.uuid),
      "OS-DCF:diskConfig": "MANUAL",
      security_groups: [{ name: "default" }],
      // Nova always answers one. Nothing sets it here: log in by key.
      adminPass: randomBytes(9).toString("base64url"),
    },
  });
}

function bootRequest(server: CreateServer, name: string): BootRequest {
  return {
    name,
    imageRef: server.imageRef,
    flavorRef: server.flavorRef,
    keyName: server.key_name ?? undefined,
    userData: server.user_data ?? undefined,
    metadata: server.metadata ?? undefined,
    personality: server.personality?.map(({ path, contents }) => ({ path, contents })),
    configDrive:
      server.config_drive === undefined || server.config_drive === null || server.config_drive === ""
        ? false
        : server.config_drive,
    availabilityZone: server.availability_zone ?? undefined,
  };
}

/** What we could only forget is refused, with the way to do without. */
function checkUnsupported(server: CreateServer, minor: number): void {
  const bad = (field: string, message: string) => new BaremetalError("BadInput", message, { data: { field } });
  const { networks } = server;
  if (minor >= 37 && (networks === undefined || networks === null)) {
    throw bad(
      "networks",
      "Invalid input for field/attribute server. 'networks' is a required property: say none or auto",
    );
  }
  if (minor < 37 && typeof networks === "string") {
    throw bad("networks", "networks none and auto need microversion 2.37 or later");
  }
  if (Array.isArray(networks) && networks.length > 0) {
    throw bad(
      "networks",
      "There is no network service: the node keeps its own ports. Use --nic none (microversion 2.37 or later) or no --nic",
    );
  }
  if (minor >= 57 && server.personality) {
    throw bad(
      "personality",
      "personality was taken from the API at microversion 2.57; use user data or an earlier version",
    );
  }
  const isPlain = (server.block_device_mapping_v2 ?? []).every(
    (one) => one.source_type === "image" && one.destination_type === "local",
  );
  if (!isPlain || (server.block_device_mapping ?? []).length > 0) {
    throw bad("block_device_mapping", "There is no volume service: boot from an image");
  }
  if (server.tags && server.tags.length > 0) throw bad("tags", "Tags are not kept; use metadata");
  if (minor >= 19 && server.description) throw bad("description", "A description is not kept; use metadata");
}

async function listServers(services: ComputeServices, req: Request, res: Response, isDetail: boolean): Promise<void> {
  const user = userOf(res);
  const isAll = user.isAdmin && isTruthy(queryOf(req, "all_tenants") ?? queryOf(req, "all_projects"));
  const wantedProject = queryOf(req, "project_id") ?? queryOf(req, "tenant_id");
  const projectId = isAll ? wantedProject : user.projectId;
  const host = user.isAdmin ? queryOf(req, "host") : undefined;
  const node = user.isAdmin ? queryOf(req, "node") : undefined;
  const filter: InstanceFilter = {
    ...(projectId === undefined ? {} : { projectId }),
    ...(host === undefined ? {} : { host }),
    ...(node === undefined ? {} : { node }),
  };
  const isWanted = selection(req);
  const wanted = (await services.instances.list(filter)).filter(isWanted);
  const { page, next } = pageOf(req, wanted, (one) => one.uuid);
  const baseUrl = baseUrlOf(res);
  const servers: object[] = [];
  for (const one of page) servers.push(isDetail ? await fullView(services, one, res) : serverSummary(one, baseUrl));
  const isLimited = next !== undefined;
  const more = new URLSearchParams(req.url.split("?")[1] ?? "");
  if (isLimited) more.set("marker", next);
  const href = `${baseUrl}/compute/v2.1/servers${isDetail ? "/detail" : ""}?${more}`;
  res.json({ servers, ...(isLimited ? { servers_links: [{ rel: "next", href }] } : {}) });
}

/** The filters of the query string. Nova takes `name` as a regular expression; clients send plain names, or `^name$`. */
function selection(req: Request): (instance: InstanceRecord) => boolean {
  const text = queryOf(req, "name");
  const [status, image, flavor, uuid] = ["status", "image", "flavor", "uuid"].map((key) => queryOf(req, key));
  const plain = text?.replace(/^\^/, "").replace(/\$$/, "").replaceAll("\\", "");
  const isExact = text?.startsWith("^") && text.endsWith("$");
  return (instance) =>
    (plain === undefined || (isExact ? instance.displayName === plain : instance.displayName.includes(plain))) &&
    (status === undefined || serverStatus(instance) === status.toUpperCase()) &&
    (image === undefined || instance.imageRef === image) &&
    (flavor === undefined || instance.flavor.id === flavor) &&
    (uuid === undefined || instance.uuid === uuid);
}

async function fullView(services: ComputeServices, instance: InstanceRecord, res: Response): Promise<object> {
  return serverView(instance, {
    baseUrl: baseUrlOf(res),
    minor: microversionOf(res),
    isAdmin: userOf(res).isAdmin,
    address: await addressOf(services, instance),
    isHostUp: await isHostUp(services, instance.host),
  });
}

async function addressOf(services: ComputeServices, instance: InstanceRecord): Promise<ServerViewContext["address"]> {
  if (instance.node === null) return undefined;
  const { deployments, interfaces } = services.repositories;
  const [latest] = await deployments.listByInstance(instance.uuid);
  if (latest === undefined || latest.agentAddress === null) return undefined;
  const ports = await interfaces.listByNode(latest.nodeId);
  return { ip: latest.agentAddress, mac: ports[0]?.address ?? null };
}

async function isHostUp(services: ComputeServices, host: string | null): Promise<boolean> {
  if (host === null) return false;
  const found = await services.repositories.services.list({ host, binary: "nova-compute" });
  return found.some((one) => isServiceUp(one, services.clock.now(), services.serviceDownMs));
}
