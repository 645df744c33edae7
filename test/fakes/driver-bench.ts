// Everything a driver test needs: a SQLite database, a tftp_root, an image store and a rack, all in one temporary folder.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabases } from "../../db/database.ts";
import { DeploymentRepository } from "../../db/deployments.ts";
import { EventRepository } from "../../db/events.ts";
import { InterfaceRepository } from "../../db/interfaces.ts";
import { sync } from "../../db/migrate.ts";
import { NodeRepository } from "../../db/nodes.ts";
import type { ImageRecord, InstanceRecord, NodeRecord } from "../../db/records.ts";
import { SecretBox } from "../../db/secret-box.ts";
import type { DriverContext } from "../../driver/context.ts";
import { BareMetalDriver } from "../../driver/driver.ts";
import { ImageCache } from "../../driver/images.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { FakeConsoles } from "./consoles.ts";
import { FakePower } from "./power.ts";

export const IMAGE_ID = "11111111-0000-4000-8000-000000000000";
const BOOT_IDS = { kernel: "k", ramdisk: "r", deployKernel: "dk", deployRamdisk: "dr" };

export interface DriverBench {
  readonly folder: string;
  readonly tftpRoot: string;
  readonly context: DriverContext;
  readonly driver: BareMetalDriver;
  readonly power: FakePower;
  readonly consoles: FakeConsoles;
  /** Enrols a node with one interface. */
  enrol(patch?: { mac?: string; serviceHost?: string }): Promise<NodeRecord>;
  instance(patch?: Partial<InstanceRecord>): InstanceRecord;
  /** Takes the ramdisk's and the helper's part: calls, claims, completes. */
  deploy(nodeId: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens one. `deployDeadlineMs` is the driver's; 10 s unless told. */
export async function openDriverBench(patch: { deployDeadlineMs?: number } = {}): Promise<DriverBench> {
  const folder = await mkdtemp(join(tmpdir(), "driver-test-"));
  const tftpRoot = join(folder, "tftpboot");
  const url = `sqlite:///${join(folder, "bm.sqlite")}`;
  const databases = await openDatabases({
    baremetalUrl: url,
    novaUrl: `sqlite:///${join(folder, "nova.sqlite")}`,
    logger: silentLogger,
  });
  await sync(databases);
  const power = new FakePower();
  const consoles = new FakeConsoles();
  const context: DriverContext = {
    settings: {
      host: "compute1",
      tftpRoot,
      instancesPath: join(folder, "instances"),
      pxeConfigTemplate: await readFile(new URL("../../templates/pxe_config.template", import.meta.url), "utf8"),
      pxeAppendParams: "console=ttyS0",
      deployKernel: BOOT_IDS.deployKernel,
      deployRamdisk: BOOT_IDS.deployRamdisk,
      deployDeadlineMs: 10_000,
      waitIntervalMs: 10,
      ephemeralFormat: "ext3",
      isConfigDriveForced: true,
      extraSpecs: {},
      ...patch,
    },
    nodes: new NodeRepository(databases.baremetal, new SecretBox(Buffer.alloc(32, 7)), systemClock),
    interfaces: new InterfaceRepository(databases.baremetal, systemClock),
    deployments: new DeploymentRepository(databases.baremetal, systemClock),
    events: new EventRepository(databases.baremetal, systemClock),
    power,
    images: new ImageCache(join(folder, "cache"), await fakeImages(folder)),
    consoles,
    clock: systemClock,
    logger: silentLogger,
  };
  return {
    folder,
    tftpRoot,
    context,
    driver: new BareMetalDriver(context),
    power,
    consoles,
    enrol: (node = {}) => enrol(context, node),
    instance: (values = {}) => instance(values),
    deploy: (nodeId) => deploy(context, nodeId, tftpRoot),
    close: async () => {
      await databases.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function fakeImages(folder: string) {
  const ids = [IMAGE_ID, ...Object.values(BOOT_IDS)];
  for (const id of ids) await writeFile(join(folder, `image-${id}`), `content of ${id}`);
  return {
    get: async (id: string) =>
      ids.includes(id)
        ? ({ id, status: "active", diskFormat: "raw", sha256: null } as unknown as ImageRecord)
        : undefined,
    path: (id: string) => join(folder, `image-${id}`),
  };
}

let serial = 0;

async function enrol(context: DriverContext, patch: { mac?: string; serviceHost?: string }): Promise<NodeRecord> {
  serial += 1;
  return context.nodes.create(
    {
      cpus: 1,
      memoryMb: 512,
      localGb: 2,
      pmAddress: "127.0.0.1",
      pmUser: "admin",
      pmPassword: "secret",
      serviceHost: patch.serviceHost ?? "compute1",
    },
    [{ address: patch.mac ?? `52:54:00:00:01:${serial.toString(16).padStart(2, "0")}` }],
  );
}

function instance(patch: Partial<InstanceRecord>): InstanceRecord {
  serial += 1;
  return {
    uuid: `22222222-0000-4000-8000-${String(serial).padStart(12, "0")}`,
    displayName: "web",
    hostname: "web",
    projectId: "p",
    userId: "u",
    imageRef: IMAGE_ID,
    kernelId: BOOT_IDS.kernel,
    ramdiskId: BOOT_IDS.ramdisk,
    flavor: { id: "1", name: "bm", ram: 512, vcpus: 1, disk: 1, ephemeral: 0, swap: 0, extraSpecs: {} },
    rootGb: 1,
    ephemeralGb: 0,
    keyName: "k",
    keyData: "ssh-ed25519 AAAA me",
    userData: null,
    metadata: {},
    personality: [],
    configDrive: false,
    availabilityZone: null,
    ...patch,
  } as InstanceRecord;
}

async function deploy(context: DriverContext, nodeId: number, tftpRoot: string): Promise<void> {
  const node = await context.nodes.get(nodeId);
  const config = await readFile(join(tftpRoot, node?.instanceUuid ?? "", "config"), "utf8");
  const key = /deployment_key=(\S+)/.exec(config)?.[1] ?? "";
  const { createHash } = await import("node:crypto");
  const keyHash = createHash("sha256").update(key).digest("hex");
  const call = { keyHash, agentAddress: "10.0.0.9", agentPort: 3260, agentLun: 1 };
  if ((await context.deployments.acceptCall(nodeId, call)) === undefined) throw new Error("the call was not accepted");
  const job = await context.deployments.claim("helper-1", 30_000);
  if (job === undefined) throw new Error("nothing to claim");
  await context.deployments.complete(job.id, "helper-1", { rootUuid: "r-u", result: { bytes: 5 } });
}
