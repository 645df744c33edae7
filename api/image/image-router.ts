// Glance v2: versions, schemas, images, their data (clients.md 1.2). The bytes go through compute/image-store.
import { randomUUID } from "node:crypto";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import express, { type Request, type Response, Router } from "express";
import type { ImageStore } from "../../compute/image-store.ts";
import { canSeeImage } from "../../compute/instance-values.ts";
import type { ImageFilter, ImageRepository } from "../../db/images.ts";
import type { ImageRecord } from "../../db/records.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { HttpError } from "../http-error.ts";
import { type ApiUser, baseUrlOf, isTruthy, pageOf, paramOf, queryOf, userOf } from "../request.ts";
import { createInput, patchInput } from "./image-input.ts";
import { imageSchema, imagesSchema, imageView } from "./image-view.ts";

export interface ImageRouterOptions {
  readonly store: ImageStore;
  readonly images: ImageRepository;
  readonly authenticate: express.RequestHandler;
}

const VERSIONS = ["v2.2", "v2.1", "v2.0"];
const PATCH_TYPES = ["application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch"];

function versions(baseUrl: string): object {
  const links = [{ rel: "self", href: `${baseUrl}/image/v2/` }];
  return { versions: VERSIONS.map((id, index) => ({ id, status: index === 0 ? "CURRENT" : "SUPPORTED", links })) };
}

/** Routes under `/image`. */
export function imageRouter(options: ImageRouterOptions): Router {
  const { store, images, authenticate } = options;
  const router = Router();
  router.get("/", (_req, res) => void res.status(300).json(versions(baseUrlOf(res))));
  router.get("/versions", (_req, res) => void res.json(versions(baseUrlOf(res))));
  const v2 = Router();
  v2.use(authenticate);
  v2.get("/schemas/image", (_req, res) => void res.json(imageSchema));
  v2.get("/schemas/images", (_req, res) => void res.json(imagesSchema));
  v2.get("/schemas/metadefs/namespace", (_req, res) => void res.json({ name: "namespace", properties: {} }));
  v2.get("/schemas/metadefs/resource_type", (_req, res) => void res.json({ name: "resource_type", properties: {} }));
  v2.get("/schemas/metadefs/namespaces", (_req, res) => void res.json({ name: "namespaces", properties: {} }));
  v2.get("/metadefs/namespaces", (_req, res) => void res.json({ namespaces: [], first: "/v2/metadefs/namespaces" }));
  v2.put("/images/:id/file", (req, res) => uploadData(store, images, req, res));
  v2.get("/images/:id/file", (req, res) => downloadData(store, images, req, res));
  v2.use(express.json({ limit: "256kb", type: ["application/json", ...PATCH_TYPES] }));
  v2.get("/images", (req, res) => listImages(images, req, res));
  v2.post("/images", (req, res) => createImage(images, req, res));
  v2.get("/images/:id", async (req, res) => void res.json(imageView(await visible(images, req, res))));
  v2.patch("/images/:id", (req, res) => updateImage(images, req, res));
  v2.delete("/images/:id", (req, res) => deleteImage(store, images, req, res));
  v2.get("/images/:id/members", async (req, res) => {
    await visible(images, req, res);
    res.json({ members: [], schema: "/v2/schemas/members" });
  });
  router.use("/v2", v2);
  return router;
}

async function visible(images: ImageRepository, req: Request, res: Response): Promise<ImageRecord> {
  const id = paramOf(req, "id");
  const image = id.length > 36 ? undefined : await images.get(id);
  if (image === undefined || !canSeeImage(image, userOf(res))) {
    throw new BaremetalError("NotFound", `No image found with ID ${id}`, { data: { kind: "image", id } });
  }
  return image;
}

async function owned(images: ImageRepository, req: Request, res: Response): Promise<ImageRecord> {
  const image = await visible(images, req, res);
  const user = userOf(res);
  if (!user.isAdmin && image.owner !== user.projectId) {
    throw new BaremetalError("Forbidden", `You are not permitted to modify image ${image.id}.`);
  }
  return image;
}

function checkPublicity(user: ApiUser, patch: { visibility?: string; owner?: string | null }): void {
  if (!user.isAdmin && patch.visibility === "public") {
    throw new BaremetalError("Forbidden", "Policy doesn't allow publicize_image to be performed.");
  }
  if (!user.isAdmin && patch.owner !== undefined && patch.owner !== user.projectId) {
    throw new BaremetalError("Forbidden", "You are not permitted to give images to other projects.");
  }
}

