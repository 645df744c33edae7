// Checking a boot request against flavor, image and key, and making the instance's row of it (facts section 8.4).
import { randomUUID } from "node:crypto";
import type { NewInstance } from "../db/instances.ts";
import type { FlavorRecord, ImageRecord, KeyPairRecord } from "../db/records.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { ForcedPlacement } from "./instance-build.ts";

/** Who asks. */
export interface Requester {
  readonly userId: string;
  readonly projectId: string;
  readonly isAdmin: boolean;
}

/** What a user asks for; sizes are checked here, not by the caller. */
export interface BootRequest {
  readonly name: string;
  readonly imageRef: string;
  readonly flavorRef: string;
  readonly keyName?: string | undefined;
  /** Base64. */
  readonly userData?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly personality?: readonly { path: string; contents: string }[] | undefined;
  readonly configDrive?: boolean | undefined;
  /** `zone`, or `zone:host:node` from an administrator. */
  readonly availabilityZone?: string | undefined;
}

/** Where the things that a request names are looked up. */
export interface BootCatalog {
  flavor(id: string): Promise<FlavorRecord | undefined>;
  image(id: string): Promise<ImageRecord | undefined>;
  keyPair(userId: string, name: string): Promise<KeyPairRecord | undefined>;
}

/** The formats that can be written to a disk. */
const DISK_FORMATS = new Set(["raw", "qcow2", "ami"]);
const USER_DATA_LIMIT = 65_535;
const FILES_LIMIT = 5;
const FILE_BYTES_LIMIT = 10_240;
const METADATA_LIMIT = 128;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function bad(message: string, field: string): BaremetalError {
  return new BaremetalError("BadInput", message, { data: { field } });
}

/** `My Web_1` -> `my-web-1`; what has nothing left is named after its uuid. At most 63 characters, as DNS has it. */
export function hostnameOf(name: string, uuid: string): string {
  const clean = name
    .toLowerCase()
    .replace(/[ _]/g, "-")
    .replace(/[^a-z0-9.-]/g, "")
    .replace(/^[-.]+/, "")
    .slice(0, 63)
    .replace(/[-.]+$/, "");
  return clean === "" ? `server-${uuid}` : clean;
}

/** Splits `zone:host:node`. @throws BaremetalError `Forbidden` for a host or node from a user, `BadInput` */
export function parseZone(text: string | undefined, isAdmin: boolean): ForcedPlacement & { zone: string | null } {
  if (text === undefined || text === "") return { zone: null };
  const parts = text.split(":");
  if (parts.length > 3)
    throw bad("Unable to parse availability_zone: write zone, zone:host or zone:host:node", "availability_zone");
  const [zone, forcedHost, forcedNode] = parts.map((part) => (part === "" ? undefined : part));
  if ((forcedHost !== undefined || forcedNode !== undefined) && !isAdmin) {
    throw new BaremetalError("Forbidden", "Policy doesn't allow create:forced_host to be performed.");
  }
  if (zone !== undefined && zone !== "nova")
    throw bad("The requested availability zone is not available: the only one is nova", "availability_zone");
  return { zone: zone ?? null, forcedHost, forcedNode };
}

/**
 * The row of a new instance.
 * @throws BaremetalError `BadInput` that says what is wrong and how to put it right
 */
export async function instanceValues(
  request: BootRequest,
  requester: Requester,
  catalog: BootCatalog,
): Promise<NewInstance> {
  const flavor = await catalog.flavor(request.flavorRef);
  if (flavor === undefined || flavor.disabled)
    throw bad(`Flavor ${request.flavorRef} could not be found.`, "flavorRef");
  const image = await usableImage(request.imageRef, requester, catalog);
  checkFit(image, flavor);
  const boot = await bootImages(image, requester, catalog);
  const key = await chosenKey(request.keyName, requester, catalog);
  checkPayload(request);
  const uuid = randomUUID();
  const { rxtxFactor: _rxtx, isPublic: _public, disabled: _disabled, description: _text, ...snapshot } = flavor;
  return {
    uuid,
    displayName: request.name,
    hostname: hostnameOf(request.name, uuid),
    projectId: requester.projectId,
    userId: requester.userId,
    imageRef: image.id,
    ...boot,
    flavor: snapshot,
    memoryMb: flavor.ram,
    vcpus: flavor.vcpus,
    rootGb: flavor.disk,
    ephemeralGb: flavor.ephemeral,
    vmState: "building",
    taskState: "scheduling",
    powerState: 0,
    progress: 0,
    keyName: key?.name ?? null,
    keyData: key?.publicKey ?? null,
    userData: request.userData ?? null,
    metadata: request.metadata ?? {},
    personality: request.personality ?? [],
    configDrive: request.configDrive ?? false,
    availabilityZone: parseZone(request.availabilityZone, requester.isAdmin).zone,
  };
}

