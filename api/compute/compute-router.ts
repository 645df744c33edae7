// The compute API put together: versions, microversions, the project in the path, and the resources.
import express, { type NextFunction, type Request, type Response, Router } from "express";
import type { ComputeServices } from "../../compute/compute-services.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { baseUrlOf, userOf } from "../request.ts";
import { baremetalNodesRouter } from "./baremetal-nodes-router.ts";
import { deploymentsRouter } from "./deployments-router.ts";
import { flavorsRouter } from "./flavors-router.ts";
import { availabilityZoneRouter, hypervisorsRouter, servicesRouter } from "./hosts-router.ts";
import { imagesProxyRouter } from "./images-proxy-router.ts";
import { keyPairsRouter } from "./key-pairs-router.ts";
import { legacyVersion, microversion, versionDocument } from "./microversion.ts";
import { serversRouter } from "./servers-router.ts";

const ROOTS = new Set([
  "servers",
  "flavors",
  "images",
  "extensions",
  "limits",
  "os-keypairs",
  "os-hypervisors",
  "os-services",
  "os-availability-zone",
  "os-quota-sets",
  "os-baremetal-nodes",
  "os-baremetal-deployments",
]);

export interface ComputeRouterOptions {
  readonly services: ComputeServices;
  readonly authenticate: express.RequestHandler;
  /** True if everybody is the administrator: then the project in the path is of no account. */
  readonly isOpen: boolean;
}

/** Routes under `/compute`. */
export function computeRouter(options: ComputeRouterOptions): Router {
  const router = Router();
  router.get("/", (_req, res) => {
    const baseUrl = baseUrlOf(res);
    res.json({ versions: [versionDocument(baseUrl, "v2.0"), versionDocument(baseUrl, "v2.1")] });
  });
  const document = (id: "v2.0" | "v2.1") => (_req: Request, res: Response) =>
    void res.json({ version: versionDocument(baseUrlOf(res), id) });
  const resources = resourcesRouter(options.services);
  const inner: express.RequestHandler[] = [
    options.authenticate,
    express.json({ limit: "1mb" }),
    stripProject(options.isOpen),
  ];
  router.get("/v2.1", document("v2.1"));
  router.use("/v2.1", microversion, ...inner, resourcesOrVersion(resources, document("v2.1")));
  router.get("/v2", document("v2.0"));
  router.use("/v2", legacyVersion, ...inner, resourcesOrVersion(resources, document("v2.0")));
  return router;
}

/** `/v2/{tenant}` alone is asked for the version too. */
function resourcesOrVersion(resources: Router, document: express.RequestHandler): express.RequestHandler {
  return (req, res, next) =>
    req.path === "/" && req.method === "GET" ? document(req, res, next) : resources(req, res, next);
}

/** Takes a leading project id out of the path: both forms of URL are answered by the same routes. */
function stripProject(isOpen: boolean): express.RequestHandler {
  return (req: Request, res: Response, next: NextFunction) => {
    const match = /^\/([^/?]+)(.*)$/.exec(req.url);
    const project = match?.[1];
    if (project === undefined || ROOTS.has(project)) return next();
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(project))
      throw new BaremetalError("NotFound", "The resource could not be found.");
    const user = userOf(res);
    if (!isOpen && project !== user.projectId && project !== user.projectName) {
      throw new BaremetalError(
        "BadInput",
        `Malformed request URL: URL's project_id '${project}' doesn't match Context's project_id '${user.projectId}'`,
      );
    }
    const rest = match?.[2] ?? "";
    req.url = rest.startsWith("/") ? rest : `/${rest}`;
    return next();
  };
}

function resourcesRouter(services: ComputeServices): Router {
  const { repositories } = services;
  const router = Router();
  router.use("/servers", serversRouter(services));
  router.use("/flavors", flavorsRouter(repositories.flavors));
  router.use("/images", imagesProxyRouter(repositories.images));
  router.use("/os-keypairs", keyPairsRouter(services.keyPairs));
  router.use("/os-hypervisors", hypervisorsRouter(services));
  router.use("/os-services", servicesRouter(services));
  router.use("/os-availability-zone", availabilityZoneRouter(services));
  router.use("/os-baremetal-nodes", baremetalNodesRouter(services));
  router.use("/os-baremetal-deployments", deploymentsRouter(services));
  router.get("/extensions", (_req, res) => void res.json({ extensions: EXTENSIONS }));
  router.get("/limits", (_req, res) => void res.json({ limits: { rate: [], absolute: UNLIMITED_ABSOLUTE } }));
  router.get(["/os-quota-sets/:project", "/os-quota-sets/:project/defaults"], (req, res) => {
    res.json({ quota_set: { id: req.params.project, ...UNLIMITED_QUOTA } });
  });
  return router;
}

const EXTENSIONS = [
  {
    alias: "os-baremetal-nodes",
    name: "BareMetalNodes",
    namespace: "http://docs.openstack.org/compute/ext/baremetal_nodes/api/v2",
    updated: "2013-01-04T00:00:00Z",
    description: "Admin-only bare-metal node administration.",
    links: [],
  },
  {
    alias: "os-baremetal-ext-status",
    name: "BareMetalExtStatus",
    namespace: "http://docs.openstack.org/compute/ext/baremetal_ext_status/api/v2",
    updated: "2013-08-27T00:00:00Z",
    description: "State fields of bare-metal nodes.",
    links: [],
  },
];

/** There are no quotas: a machine is free or it is not. -1 is Nova's word for it. */
const UNLIMITED_QUOTA = {
  instances: -1,
  cores: -1,
  ram: -1,
  key_pairs: -1,
  metadata_items: 128,
  injected_files: 5,
  injected_file_content_bytes: 10_240,
  injected_file_path_bytes: 255,
};

const UNLIMITED_ABSOLUTE = {
  maxTotalInstances: -1,
  maxTotalCores: -1,
  maxTotalRAMSize: -1,
  maxTotalKeypairs: -1,
  maxServerMeta: 128,
  maxImageMeta: 128,
  maxPersonality: 5,
  maxPersonalitySize: 10_240,
  totalInstancesUsed: 0,
  totalCoresUsed: 0,
  totalRAMUsed: 0,
};
