// /os-keypairs (facts section 8.4).
import { type Request, type Response, Router } from "express";
import { z } from "zod";
import { notFound } from "../../compute/compute-services.ts";
import type { KeyPairService } from "../../compute/key-pairs.ts";
import type { KeyPairRecord } from "../../db/records.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { isoMicros, microversionOf, pageOf, paramOf, parseBody, queryOf, userOf } from "../request.ts";

const createKeyPair = z.object({
  keypair: z.looseObject({
    name: z.string(),
    public_key: z.string().max(16_384).nullish(),
    type: z.string().nullish(),
    user_id: z.string().max(255).nullish(),
  }),
});

function summary(record: KeyPairRecord, minor: number): Record<string, unknown> {
  const { name, fingerprint, publicKey, type } = record;
  return { name, fingerprint, public_key: publicKey, ...(minor < 2 ? {} : { type }) };
}

/** From 2.10 an administrator may name another user. */
function subjectOf(res: Response, asked: string | null | undefined): string {
  const user = userOf(res);
  if (asked === undefined || asked === null || asked === user.userId || microversionOf(res) < 10) return user.userId;
  if (!user.isAdmin)
    throw new BaremetalError("Forbidden", "Policy doesn't allow os_compute_api:os-keypairs to be performed.");
  return asked;
}

/** Routes under `/os-keypairs`. */
export function keyPairsRouter(keyPairs: KeyPairService): Router {
  const router = Router();
  router.get("/", async (req, res) => {
    const minor = microversionOf(res);
    const all = await keyPairs.list(subjectOf(res, queryOf(req, "user_id")));
    const page = minor < 35 ? all : pageOf(req, all, (one) => one.name).page;
    res.json({ keypairs: page.map((one) => ({ keypair: summary(one, minor) })) });
  });
  router.post("/", async (req, res) => {
    const { keypair } = parseBody(createKeyPair, req);
    if (keypair.type && keypair.type !== "ssh") {
      throw new BaremetalError("BadInput", "Only key pairs of type ssh can be given to an instance", {
        data: { field: "type" },
      });
    }
    const userId = subjectOf(res, keypair.user_id);
    const { record, privateKey } = await keyPairs.create(userId, keypair.name, keypair.public_key ?? undefined);
    const minor = microversionOf(res);
    res.status(minor < 2 ? 200 : 201).json({
      keypair: {
        ...summary(record, minor),
        user_id: userId,
        ...(privateKey === undefined ? {} : { private_key: privateKey }),
      },
    });
  });
  router.get("/:name", async (req: Request, res: Response) => {
    const name = paramOf(req, "name");
    const record = await keyPairs.get(subjectOf(res, queryOf(req, "user_id")), name);
    if (record === undefined) throw notFound("Keypair", name);
    const times = { created_at: isoMicros(record.createdAt), updated_at: null, deleted_at: null, deleted: false };
    res.json({ keypair: { ...summary(record, microversionOf(res)), user_id: record.userId, id: 0, ...times } });
  });
  router.delete("/:name", async (req, res) => {
    const name = paramOf(req, "name");
    if (!(await keyPairs.delete(subjectOf(res, queryOf(req, "user_id")), name))) throw notFound("Keypair", name);
    res.status(microversionOf(res) < 2 ? 202 : 204).end();
  });
  return router;
}
