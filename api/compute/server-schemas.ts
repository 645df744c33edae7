// The bodies that clients send about servers. Unknown fields are let pass: clients of ten years send them.
import { z } from "zod";
import { printableName } from "./printable-name.ts";

const name = printableName;

export const metadata = z.record(z.string().min(1).max(255), z.string().max(255));

const truth = z.union([z.boolean(), z.stringbool()]);
const count = z
  .union([
    z.int(),
    z
      .string()
      .regex(/^\d{1,4}$/)
      .transform(Number),
  ])
  .pipe(z.int().min(1).max(100));

/** `imageRef` and `flavorRef` may be ids or the URLs of old clients. */
const ref = z
  .union([z.string(), z.int().transform(String)])
  .transform((text) => text.replace(/\/+$/, "").split("/").pop() ?? "")
  .pipe(z.string().min(1).max(255));

export const createServer = z.object({
  server: z.looseObject({
    name,
    imageRef: ref,
    flavorRef: ref,
    key_name: z.string().nullish(),
    user_data: z.string().nullish(),
    metadata: metadata.nullish(),
    personality: z.array(z.looseObject({ path: z.string().min(1).max(255), contents: z.string() })).nullish(),
    config_drive: z.union([truth, z.literal("")]).nullish(),
    availability_zone: z.string().max(255).nullish(),
    min_count: count.nullish(),
    max_count: count.nullish(),
    networks: z.union([z.enum(["none", "auto"]), z.array(z.looseObject({}))]).nullish(),
    block_device_mapping: z.array(z.unknown()).nullish(),
    block_device_mapping_v2: z
      .array(z.looseObject({ source_type: z.string().nullish(), destination_type: z.string().nullish() }))
      .nullish(),
    description: z.string().max(255).nullish(),
    tags: z.array(z.string()).nullish(),
  }),
});
export type CreateServer = z.output<typeof createServer>["server"];

export const updateServer = z.object({ server: z.looseObject({ name: name.optional() }) });
export const metadataBody = z.object({ metadata });
export const metaBody = z.object({ meta: metadata });
export const reboot = z.object({
  type: z
    .string()
    .transform((text) => text.toUpperCase())
    .pipe(z.enum(["SOFT", "HARD"])),
});
export const resetState = z.object({ state: z.enum(["active", "error"]) });
/** `length`: the last so many lines; null, absent or -1: all that are told. novaclient writes it as a text. */
export const consoleOutput = z.object({
  length: z
    .union([
      z.int(),
      z
        .string()
        .regex(/^-?[0-9]{1,9}$/)
        .transform(Number),
    ])
    .pipe(z.int().min(-1))
    .nullish()
    .transform((length) => (length == null || length === -1 ? undefined : length)),
});
