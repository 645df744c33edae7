// One spawn: files, boot configuration, power, and the wait for the deploy helper; undone in reverse if a step fails.
import { createHash, randomInt } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { DeploymentRecord, InstanceRecord, NodeRecord } from "../db/records.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import { type PxePaths, pxePaths, removePxeFiles, renderPxeConfig, writePxeConfig } from "./boot/pxelinux.ts";
import { configDriveFiles, writeConfigDrive } from "./config-drive.ts";
import { type DriverContext, timelineOf, withPower } from "./context.ts";
import { waitForDeployment } from "./deployment-wait.ts";
import { bootImageIds } from "./images.ts";
import type { Timeline } from "./timeline.ts";
import type { UndoList } from "./undo.ts";

/** What a spawn tells its caller of the machine. */
export interface SpawnResult {
  /** Where the node was when its ramdisk called: the same DHCP server answers the tenant's system. */
  readonly address?: string;
}

/** One deployment in work. */
export interface SpawnJob {
  readonly context: DriverContext;
  readonly instance: InstanceRecord;
  readonly node: NodeRecord;
  readonly deployment: DeploymentRecord;
  readonly timeline: Timeline;
  readonly undo: UndoList;
  readonly signal: AbortSignal;
}

const KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/** 32 characters of [A-Z0-9], as the ramdisk expects, from the system's cryptographic generator (165 bits). */
export function newDeployKey(): string {
  return Array.from({ length: 32 }, () => KEY_ALPHABET[randomInt(KEY_ALPHABET.length)]).join("");
}

/** Where an instance's own files are kept: today its config drive. */
export function instanceDirectory(context: DriverContext, instanceUuid: string): string {
  return join(context.settings.instancesPath, instanceUuid);
}

/** A deployment's sizes in MB (section 4.3): a swap partition is always made, of 1 MB at least. */
export function partitionSizes(instance: InstanceRecord): { rootMb: number; swapMb: number; ephemeralMb: number } {
  return {
    rootMb: instance.rootGb * 1024,
    swapMb: Math.max(1, instance.flavor.swap),
    ephemeralMb: instance.ephemeralGb * 1024,
  };
}

/** Runs every step of a new deployment, whose row was just opened. */
export async function runSpawn(job: SpawnJob): Promise<SpawnResult> {
  const { context, node, instance } = job;
  const paths = pxePaths(context.settings.tftpRoot, instance.uuid);
  const interfaces = await context.interfaces.listByNode(node.id);
  if (interfaces.length === 0) {
    throw new BaremetalError(
      "BadInput",
      `node ${node.id} has no interface: add each of its MAC addresses with baremetal-interface-add`,
      { data: { node: node.id } },
    );
  }
  const macs = interfaces.map(({ address }) => address);
  registerFileUndo({ ...job, instanceUuid: instance.uuid }, paths, macs);
  await prepareBoot(job, paths, macs);
  await startDeployRamdisk(job);
  return finishSpawn(job);
}

/** The undo of everything that a spawn leaves on this host's disk. Safe at any point of it, and for a resumed one. */
export function registerFileUndo(
  job: Pick<SpawnJob, "context" | "undo"> & { readonly instanceUuid: string },
  paths: PxePaths,
  macs: readonly string[],
) {
  job.undo.push("remove the instance's files", async () => {
    // The console log stays as long as the instance: it may say why the deployment failed.
    await job.context.consoles.stop(job.instanceUuid);
    await rm(instanceDirectory(job.context, job.instanceUuid), { recursive: true, force: true });
  });
  job.undo.push("remove the boot configuration", () => removePxeFiles(job.context.settings.tftpRoot, paths, macs));
}

/** Powers the machine off if the spawn fails later. Registered before power-on, not before: an untouched machine needs no undo. */
export function registerPowerUndo(job: Pick<SpawnJob, "context" | "node" | "undo">): void {
  job.undo.push("power off", () => withPower(job.context, job.node, "power off", (power) => power.powerOff()));
}

