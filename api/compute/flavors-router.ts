// /flavors and their extra specs (facts section 8.4).
import { randomUUID } from "node:crypto";
import { type Request, type Response, Router } from "express";
import { z } from "zod";
import { notFound } from "../../compute/compute-services.ts";
import type { FlavorRepository } from "../../db/flavors.ts";
import type { FlavorRecord } from "../../db/records.ts";
import { baseUrlOf, microversionOf, pageOf, paramOf, parseBody, queryOf, requireAdmin, userOf } from "../request.ts";
import { printableName } from "./printable-name.ts";
import { linksTo } from "./server-view.ts";

const MAX_INT = 2_147_483_647;

/** Clients send sizes as numbers or as digits; `""` is 0, as Nova itself shows a swap of 0. */
const size = z
  .union([
    z.int(),
    z.literal("").transform(() => 0),
    z
      .string()
      .regex(/^\d{1,10}$/, "must be a whole number")
      .transform(Number),
  ])
  .pipe(z.int().min(0).max(MAX_INT));
const positive = size.pipe(z.int().min(1));
const name = printableName;
const flavorId = z.union([
  z.int().min(0).transform(String),
  z
    .string()
    .max(255)
    .regex(/^[A-Za-z0-9._-]([A-Za-z0-9. _-]*[A-Za-z0-9._-])?$/, "may hold letters, digits, spaces and . _ -"),
]);

const createFlavor = z.object({
  flavor: z.looseObject({
    name,
    ram: positive,
    vcpus: positive,
    disk: size,
    id: z.union([flavorId, z.literal("")]).nullish(),
    swap: size.nullish(),
    rxtx_factor: z
      .union([
        z.number(),
        z
          .string()
          .regex(/^\d+(\.\d+)?$/)
          .transform(Number),
      ])
      .pipe(z.number().positive())
      .nullish(),
    "OS-FLV-EXT-DATA:ephemeral": size.nullish(),
    "os-flavor-access:is_public": z.union([z.boolean(), z.stringbool()]).nullish(),
    description: z.string().max(65_535).nullish(),
  }),
});

const specKey = z.string().regex(/^[A-Za-z0-9_.: -]{1,255}$/, "has 1 to 255 letters, digits, spaces and _ . : -");
const specValue = z.union([z.string(), z.number(), z.boolean()]).transform(String).pipe(z.string().max(255));
const specs = z.record(specKey, specValue);
const specsBody = z.object({ extra_specs: specs });

/** A flavor as Nova shows it at this microversion. */
export function flavorView(flavor: FlavorRecord, baseUrl: string, minor: number): object {
  return {
    id: flavor.id,
    name: flavor.name,
    ram: flavor.ram,
    vcpus: flavor.vcpus,
    disk: flavor.disk,
    swap: flavor.swap === 0 ? "" : flavor.swap,
    rxtx_factor: flavor.rxtxFactor,
    "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral,
    "OS-FLV-DISABLED:disabled": flavor.disabled,
    "os-flavor-access:is_public": flavor.isPublic,
    ...(minor < 55 ? {} : { description: flavor.description }),
    ...(minor < 61 ? {} : { extra_specs: flavor.extraSpecs }),
    links: linksTo(baseUrl, "flavors", flavor.id),
  };
}