async function createImage(images: ImageRepository, req: Request, res: Response): Promise<void> {
  const user = userOf(res);
  const { id = randomUUID(), patch } = createInput(req.body);
  checkPublicity(user, patch);
  const image = await images.create({ owner: user.projectId, ...patch, id });
  res
    .status(201)
    .location(`${baseUrlOf(res)}/image/v2/images/${id}`)
    .json(imageView(image));
}

async function listImages(images: ImageRepository, req: Request, res: Response): Promise<void> {
  const user = userOf(res);
  const [name, status, visibility, owner, id] = ["name", "status", "visibility", "owner", "id"].map((key) =>
    queryOf(req, key),
  );
  const filter = {
    ...(name === undefined ? {} : { name }),
    ...(status === undefined ? {} : { status }),
    ...(visibility === undefined || visibility === "all" ? {} : { visibility }),
    ...(owner === undefined ? {} : { owner }),
    ...(user.isAdmin ? {} : { visibleTo: user.projectId }),
  } as ImageFilter;
  const isHiddenWanted = isTruthy(queryOf(req, "os_hidden"));
  const all = (await images.list(filter)).filter(
    (image) =>
      image.hidden === isHiddenWanted && (id === undefined || id.replace(/^in:/, "").split(",").includes(image.id)),
  );
  const formats = ["disk_format", "container_format"].map((key) => queryOf(req, key));
  const wanted = all.filter(
    (image) =>
      (formats[0] === undefined || image.diskFormat === formats[0]) &&
      (formats[1] === undefined || image.containerFormat === formats[1]),
  );
  const { page, next } = pageOf(req, wanted, (image) => image.id);
  const more = new URLSearchParams(req.url.split("?")[1] ?? "");
  if (next !== undefined) more.set("marker", next);
  res.json({
    images: page.map(imageView),
    first: "/v2/images",
    ...(next === undefined ? {} : { next: `/v2/images?${more}` }),
    schema: "/v2/schemas/images",
  });
}

async function updateImage(images: ImageRepository, req: Request, res: Response): Promise<void> {
  const image = await owned(images, req, res);
  const patch = patchInput(image, req.body);
  checkPublicity(userOf(res), patch);
  await images.update(image.id, patch);
  res.json(imageView(await visible(images, req, res)));
}

async function deleteImage(store: ImageStore, images: ImageRepository, req: Request, res: Response): Promise<void> {
  const image = await owned(images, req, res);
  if (image.protected) {
    throw new BaremetalError(
      "Forbidden",
      `Image ${image.id} is protected and cannot be deleted; unset "protected" first.`,
    );
  }
  await store.delete(image.id);
  res.status(204).end();
}

async function uploadData(store: ImageStore, images: ImageRepository, req: Request, res: Response): Promise<void> {
  const image = await owned(images, req, res);
  const type = req.get("content-type") ?? "";
  if (!/^application\/octet-stream\b/.test(type)) {
    throw new HttpError(415, "Image data needs Content-Type: application/octet-stream");
  }
  if (image.diskFormat === null || image.containerFormat === null) {
    throw new BaremetalError(
      "BadInput",
      "Properties disk_format and container_format must be set before the data is uploaded.",
    );
  }
  const length = req.get("content-length");
  const expectedBytes = length === undefined ? undefined : Number(length);
  await store.upload(image.id, requestBody(req), { expectedBytes });
  res.status(204).end();
}

/** Trap: a pipeline that fails destroys its source, and with a request its connection: no client would see the refusal. */
function requestBody(req: Request): PassThrough {
  const body = new PassThrough();
  req.pipe(body);
  req.once("close", () => {
    if (!req.complete) body.destroy(Object.assign(new Error("the client went away"), { code: "ECONNRESET" }));
  });
  body.once("close", () => {
    req.unpipe(body);
    req.resume();
  });
  return body;
}

async function downloadData(store: ImageStore, images: ImageRepository, req: Request, res: Response): Promise<void> {
  const image = await visible(images, req, res);
  if (image.status === "queued" || image.status === "saving") {
    res.status(204).end();
    return;
  }
  const { stream, sizeBytes } = await store.open(image.id);
  res.status(200).type("application/octet-stream").set("Content-Length", String(sizeBytes));
  if (image.checksum !== null) res.set("Content-MD5", image.checksum);
  try {
    await pipeline(stream, res);
  } catch (error) {
    // The client went away, or the file could not be read: the answer has begun, only the connection can say so.
    if ((error as NodeJS.ErrnoException).code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
  }
}
