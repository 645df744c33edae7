// /images of the compute API: the image proxy that old clients and clients without a catalogue ask (facts section 8.4).
import { type Request, type Response, Router } from "express";
import { notFound } from "../../compute/compute-services.ts";
import { canSeeImage } from "../../compute/instance-values.ts";
import type { ImageRepository } from "../../db/images.ts";
import type { ImageRecord } from "../../db/records.ts";
import { baseUrlOf, isoSeconds, pageOf, paramOf, queryOf, userOf } from "../request.ts";
import { linksTo } from "./server-view.ts";

const STATUS: Readonly<Record<ImageRecord["status"], [status: string, progress: number]>> = {
  queued: ["SAVING", 25],
  saving: ["SAVING", 50],
  active: ["ACTIVE", 100],
  killed: ["ERROR", 0],
  deleted: ["DELETED", 0],
  deactivated: ["UNKNOWN", 0],
};

function view(image: ImageRecord, baseUrl: string): object {
  const [status, progress] = STATUS[image.status];
  return {
    id: image.id,
    name: image.name,
    status,
    progress,
    minDisk: image.minDisk,
    minRam: image.minRam,
    "OS-EXT-IMG-SIZE:size": image.sizeBytes,
    created: isoSeconds(image.createdAt),
    updated: isoSeconds(image.updatedAt),
    metadata: image.properties,
    links: linksTo(baseUrl, "images", image.id),
  };
}

/** Routes under `/images`; read only. */
export function imagesProxyRouter(images: ImageRepository): Router {
  const router = Router();
  const list = async (req: Request, res: Response): Promise<ImageRecord[]> => {
    const user = userOf(res);
    const name = queryOf(req, "name");
    const found = await images.list({
      ...(name === undefined ? {} : { name }),
      ...(user.isAdmin ? {} : { visibleTo: user.projectId }),
    });
    return pageOf(
      req,
      found.filter((image) => !image.hidden),
      (image) => image.id,
    ).page;
  };
  router.get("/", async (req, res) => {
    const links = (id: string) => linksTo(baseUrlOf(res), "images", id);
    res.json({ images: (await list(req, res)).map(({ id, name }) => ({ id, name, links: links(id) })) });
  });
  router.get("/detail", async (req, res) => {
    res.json({ images: (await list(req, res)).map((image) => view(image, baseUrlOf(res))) });
  });
  router.get("/:id", async (req, res) => {
    const id = paramOf(req, "id");
    const image = id.length > 36 ? undefined : await images.get(id);
    if (image === undefined || !canSeeImage(image, userOf(res))) throw notFound("Image", id);
    res.json({ image: view(image, baseUrlOf(res)) });
  });
  return router;
}