/** Routes under `/flavors`. */
export function flavorsRouter(flavors: FlavorRepository): Router {
  const router = Router();
  const view = (flavor: FlavorRecord, res: Response) => flavorView(flavor, baseUrlOf(res), microversionOf(res));
  const find = async (req: Request, res: Response): Promise<FlavorRecord> => {
    const id = paramOf(req, "id");
    const flavor = id.length > 255 ? undefined : await flavors.get(id);
    if (flavor === undefined || !(flavor.isPublic || userOf(res).isAdmin)) throw notFound("Flavor", id);
    return flavor;
  };
  const list = async (req: Request, res: Response) => {
    const { page } = pageOf(req, await flavors.list(publicFilter(req, res)), (one) => one.id);
    return page;
  };
  router.get("/", async (req, res) => {
    const page = await list(req, res);
    const flavorsShort = page.map(({ id, name: text }) => ({
      id,
      name: text,
      links: linksTo(baseUrlOf(res), "flavors", id),
    }));
    res.json({ flavors: flavorsShort });
  });
  router.get("/detail", async (req, res) => {
    res.json({ flavors: (await list(req, res)).map((flavor) => view(flavor, res)) });
  });
  router.post("/", async (req, res) => {
    requireAdmin(res, "os_compute_api:os-flavor-manage:create");
    res.json({ flavor: view(await create(flavors, req), res) });
  });
  router.get("/:id", async (req, res) => void res.json({ flavor: view(await find(req, res), res) }));
  router.delete("/:id", async (req, res) => {
    requireAdmin(res, "os_compute_api:os-flavor-manage:delete");
    await flavors.destroy((await find(req, res)).id);
    res.status(202).end();
  });
  router.get(
    "/:id/os-extra_specs",
    async (req, res) => void res.json({ extra_specs: (await find(req, res)).extraSpecs }),
  );
  router.post("/:id/os-extra_specs", async (req, res) => {
    requireAdmin(res, "os_compute_api:os-flavor-extra-specs:create");
    const { id } = await find(req, res);
    const given = parseBody(specsBody, req).extra_specs;
    await flavors.setExtraSpecs(id, given);
    res.json({ extra_specs: given });
  });
  addSingleSpec(router, flavors, find);
  return router;
}

function addSingleSpec(
  router: Router,
  flavors: FlavorRepository,
  find: (req: Request, res: Response) => Promise<FlavorRecord>,
): void {
  router.get("/:id/os-extra_specs/:key", async (req, res) => {
    const { extraSpecs } = await find(req, res);
    const key = paramOf(req, "key");
    if (!Object.hasOwn(extraSpecs, key)) throw notFound("Flavor extra spec", key);
    res.json({ [key]: extraSpecs[key] });
  });
  router.put("/:id/os-extra_specs/:key", async (req, res) => {
    requireAdmin(res, "os_compute_api:os-flavor-extra-specs:update");
    const { id } = await find(req, res);
    const key = paramOf(req, "key");
    const value = parseBody(specs, req)[key];
    if (value === undefined) throw notFound("Flavor extra spec", key);
    await flavors.setExtraSpecs(id, { [key]: value });
    res.json({ [key]: value });
  });
  router.delete("/:id/os-extra_specs/:key", async (req, res) => {
    requireAdmin(res, "os_compute_api:os-flavor-extra-specs:delete");
    const { id } = await find(req, res);
    const key = paramOf(req, "key");
    if ((await flavors.deleteExtraSpec(id, key)) === undefined) throw notFound("Flavor extra spec", key);
    res.status(200).end();
  });
}

/** `is_public=None`, the word, is all of them, for an administrator; a user sees the public ones whatever is asked. */
function publicFilter(req: Request, res: Response): { isPublic?: boolean } {
  const asked = queryOf(req, "is_public");
  if (!userOf(res).isAdmin) return { isPublic: true };
  if (asked === undefined) return { isPublic: true };
  if (/^none$/i.test(asked)) return {};
  return { isPublic: /^(1|t|true|y|yes|on)$/i.test(asked) };
}

function create(flavors: FlavorRepository, req: Request): Promise<FlavorRecord> {
  const { flavor } = parseBody(createFlavor, req);
  const { id } = flavor;
  return flavors.create({
    id: id === undefined || id === null || id === "" || id === "auto" ? randomUUID() : id,
    name: flavor.name,
    ram: flavor.ram,
    vcpus: flavor.vcpus,
    disk: flavor.disk,
    swap: flavor.swap ?? 0,
    ephemeral: flavor["OS-FLV-EXT-DATA:ephemeral"] ?? 0,
    rxtxFactor: flavor.rxtx_factor ?? 1,
    isPublic: flavor["os-flavor-access:is_public"] ?? true,
    description: flavor.description ?? null,
  });
}
