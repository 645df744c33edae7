// Unit tests of the checks on a boot request.
import { expect } from "chai";
import type { FlavorRecord, ImageRecord, KeyPairRecord } from "../db/records.ts";
import { isBaremetalError } from "../lib/errors.ts";
import { type BootRequest, hostnameOf, instanceValues, parseZone, type Requester } from "./instance-values.ts";

const user: Requester = { userId: "u1", projectId: "p1", isAdmin: false };

const flavor: FlavorRecord = {
  id: "f1",
  name: "bm",
  ram: 512,
  vcpus: 1,
  disk: 4,
  ephemeral: 0,
  swap: 0,
  extraSpecs: {},
  rxtxFactor: 1,
  isPublic: true,
  disabled: false,
  description: null,
};

function image(id: string, patch: Partial<ImageRecord> = {}): ImageRecord {
  return {
    id,
    name: id,
    owner: "p1",
    status: "active",
    visibility: "private",
    protected: false,
    hidden: false,
    containerFormat: "bare",
    diskFormat: "qcow2",
    minDisk: 0,
    minRam: 0,
    sizeBytes: 1000,
    virtualSizeBytes: null,
    checksum: null,
    osHashAlgo: null,
    osHashValue: null,
    sha256: null,
    tags: [],
    properties: {},
    createdAt: new Date(0),
    updatedAt: new Date(0),
    ...patch,
  };
}

const boot = { kernel_id: "k", ramdisk_id: "r" };
const images = new Map<string, ImageRecord>(
  [
    image("disk", { properties: boot }),
    image("k", { diskFormat: "aki" }),
    image("r", { diskFormat: "ari" }),
    image("queued", { status: "queued", properties: boot }),
    image("bare", {}),
    image("emptyid", { properties: { kernel_id: "k", ramdisk_id: "" } }),
    image("lost", { properties: { kernel_id: "k", ramdisk_id: "nothing" } }),
    image("theirs", { owner: "p2", properties: boot }),
    image("vhd", { diskFormat: "vhd", properties: boot }),
    image("big", { diskFormat: "raw", sizeBytes: 5 * 1024 ** 3, properties: boot }),
    image("needy", { minRam: 513, properties: boot }),
    image("wide", { minDisk: 5, properties: boot }),
  ].map((one) => [one.id, one]),
);
const key: KeyPairRecord = {
  userId: "u1",
  name: "k1",
  type: "ssh",
  fingerprint: "",
  publicKey: "ssh-rsa A",
  createdAt: new Date(0),
};
const catalog = {
  flavor: async (id: string) => (id === "f1" ? flavor : id === "off" ? { ...flavor, disabled: true } : undefined),
  image: async (id: string) => images.get(id),
  keyPair: async (userId: string, name: string) => (userId === "u1" && name === "k1" ? key : undefined),
};
const request: BootRequest = { name: "a", imageRef: "disk", flavorRef: "f1" };

describe("compute/instance-values", () => {
  it("takes kernel and ramdisk from the image, the key from the user, the flavor as it is now", async () => {
    const values = await instanceValues({ ...request, keyName: "k1" }, user, catalog);
    expect(values).to.include({
      kernelId: "k",
      ramdiskId: "r",
      keyData: "ssh-rsa A",
      vmState: "building",
      taskState: "scheduling",
    });
    expect(values.flavor).to.deep.equal({
      id: "f1",
      name: "bm",
      ram: 512,
      vcpus: 1,
      disk: 4,
      ephemeral: 0,
      swap: 0,
      extraSpecs: {},
    });
  });

  const wrong: [what: string, patch: Partial<BootRequest>, text: string][] = [
    ["an unknown flavor", { flavorRef: "f2" }, "Flavor f2 could not be found"],
    ["a disabled flavor", { flavorRef: "off" }, "Flavor off could not be found"],
    ["an unknown image", { imageRef: "no" }, "Image no could not be found"],
    ["another project's image", { imageRef: "theirs" }, "Image theirs could not be found"],
    ["an image without data", { imageRef: "queued" }, "is not active"],
    ["an image without a kernel", { imageRef: "bare" }, "has no property kernel_id"],
    ["an empty ramdisk_id", { imageRef: "emptyid" }, "has no property ramdisk_id"],
    ["a ramdisk that is not there", { imageRef: "lost" }, "the ramdisk_id of image lost, could not be found"],
    ["a kernel as the disk", { imageRef: "k" }, "disk format aki"],
    ["a format that cannot be written", { imageRef: "vhd" }, "disk format vhd"],
    ["an image larger than the flavor's disk", { imageRef: "big" }, "4 GB, image needs 5.00 GB"],
    ["an image that needs more RAM", { imageRef: "needy" }, "memory is too small"],
    ["an image that needs more disk", { imageRef: "wide" }, "disk is too small"],
    ["an unknown key", { keyName: "k2" }, "Invalid key_name"],
    ["user data that is no base64", { userData: "hello!" }, "valid base64"],
    ["too much user data", { userData: "A".repeat(65_536) }, "too large"],
    ["a file that is no base64", { personality: [{ path: "/a", contents: "?" }] }, "/a cannot be decoded"],
    ["too many files", { personality: Array(6).fill({ path: "/a", contents: "" }) }, "at most 5"],
    ["a file too large", { personality: [{ path: "/a", contents: Buffer.alloc(10_241).toString("base64") }] }, "10240"],
    ["an unknown zone", { availabilityZone: "mars" }, "availability zone is not available"],
  ];
  for (const [what, patch, text] of wrong) {
    it(`refuses ${what}`, async () => {
      const error = await instanceValues({ ...request, ...patch }, user, catalog).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(isBaremetalError(error, "BadInput"), String(error)).to.equal(true);
      expect((error as Error).message).to.include(text);
    });
  }

  it("parses zone:host:node, for administrators", () => {
    expect(parseZone("nova:h1:n1", true)).to.deep.equal({ zone: "nova", forcedHost: "h1", forcedNode: "n1" });
    expect(parseZone("nova::n1", true)).to.deep.equal({ zone: "nova", forcedHost: undefined, forcedNode: "n1" });
    expect(parseZone("nova", false)).to.include({ zone: "nova" });
    expect(() => parseZone("nova:h1", false)).to.throw("create:forced_host");
    expect(() => parseZone("a:b:c:d", true)).to.throw("zone:host:node");
  });

  const names: [string, string][] = [
    ["web", "web"],
    ["My Web_1", "my-web-1"],
    ["-.a.-", "a"],
    ["Ünïcode!", "ncode"],
    ["日本", "server-u"],
    ["a".repeat(100), "a".repeat(63)],
  ];
  for (const [name, hostname] of names) {
    it(`${JSON.stringify(name.slice(0, 12))} is the host ${hostname.slice(0, 12)}`, () =>
      expect(hostnameOf(name, "u")).to.equal(hostname));
  }
});