async function prepareBoot(job: SpawnJob, paths: PxePaths, macs: readonly string[]): Promise<void> {
  const { context, instance, deployment, timeline } = job;
  const { settings, images } = context;
  const ids = bootImageIds(instance, settings);
  const image = await timeline.step("fetch images", async () => {
    const [disk, boot] = await Promise.allSettled([
      images.disk(instance.imageRef, job.signal),
      images.boot(ids, paths),
    ]);
    // Both have ended here: the undo removes the folder that the other may still have been writing to.
    if (disk.status === "rejected") throw disk.reason;
    if (boot.status === "rejected") throw boot.reason;
    return disk.value;
  });
  job.signal.throwIfAborted();
  await timeline.step("write boot configuration", async () => {
    const key = newDeployKey();
    const iqn = `iqn-${instance.uuid}`;
    const isDriveWanted = instance.configDrive || settings.isConfigDriveForced;
    const drivePath = join(instanceDirectory(context, instance.uuid), "config-drive.json");
    if (isDriveWanted) await writeConfigDrive(drivePath, configDriveFiles(instance));
    // The key is in the database, and the state `prepared`, before the node can learn the key or be powered on.
    const isPrepared = await context.deployments.prepare(deployment.id, {
      deployKeyHash: createHash("sha256").update(key).digest("hex"),
      iqn,
      imagePath: image.path,
      imageFormat: image.format,
      imageSha256: image.sha256,
      pxeConfigPath: paths.config,
      configDrivePath: isDriveWanted ? drivePath : null,
    });
    if (!isPrepared) throw takenAway(deployment, "prepared");
    const text = renderPxeConfig(settings.pxeConfigTemplate, paths, {
      deploymentId: job.node.id,
      deploymentKey: key,
      deploymentIscsiIqn: iqn,
      appendParams: settings.pxeAppendParams,
      networkConfig: "",
    });
    await writePxeConfig(settings.tftpRoot, paths, text, macs);
  });
}

/** Off, network boot, on: off first, because a machine stuck in its firmware ignores "on" (LP 1178919). */
export async function startDeployRamdisk(job: SpawnJob): Promise<void> {
  const { context, node, instance, timeline, signal } = job;
  await timeline.step("power off", () => withPower(context, node, "power off", (power) => power.powerOff({ signal })));
  await timeline.step("set boot device", () =>
    withPower(context, node, "power off", (power) => power.setBootDevicePxe({ signal })),
  );
  await context.consoles.start(node, instance.uuid, (text) => timeline.note("console", text));
  registerPowerUndo(job);
  await timeline.step("power on", () => withPower(context, node, "power on", (power) => power.powerOn({ signal })));
}

/** Waits for the helper and makes the node the tenant's. */
export async function finishSpawn(job: SpawnJob): Promise<SpawnResult> {
  const { context, deployment, timeline, signal } = job;
  const row = await timeline.step("wait for deployment", () =>
    waitForDeployment(context.deployments, deployment.id, {
      clock: context.clock,
      intervalMs: context.settings.waitIntervalMs,
      deadlineMs: context.settings.deployDeadlineMs,
      startedAt: deployment.createdAt.getTime(),
      signal,
    }),
  );
  if (row.state !== "active" && !(await activate(job))) throw takenAway(deployment, "active");
  // From here on the machine is the tenant's: nothing below may fail the spawn, whose undo would switch it off.
  await timeline.note("active", "the node is the tenant's", { bytes: row.bytesDone });
  await forgetInstanceFiles(job);
  return resultOf(row);
}

/** What the config drive held (keys, user data) is on the node now, and nowhere else. */
async function forgetInstanceFiles({ context, instance }: SpawnJob): Promise<void> {
  await rm(instanceDirectory(context, instance.uuid), { recursive: true, force: true }).catch((error: unknown) => {
    context.logger.warn(`the files of instance ${instance.uuid} could not be removed: ${describeError(error)}`);
  });
}

export function resultOf(row: DeploymentRecord): SpawnResult {
  return row.agentAddress === null ? {} : { address: row.agentAddress };
}

const ACTIVATE_PAUSE_MS = 1000;

/** The disk is written and the machine boots: a database that is away is waited for, to the deployment's own deadline. */
async function activate({ context, deployment, signal }: SpawnJob): Promise<boolean> {
  const end = deployment.createdAt.getTime() + context.settings.deployDeadlineMs;
  for (;;) {
    try {
      return await context.nodes.transition(deployment.id, "activate");
    } catch (error) {
      if (context.clock.now() > end) throw error;
      context.logger.warn(`deployment ${deployment.id} could not be made active yet: ${describeError(error)}`);
    }
    await context.clock.sleep(ACTIVATE_PAUSE_MS, signal);
  }
}

/** Another writer moved the deployment on: whatever we do now would be done to somebody else's machine. */
function takenAway(deployment: DeploymentRecord, wanted: string): BaremetalError {
  return new BaremetalError(
    "Conflict",
    `deployment ${deployment.id} of instance ${deployment.instanceUuid} could not become ${wanted}: its node is in another state by now`,
    { data: { deployment: deployment.id, wanted } },
  );
}

/** The job of a deployment, with its own timeline. */
export function newJob(parts: Omit<SpawnJob, "timeline">): SpawnJob {
  const node = { ...parts.node, deploymentId: parts.deployment.id };
  return { ...parts, node, timeline: timelineOf(parts.context, node, parts.instance.uuid) };
}
