// What an operator does before the first boot: images, a flavor with its extra specs, a key pair, and the nodes.
import { generateKeyPairSync } from "node:crypto";
import type { ApiClient } from "./api-client.ts";
import type { Artifacts } from "./artifacts/artifacts.ts";
import { BMC_PASSWORD, BMC_USER } from "./bmc.ts";
import { MACHINE_DISK_BYTES, MACHINE_MEMORY_MB } from "./machine.ts";
import type { MachineAddress } from "./network.ts";
import { HOST_NAME } from "./nova-conf.ts";
import { formatBytes, type Say } from "./say.ts";

/** The names and ids that a boot needs. */
export interface Enrolment {
  readonly imageId: string;
  readonly flavorId: string;
  readonly keyName: string;
  readonly publicKey: string;
  /** bm_nodes.id by the machine's index. */
  readonly nodeIds: readonly number[];
}

export const IMAGE_NAME = "lab-tenant";
export const FLAVOR_NAME = "baremetal";
export const KEY_NAME = "lab";

const SWAP_MB = 64;
/** A gigabyte less than the disk: the swap partition, the config drive and the partition table need room too. */
const ROOT_GB = MACHINE_DISK_BYTES / 1024 ** 3 - 1;

/** Uploads and creates everything through the API. */
export async function enrol(
  api: ApiClient,
  artifacts: Artifacts,
  machines: readonly MachineAddress[],
  say: Say,
): Promise<Enrolment> {
  const ids = await uploadImages(api, artifacts, say);
  const flavorId = await createFlavor(api, ids.deployKernel, ids.deployRamdisk);
  say.line(`flavor ${FLAVOR_NAME}: ${MACHINE_MEMORY_MB} MB, ${ROOT_GB} GB root, ${SWAP_MB} MB swap`);
  const publicKey = newPublicKey();
  await api.post("compute", "/os-keypairs", { keypair: { name: KEY_NAME, public_key: publicKey } });
  const nodeIds: number[] = [];
  for (const machine of machines) {
    nodeIds.push(await createNode(api, machine));
    say.line(`node ${nodeIds.at(-1)}: MAC ${machine.mac}, BMC ${machine.bmcAddress}`);
  }
  return { imageId: ids.image, flavorId, keyName: KEY_NAME, publicKey, nodeIds };
}

async function uploadImages(api: ApiClient, artifacts: Artifacts, say: Say) {
  const upload = async (name: string, format: string, file: string, properties: Record<string, string> = {}) => {
    const container = format === "aki" || format === "ari" ? format : "bare";
    const body = { name, disk_format: format, container_format: container, visibility: "public", ...properties };
    const { id } = await api.post<{ id: string }>("image", "/v2/images", body);
    await api.upload(id, file);
    return id;
  };
  const startedAt = Date.now();
  const deployKernel = await upload("deploy-kernel", "aki", artifacts.kernelImage);
  const deployRamdisk = await upload("deploy-ramdisk", "ari", artifacts.deployRamdisk);
  const kernel = await upload(`${IMAGE_NAME}-kernel`, "aki", artifacts.kernelImage);
  const ramdisk = await upload(`${IMAGE_NAME}-ramdisk`, "ari", artifacts.tenantRamdisk);
  const boot = { kernel_id: kernel, ramdisk_id: ramdisk };
  const image = await upload(IMAGE_NAME, artifacts.image.format, artifacts.image.path, boot);
  const words = `kernels, ramdisks and a disk image of ${formatBytes(artifacts.image.sizeBytes)}`;
  say.line(`images: ${words} uploaded in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  return { deployKernel, deployRamdisk, image };
}

async function createFlavor(api: ApiClient, deployKernel: string, deployRamdisk: string): Promise<string> {
  const flavor = { name: FLAVOR_NAME, ram: MACHINE_MEMORY_MB, vcpus: 1, disk: ROOT_GB, swap: SWAP_MB };
  const created = await api.post<{ flavor: { id: string } }>("compute", "/flavors", { flavor });
  const extra_specs = {
    cpu_arch: "x86_64",
    "baremetal:deploy_kernel_id": deployKernel,
    "baremetal:deploy_ramdisk_id": deployRamdisk,
  };
  await api.post("compute", `/flavors/${created.flavor.id}/os-extra_specs`, { extra_specs });
  return created.flavor.id;
}

/** `nova baremetal-node-create` and `baremetal-interface-add`, as the old client sent them. */
async function createNode(api: ApiClient, machine: MachineAddress): Promise<number> {
  const node = {
    service_host: HOST_NAME,
    cpus: 1,
    memory_mb: MACHINE_MEMORY_MB,
    local_gb: MACHINE_DISK_BYTES / 1024 ** 3,
    pm_address: machine.bmcAddress,
    pm_user: BMC_USER,
    pm_password: BMC_PASSWORD,
    prov_mac_address: null,
    terminal_port: null,
  };
  const created = await api.post<{ node: { id: number } }>("compute", "/os-baremetal-nodes", { node });
  const add_interface = { address: machine.mac, datapath_id: 0, port_no: 0 };
  await api.post("compute", `/os-baremetal-nodes/${created.node.id}/action`, { add_interface });
  return created.node.id;
}

/** An Ed25519 public key in OpenSSH's form (RFC 8709): the tenant only has to show that it got it. */
export function newPublicKey(): string {
  const { publicKey } = generateKeyPairSync("ed25519");
  const point = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  const blob = [Buffer.from("ssh-ed25519"), point].flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return [length, part];
  });
  return `ssh-ed25519 ${Buffer.concat(blob).toString("base64")} lab@nova-baremetal`;
}
