// What a client may say of an image: the create body and the JSON patch (RFC 6902 with Glance's one-level paths).
import { z } from "zod";
import type { ImagePatch } from "../../db/images.ts";
import type { ImageRecord } from "../../db/records.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { BASE_FIELDS } from "./image-view.ts";

const DISK_FORMATS = ["ami", "ari", "aki", "raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "ploop"] as const;
const CONTAINER_FORMATS = ["ami", "ari", "aki", "bare", "ovf", "ova", "docker"] as const;
const PROPERTIES_LIMIT = 128;

/** The fields that a client may set. */
const settable = z.object({
  name: z.string().max(255).nullable(),
  visibility: z.enum(["public", "private", "shared", "community"]),
  protected: z.boolean(),
  os_hidden: z.boolean(),
  container_format: z.enum(CONTAINER_FORMATS).nullable(),
  disk_format: z.enum(DISK_FORMATS).nullable(),
  min_disk: z.int().min(0).max(2_147_483_647),
  min_ram: z.int().min(0).max(2_147_483_647),
  tags: z.array(z.string().max(255)).max(128),
  owner: z.string().max(64).nullable(),
});
type Settable = z.output<typeof settable>;

const propertyValue = z.string().max(16_384);
const uuid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "must be a uuid in lower case");

function bad(message: string, field: string): BaremetalError {
  return new BaremetalError("BadInput", message, { data: { field } });
}

function checked<T>(schema: z.ZodType<T>, value: unknown, field: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw bad(`Invalid value for ${field}: ${result.error.issues[0]?.message ?? "not accepted"}`, field);
}

function checkedField(field: string, value: unknown): Partial<Settable> {
  if (!Object.hasOwn(settable.shape, field)) {
    throw new BaremetalError("Forbidden", `Attribute '${field}' is read-only.`, { data: { field } });
  }
  const shape = settable.shape as Record<string, z.ZodType>;
  return { [field]: checked(shape[field] ?? z.never(), value, field) } as Partial<Settable>;
}

function checkedProperty(name: string, value: unknown): string {
  if (name === "" || name.length > 255) throw bad("A property's name has 1 to 255 characters", name);
  return checked(propertyValue, value, name);
}

function checkCount(properties: Readonly<Record<string, string>>): void {
  if (Object.keys(properties).length > PROPERTIES_LIMIT) {
    throw bad(`The limit of ${PROPERTIES_LIMIT} properties on an image has been exceeded.`, "properties");
  }
}

function toPatch(values: Partial<Settable>): ImagePatch {
  const { os_hidden, container_format, disk_format, min_disk, min_ram, ...same } = values;
  const patch: Record<string, unknown> = { ...same };
  if (os_hidden !== undefined) patch.hidden = os_hidden;
  if (container_format !== undefined) patch.containerFormat = container_format;
  if (disk_format !== undefined) patch.diskFormat = disk_format;
  if (min_disk !== undefined) patch.minDisk = min_disk;
  if (min_ram !== undefined) patch.minRam = min_ram;
  return patch as ImagePatch;
}

/** The create body: own fields, and any other field as a string property. @throws BaremetalError `BadInput`, `Forbidden` */
export function createInput(body: unknown): { id: string | undefined; patch: ImagePatch } {
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw bad("The body must be a JSON object", "body");
  const { id, ...rest } = body as Record<string, unknown>;
  let fields: Partial<Settable> = {};
  const properties = new Map<string, string>();
  for (const [name, value] of Object.entries(rest)) {
    if (BASE_FIELDS.has(name)) fields = { ...fields, ...checkedField(name, value) };
    else properties.set(name, checkedProperty(name, value));
  }
  const own = Object.fromEntries(properties);
  checkCount(own);
  return {
    id: id === undefined || id === null ? undefined : checked(uuid, id, "id"),
    patch: { ...toPatch(fields), properties: own },
  };
}

const operations = z
  .array(
    z.object({
      op: z.enum(["add", "replace", "remove"]),
      path: z.string().regex(/^\/[^/]+$/, "must name one field, as /name"),
      value: z.unknown().optional(),
    }),
  )
  .max(256);

/** What the operations make of `image`. @throws BaremetalError `BadInput`, `Forbidden`, `Conflict` for a property that is not there */
export function patchInput(image: ImageRecord, body: unknown): ImagePatch {
  let fields: Partial<Settable> = {};
  const properties = new Map(Object.entries(image.properties));
  for (const { op, path, value } of checked(operations, body, "the JSON patch")) {
    const name = path.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");
    if (BASE_FIELDS.has(name)) {
      if (op === "remove") throw new BaremetalError("Forbidden", `Property ${name} may not be removed.`);
      fields = { ...fields, ...checkedField(name, value) };
    } else if (op === "remove" || op === "replace") {
      if (!properties.has(name)) throw new BaremetalError("Conflict", `Property ${name} does not exist.`);
      if (op === "remove") properties.delete(name);
      else properties.set(name, checkedProperty(name, value));
    } else properties.set(name, checkedProperty(name, value));
  }
  const own = Object.fromEntries(properties);
  checkCount(own);
  const isFormatChange = fields.disk_format !== undefined || fields.container_format !== undefined;
  if (isFormatChange && image.status !== "queued") {
    throw new BaremetalError(
      "Forbidden",
      "Attributes 'disk_format' and 'container_format' are read-only once there is data.",
    );
  }
  return { ...toPatch(fields), properties: own };
}
