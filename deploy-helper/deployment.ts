// One deployment, step by step: from the login at the node's disk to the word that lets the node reboot (nova-baremetal.md 5.3).
import { randomBytes } from "node:crypto";
import type { DeploymentRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import {
  type BlockDevice,
  encodeMbr,
  encodeSwapHeader,
  FILESYSTEM_HEAD_BYTES,
  identifyFilesystem,
  makeExt,
  type Partition,
  Region,
  randomUuid,
  zeroRange,
} from "./disk/index.ts";
import type { DiskAddress, DiskSession, OpenDisk } from "./iscsi-disk.ts";
import { notifyNode } from "./notify-node.ts";
import { makePlan, type Plan } from "./plan.ts";
import { switchPxeConfig } from "./pxe-config.ts";
import { readBackSha256 } from "./read-back.ts";
import type { Timeline } from "./timeline.ts";
import { writeImage } from "./write-image.ts";

export interface DeploymentSettings {
  /** The node's port that hears `done`. */
  readonly donePort: number;
  /** Read the image's bytes back and compare. */
  readonly verify: boolean;
  readonly defaultEphemeralFormat: string | null;
  readonly loginDeadlineMs: number;
  readonly notifyDeadlineMs: number;
}

export interface DeploymentContext {
  readonly openDisk: OpenDisk;
  readonly timeline: Timeline;
  readonly clock: Clock;
  /** Aborted when the lease is lost, the deployment cancelled, or its time is up: writing stops at once. */
  readonly signal: AbortSignal;
  readonly settings: DeploymentSettings;
  /** Keeps the outcome before the node is told: once it has rebooted, nobody can write its disk again. */
  readonly markWritten: (outcome: DeploymentOutcome) => Promise<void>;
}

/** What `deploy complete` writes into the row. */
export interface DeploymentOutcome {
  readonly rootUuid: string;
  readonly result: Readonly<Record<string, unknown>>;
}

/**
 * Runs all steps. Begins from the start whatever an earlier attempt wrote: every step writes the same again. Only when that
 * attempt had come so far as to tell the node is the rest of it done, because the node may have rebooted.
 * A failure is thrown and told nobody but the row: the driver's undo switches the node off, and a word to the ramdisk
 * would only make it reboot into the deploy label again.
 */
export async function runDeployment(row: DeploymentRecord, context: DeploymentContext): Promise<DeploymentOutcome> {
  const deployment = new Deployment(row, context);
  const written = writtenOutcome(row);
  return written === undefined ? deployment.run() : deployment.finish(written);
}

/** What an earlier attempt wrote and kept, see `markWritten`; undefined: the disk is still to be written. */
export function writtenOutcome(row: DeploymentRecord): DeploymentOutcome | undefined {
  const { written, ...result } = row.result;
  return written === true && row.rootUuid !== null ? { rootUuid: row.rootUuid, result } : undefined;
}

class Deployment {
  readonly #row: DeploymentRecord;
  readonly #context: DeploymentContext;
  readonly #timeline: Timeline;
  readonly #signal: AbortSignal;
  #session: DiskSession | undefined;

  constructor(row: DeploymentRecord, context: DeploymentContext) {
    this.#row = row;
    this.#context = context;
    this.#timeline = context.timeline;
    this.#signal = context.signal;
  }

  async run(): Promise<DeploymentOutcome> {
    const { clock, settings, openDisk } = this.#context;
    const started = clock.now();
    const address = this.#address();
    // Cuts the connection the moment we are told to stop: no write of ours may reach the disk after another's lease began.
    const cut = () => this.#session?.destroy();
    this.#signal.addEventListener("abort", cut, { once: true });
    let plan: Plan | undefined;
    try {
      const session = await this.#step("login", () =>
        openDisk(address, { deadlineMs: settings.loginDeadlineMs, clock, signal: this.#signal }),
      );
      this.#session = session;
      this.#signal.throwIfAborted();
      const disk = await this.#step("read capacity", () => session.open(this.#signal), sizeOf);
      plan = await this.#step("check plan", () => this.#plan(disk), factsOf);
      const written = await this.#writeDisk(disk, plan);
      await this.#step("logout", () => session.logout());
      this.#session = undefined;
      await this.#step("flip pxe config", () => this.#flip(written.rootUuid));
      const { rootUuid, ...facts } = written;
      const outcome = () => {
        const durationMs = clock.now() - started;
        return { rootUuid, result: { ...facts, durationMs, stepsMs: { ...this.#timeline.stepMs } } };
      };
      await this.#context.markWritten(outcome());
      await this.#step("notify node", () => this.#notify(address.address));
      return outcome();
    } finally {
      this.#signal.removeEventListener("abort", cut);
      this.#session?.destroy();
      await plan?.image.source.close();
    }
  }

  /** The end of an attempt that was broken off after `markWritten`. A node that does not listen has heard `done` already. */
  async finish(outcome: DeploymentOutcome): Promise<DeploymentOutcome> {
    const { address } = this.#address();
    await this.#step("notify node", async () => {
      try {
        await this.#notify(address);
      } catch (error) {
        if (!(error instanceof BaremetalError) || error.code !== "PeerUnreachable") throw error;
        await this.#timeline.note("notify node", "info", "the node does not listen any more: it was told before");
      }
    });
    return outcome;
  }

  async #writeDisk(disk: BlockDevice, plan: Plan) {
    const find = (role: Partition["role"]) => plan.partitions.find((partition) => partition.role === role);
    const region = (partition: Partition) =>
      new Region(disk, partition.offsetBytes, partition.sizeBytes, `partition ${partition.number}`);
    const root = region(find("root") as Partition);
    await this.#step("partition table", () => this.#writeTable(disk, plan));
    const image = await this.#step(
      "write image",
      () => this.#writeImage(root, plan),
      (result) => ({ ...result }),
    );
    await this.#step("swap", () => this.#writeSwap(region(find("swap") as Partition)));
    const ephemeral = find("ephemeral");
    if (ephemeral && !this.#row.preserveEphemeral) {
      await this.#step(
        "ephemeral",
        () => this.#writeEphemeral(region(ephemeral), plan),
        (made) => ({ ...made }),
      );
    }
    const drive = find("config drive");
    if (drive && plan.configDrive) {
      const content = plan.configDrive;
      await this.#step(
        "config drive",
        () => this.#writeConfigDrive(region(drive), content),
        () => ({ bytes: content.length }),
      );
    }
    await this.#step(
      "erase the rest",
      () => this.#eraseRest(disk, plan),
      (bytes) => ({ bytes }),
    );
    await this.#step("flush", () => disk.flush({ signal: this.#signal }));
    const readBack = image.sha256 === undefined ? undefined : await this.#verify(root, plan, image.sha256);
    const rootUuid = await this.#step(
      "root uuid",
      () => this.#readRootUuid(root, plan),
      (uuid) => ({ uuid }),
    );
    return {
      rootUuid,
      rootFilesystem: plan.image.filesystem.type,
      imageBytes: plan.image.source.virtualSizeBytes,
      bytesWritten: image.bytesWritten,
      bytesZeroed: image.bytesZeroed,
      imageSha256: image.sha256 ?? null,
      readBackSha256: readBack ?? null,
      partitions: plan.partitions.map(({ number, role, offsetBytes, sizeBytes }) => ({
        number,
        role,
        offsetBytes,
        sizeBytes,
      })),
    };
  }

  #address(): DiskAddress {
    const { agentAddress, agentPort, agentLun, iqn, id } = this.#row;
    if (agentAddress === null || iqn === null) {
      throw new BaremetalError("Internal", `deployment ${id} was queued without its disk's address`, { data: { id } });
    }
    return { address: agentAddress, port: agentPort ?? 3260, lun: agentLun ?? 1, iqn };
  }

  async #plan(disk: BlockDevice): Promise<Plan> {
    const { defaultEphemeralFormat } = this.#context.settings;
    return makePlan(this.#row, disk, { defaultEphemeralFormat, now: this.#context.clock.now(), signal: this.#signal });
  }

  async #writeTable(disk: BlockDevice, plan: Plan): Promise<void> {
    const signature = plan.diskSignature ?? (randomBytes(4).readUInt32LE() || 1);
    const first = Math.min(...plan.partitions.map((partition) => partition.offsetBytes));
    // The gap behind the table: an old GPT or boot loader must not outlive it.
    await disk.writeZeroes(disk.blockSize, first - disk.blockSize, { signal: this.#signal });
    await disk.write(0, encodeMbr(plan.partitions, disk.blockSize, signature), { signal: this.#signal });
  }

  async #writeImage(root: BlockDevice, plan: Plan) {
    const onProgress = (bytes: number) => this.#timeline.setBytes(bytes, plan.imageDataBytes);
    onProgress(0);
    const { source } = plan.image;
    const written = await writeImage(source, root, {
      signal: this.#signal,
      wantsHash: this.#context.settings.verify,
      onProgress,
    });
    const { imageSha256, imagePath } = this.#row;
    // A raw image's content is its file, whose checksum was taken when it came into the cache.
    if (
      source.format === "raw" &&
      imageSha256 !== null &&
      written.sha256 !== undefined &&
      written.sha256 !== imageSha256
    ) {
      throw new BaremetalError(
        "ImageUnacceptable",
        `the image ${imagePath} changed since it was verified: its SHA-256 is ${written.sha256}, and ${imageSha256} was recorded; remove it from the cache`,
        { data: { image: imagePath, reason: "checksum" } },
      );
    }
    return written;
  }

  async #writeSwap(swap: BlockDevice): Promise<void> {
    await zeroRange(swap, 0, swap.sizeBytes, { signal: this.#signal });
    await swap.write(0, encodeSwapHeader(swap.sizeBytes, randomUuid(), "swap1"), { signal: this.#signal });
  }

  async #writeEphemeral(ephemeral: BlockDevice, plan: Plan) {
    await zeroRange(ephemeral, 0, ephemeral.sizeBytes, { signal: this.#signal });
    return makeExt(ephemeral, {
      format: plan.ephemeralFormat,
      label: "ephemeral0",
      isZeroed: true,
      now: this.#context.clock.now(),
      signal: this.#signal,
    });
  }

  async #writeConfigDrive(drive: BlockDevice, content: Buffer): Promise<void> {
    const whole = Buffer.alloc(drive.sizeBytes);
    content.copy(whole);
    await drive.write(0, whole, { signal: this.#signal });
  }

  /** From the last partition to the disk's end: the last tenant's data, and an old GPT's second copy, are there. */
  async #eraseRest(disk: BlockDevice, plan: Plan): Promise<number> {
    const end = Math.max(...plan.partitions.map((partition) => partition.offsetBytes + partition.sizeBytes));
    await zeroRange(disk, end, disk.sizeBytes - end, { signal: this.#signal });
    return disk.sizeBytes - end;
  }

  async #verify(root: BlockDevice, plan: Plan, expected: string): Promise<string> {
    const length = plan.image.source.virtualSizeBytes;
    return this.#step(
      "verify",
      async () => {
        const actual = await readBackSha256(root, length, { signal: this.#signal });
        if (actual === expected) return actual;
        throw new BaremetalError(
          "PeerMisbehaved",
          `the node's disk does not hold what was written to it: SHA-256 ${actual} read back, ${expected} written; test or replace the disk`,
          { data: { peer: this.#row.agentAddress, operation: "verify" } },
        );
      },
      (sha256) => ({ sha256, bytes: length }),
    );
  }

  /** From the disk, not from the image: it proves that the node will find its root. */
  async #readRootUuid(root: BlockDevice, plan: Plan): Promise<string> {
    const head = await root.read(0, Math.min(FILESYSTEM_HEAD_BYTES, root.sizeBytes), { signal: this.#signal });
    const uuid = identifyFilesystem(head)?.uuid;
    const expected = plan.image.filesystem.uuid;
    if (uuid === expected) return uuid;
    throw new BaremetalError(
      "PeerMisbehaved",
      `the root partition has UUID ${uuid ?? "none"} after writing an image with ${expected}; test or replace the disk`,
      { data: { peer: this.#row.agentAddress, operation: "root uuid" } },
    );
  }

  async #flip(rootUuid: string): Promise<void> {
    const { pxeConfigPath, id } = this.#row;
    if (pxeConfigPath === null)
      throw new BaremetalError("Internal", `deployment ${id} has no PXE configuration`, { data: { id } });
    await switchPxeConfig(pxeConfigPath, rootUuid);
  }

  async #notify(address: string): Promise<void> {
    const { clock, settings } = this.#context;
    const { donePort: port, notifyDeadlineMs: deadlineMs } = settings;
    await notifyNode({ address, port, deadlineMs, clock, signal: this.#signal });
  }

  async #step<T>(name: string, work: () => Promise<T>, facts?: (value: T) => Record<string, unknown>): Promise<T> {
    this.#signal.throwIfAborted();
    return this.#timeline.step(
      name,
      async () => {
        try {
          return await work();
        } catch (error) {
          // A cut connection fails every write; why it was cut is the cause that people need.
          if (this.#signal.aborted) throw this.#signal.reason;
          throw error;
        }
      },
      facts,
    );
  }
}

function sizeOf(disk: BlockDevice): Record<string, unknown> {
  return { sizeBytes: disk.sizeBytes, blockSize: disk.blockSize };
}

function factsOf(plan: Plan): Record<string, unknown> {
  const { image, imageDataBytes, partitions } = plan;
  return {
    image: image.source.format,
    filesystem: image.filesystem.type,
    virtualSizeBytes: image.source.virtualSizeBytes,
    imageDataBytes,
    partitions: partitions.map(({ role, sizeBytes }) => `${role} ${sizeBytes / 2 ** 20} MiB`),
  };
}