/** True if the requester may see the image. */
export function canSeeImage(image: ImageRecord, requester: Requester): boolean {
  if (requester.isAdmin || image.visibility === "public" || image.visibility === "community") return true;
  return image.owner === requester.projectId;
}

async function usableImage(id: string, requester: Requester, catalog: BootCatalog): Promise<ImageRecord> {
  const image = await catalog.image(id);
  if (image === undefined || !canSeeImage(image, requester)) throw bad(`Image ${id} could not be found.`, "imageRef");
  if (image.status !== "active") {
    throw bad(`Image ${id} is not active: it is ${image.status}; upload its data first`, "imageRef");
  }
  if (image.diskFormat === null || !DISK_FORMATS.has(image.diskFormat)) {
    throw bad(
      `Image ${id} has the disk format ${image.diskFormat}: only raw, qcow2 and ami can be deployed`,
      "imageRef",
    );
  }
  return image;
}

function checkFit(image: ImageRecord, flavor: FlavorRecord): void {
  if (image.minRam > flavor.ram) {
    throw bad(
      `Flavor's memory is too small for requested image: ${flavor.ram} MB, image needs ${image.minRam} MB.`,
      "flavorRef",
    );
  }
  const isRaw = image.diskFormat === "raw" || image.diskFormat === "ami";
  const bytes = image.virtualSizeBytes ?? (isRaw ? image.sizeBytes : null) ?? 0;
  const needsGb = Math.max(image.minDisk, bytes / 1024 ** 3);
  if (flavor.disk > 0 && needsGb > flavor.disk) {
    throw bad(
      `Flavor's disk is too small for requested image: ${flavor.disk} GB, image needs ${needsGb.toFixed(2)} GB.`,
      "flavorRef",
    );
  }
}

async function bootImages(
  image: ImageRecord,
  requester: Requester,
  catalog: BootCatalog,
): Promise<{ kernelId: string; ramdiskId: string }> {
  const ids = { kernelId: image.properties.kernel_id, ramdiskId: image.properties.ramdisk_id };
  for (const [property, id] of [["kernel_id", ids.kernelId] as const, ["ramdisk_id", ids.ramdiskId] as const]) {
    // Trap: an empty string is a missing id too.
    if (!id) {
      throw bad(
        `Image ${image.id} has no property ${property}: a bare-metal node boots its kernel and ramdisk over the network; ` +
          `set it with "openstack image set --property ${property}=<image id> ${image.id}"`,
        "imageRef",
      );
    }
    const part = await catalog.image(id);
    if (part === undefined || !canSeeImage(part, requester)) {
      throw bad(`Image ${id}, the ${property} of image ${image.id}, could not be found.`, "imageRef");
    }
    if (part.status !== "active")
      throw bad(`Image ${id}, the ${property} of image ${image.id}, is ${part.status}.`, "imageRef");
  }
  return { kernelId: ids.kernelId ?? "", ramdiskId: ids.ramdiskId ?? "" };
}

async function chosenKey(
  name: string | undefined,
  requester: Requester,
  catalog: BootCatalog,
): Promise<KeyPairRecord | undefined> {
  if (name === undefined) return undefined;
  const key = await catalog.keyPair(requester.userId, name);
  if (key === undefined)
    throw bad(`Invalid key_name provided: you have no key pair ${JSON.stringify(name)}.`, "key_name");
  return key;
}

function checkPayload(request: BootRequest): void {
  const { userData, personality = [], metadata = {} } = request;
  if (userData !== undefined) {
    if (userData.length > USER_DATA_LIMIT)
      throw bad(`User data is too large: at most ${USER_DATA_LIMIT} characters of base64.`, "user_data");
    if (!BASE64.test(userData.replace(/\s/g, ""))) throw bad("User data needs to be valid base64.", "user_data");
  }
  if (personality.length > FILES_LIMIT)
    throw bad(`Personality file limit exceeded: at most ${FILES_LIMIT} files.`, "personality");
  for (const file of personality) {
    if (!BASE64.test(file.contents.replace(/\s/g, "")))
      throw bad(`Personality content for ${file.path} cannot be decoded.`, "personality");
    if (Buffer.from(file.contents, "base64").length > FILE_BYTES_LIMIT) {
      throw bad(`Personality file ${file.path} is too large: at most ${FILE_BYTES_LIMIT} bytes.`, "personality");
    }
  }
  if (Object.keys(metadata).length > METADATA_LIMIT)
    throw bad(`Quota exceeded: at most ${METADATA_LIMIT} metadata items.`, "metadata");
}
