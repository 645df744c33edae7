// An image as Glance v2 shows it, and the JSON schemas that its own client asks for (clients.md 1.2).
import type { ImageRecord } from "../../db/records.ts";
import { isoSeconds } from "../request.ts";

/** The image as one flat object: its own fields and its properties side by side. */
export function imageView(image: ImageRecord): Record<string, unknown> {
  return {
    ...image.properties,
    id: image.id,
    name: image.name,
    status: image.status,
    visibility: image.visibility,
    owner: image.owner,
    protected: image.protected,
    os_hidden: image.hidden,
    container_format: image.containerFormat,
    disk_format: image.diskFormat,
    min_disk: image.minDisk,
    min_ram: image.minRam,
    size: image.sizeBytes,
    virtual_size: image.virtualSizeBytes,
    checksum: image.checksum,
    os_hash_algo: image.osHashAlgo,
    os_hash_value: image.osHashValue,
    tags: image.tags,
    created_at: isoSeconds(image.createdAt),
    updated_at: isoSeconds(image.updatedAt),
    self: `/v2/images/${image.id}`,
    file: `/v2/images/${image.id}/file`,
    schema: "/v2/schemas/image",
  };
}

const text = (description: string, more: object = {}) => ({ type: ["null", "string"], description, ...more });
const readOnly = { readOnly: true };

const PROPERTIES: Readonly<Record<string, object>> = {
  id: {
    type: "string",
    description: "An identifier for the image",
    pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
  },
  name: text("Descriptive name for the image", { maxLength: 255 }),
  status: {
    type: "string",
    description: "Status of the image",
    enum: ["queued", "saving", "active", "killed", "deleted", "deactivated"],
    ...readOnly,
  },
  visibility: {
    type: "string",
    description: "Scope of image accessibility",
    enum: ["public", "private", "shared", "community"],
  },
  owner: text("Owner of the image", { maxLength: 255 }),
  protected: { type: "boolean", description: "If true, image will not be deletable" },
  os_hidden: { type: "boolean", description: "If true, image will not appear in default image list response" },
  container_format: text("Format of the container", {
    enum: [null, "ami", "ari", "aki", "bare", "ovf", "ova", "docker"],
  }),
  disk_format: text("Format of the disk", {
    enum: [null, "ami", "ari", "aki", "raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "ploop"],
  }),
  min_disk: { type: "integer", description: "Amount of disk space (in GB) required to boot image" },
  min_ram: { type: "integer", description: "Amount of ram (in MB) required to boot image" },
  size: { type: ["null", "integer"], description: "Size of image file in bytes", ...readOnly },
  virtual_size: { type: ["null", "integer"], description: "Virtual size of image in bytes", ...readOnly },
  checksum: text("md5 hash of image contents", { maxLength: 32, ...readOnly }),
  os_hash_algo: text("Algorithm to calculate the os_hash_value", { maxLength: 64, ...readOnly }),
  os_hash_value: text("Hexdigest of the image contents", { maxLength: 128, ...readOnly }),
  tags: {
    type: "array",
    description: "List of strings related to the image",
    items: { type: "string", maxLength: 255 },
  },
  created_at: { type: "string", description: "Date and time of image registration", ...readOnly },
  updated_at: { type: "string", description: "Date and time of the last image modification", ...readOnly },
  self: { type: "string", description: "An image self url", ...readOnly },
  file: { type: "string", description: "An image file url", ...readOnly },
  schema: { type: "string", description: "An image schema url", ...readOnly },
};

export const imageSchema = {
  name: "image",
  properties: PROPERTIES,
  additionalProperties: { type: "string" },
  links: [
    { rel: "self", href: "{self}" },
    { rel: "enclosure", href: "{file}" },
    { rel: "describedby", href: "{schema}" },
  ],
};

export const imagesSchema = {
  name: "images",
  properties: {
    images: { type: "array", items: imageSchema },
    first: { type: "string" },
    next: { type: "string" },
    schema: { type: "string" },
  },
  links: [
    { rel: "first", href: "{first}" },
    { rel: "next", href: "{next}" },
    { rel: "describedby", href: "{schema}" },
  ],
};

/** The fields that are the image's own: everything else in a request is a property of the user's. */
export const BASE_FIELDS: ReadonlySet<string> = new Set(Object.keys(PROPERTIES));
