// One node about to be deployed: SQLite rows, a real image, a PXE config, an iSCSI target over a file, and a ramdisk that waits.
import { execFileSync } from "node:child_process";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { request } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IscsiTarget, type IscsiTargetOptions } from "node-iscsi/target";
import { type Databases, openDatabases } from "../../db/database.ts";
import { DeploymentRepository } from "../../db/deployments.ts";
import { EventRepository } from "../../db/events.ts";
import { sync } from "../../db/migrate.ts";
import { NodeRepository } from "../../db/nodes.ts";
import type { DeploymentRecord } from "../../db/records.ts";
import { SecretBox } from "../../db/secret-box.ts";
import { DeployHelper, type DeployHelperOptions } from "../../deploy-helper/deploy-helper.ts";
import { poll, systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";

const MIB = 1024 * 1024;
/** What the disk holds before: the last tenant's data. */
export const OLD_BYTE = 0xa5;

type Backing = IscsiTarget["backing"];

export interface BenchOptions {
  readonly diskMb?: number;
  readonly rootMb?: number;
  readonly swapMb?: number;
  readonly ephemeralMb?: number;
  readonly ephemeralFormat?: string;
  readonly preserveEphemeral?: boolean;
  readonly imageMb?: number;
  readonly imageFormat?: "raw" | "qcow2";
  /** Makes the image's file instead of mkfs. */
  readonly makeImage?: (path: string) => void;
  readonly configDrive?: Readonly<Record<string, string>>;
  readonly target?: Partial<IscsiTargetOptions>;
  /** Makes the target's store over the disk's file; default: the target's own. */
  readonly makeBacking?: (diskPath: string, sizeBytes: number) => Promise<Backing>;
  readonly leaseS?: number;
}

/** A root file system of `sizeMb` with some random files, by the real mke2fs. */
export function makeExt4(path: string, sizeMb: number): void {
  const folder = mkdtempSync(join(tmpdir(), "bench-root-"));
  try {
    for (let i = 0; i < 10; i++) writeFileSync(join(folder, `file-${i}`), randomBytes(((sizeMb * MIB) / 16) | 0));
    execFileSync("mke2fs", ["-q", "-t", "ext4", "-d", folder, path, `${sizeMb}M`], { stdio: "pipe" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export class DeployBench {
  readonly folder = mkdtempSync(join(tmpdir(), "deploy-bench-"));
  readonly key = randomBytes(16).toString("hex").toUpperCase();
  readonly instanceUuid = randomUUID();
  readonly iqn = `iqn-${this.instanceUuid}`;
  readonly doneWords: string[] = [];
  readonly helpers: DeployHelper[] = [];
  databases!: Databases;
  deployments!: DeploymentRepository;
  nodes!: NodeRepository;
  events!: EventRepository;
  target!: IscsiTarget;
  deployment!: DeploymentRecord;
  #done!: Server;
  readonly #options: BenchOptions;

  private constructor(options: BenchOptions) {
    this.#options = options;
  }

  static async open(options: BenchOptions = {}): Promise<DeployBench> {
    const bench = new DeployBench(options);
    await bench.#openDatabase();
    await bench.#layFiles();
    await bench.#prepare();
    const { target = {}, diskMb = 48, makeBacking } = options;
    const file = { path: bench.diskPath, sizeBytes: diskMb * MIB };
    bench.target = await IscsiTarget.listen({
      address: "127.0.0.1",
      targetName: bench.iqn,
      backing: makeBacking ? await makeBacking(file.path, file.sizeBytes) : file,
      ...target,
    });
    bench.#done = createServer((socket) => {
      let text = "";
      socket.on("data", (data) => {
        text += data.toString();
      });
      socket.on("error", () => {});
      socket.on("end", () => {
        bench.doneWords.push(text);
        socket.end();
      });
    });
    await new Promise<void>((resolve) => bench.#done.listen(0, "127.0.0.1", resolve));
    return bench;
  }

  get diskPath(): string {
    return join(this.folder, "disk");
  }
  get imagePath(): string {
    return join(this.folder, "image");
  }
  get pxeConfigPath(): string {
    return join(this.folder, "config");
  }
  get databaseUrl(): string {
    return `sqlite:///${this.folder}/bm.sqlite`;
  }
  get donePort(): number {
    return (this.#done.address() as AddressInfo).port;
  }
  get leaseS(): number {
    return this.#options.leaseS ?? 30;
  }

  helperConfig(): DeployHelperOptions["config"] {
    return {
      default: {},
      baremetal: {
        deployHelperHost: "127.0.0.1",
        deployHelperPort: 0,
        deployWorkers: 2,
        deployLease: this.leaseS,
        donePort: this.donePort,
        iscsiVerify: true,
        pxeDeployTimeout: 60,
      },
    };
  }

  async startHelper(extra: Partial<DeployHelperOptions> = {}): Promise<DeployHelper> {
    const helper = await DeployHelper.start({
      config: this.helperConfig(),
      repositories: { deployments: this.deployments, events: this.events },
      logger: silentLogger,
      clock: systemClock,
      pollMs: 50,
      loginDeadlineMs: 3000,
      notifyDeadlineMs: 3000,
      ...extra,
    });
    this.helpers.push(helper);
    return helper;
  }

  /** The ramdisk's call, as wget sends it. */
  call(overrides: Record<string, string | undefined> = {}): string {
    const fields: Record<string, string | undefined> = {
      i: String(this.deployment.nodeId),
      k: this.key,
      a: "127.0.0.1",
      n: this.iqn,
      p: String(this.target.port),
      e: "",
      ...overrides,
    };
    return Object.entries(fields)
      .filter((entry): entry is [string, string] => entry[1] !== undefined)
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
      .join("&");
  }

  async row(): Promise<DeploymentRecord> {
    const row = await this.deployments.get(this.deployment.id);
    if (row === undefined) throw new Error("the deployment is gone");
    return row;
  }

  /** Waits for one of the states. */
  async until(states: readonly string[], deadlineMs = 15_000): Promise<DeploymentRecord> {
    return poll(
      async () => {
        const row = await this.row();
        return states.includes(row.state) ? row : undefined;
      },
      { clock: systemClock, step: `state ${states.join(" or ")}`, deadlineMs, intervalMs: 20 },
    );
  }

  readDisk(offset: number, length: number): Buffer {
    const file = openSync(this.diskPath, "r");
    try {
      const buffer = Buffer.alloc(length);
      readSync(file, buffer, 0, length, offset);
      return buffer;
    } finally {
      closeSync(file);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.helpers.map((helper) => helper.close(0)));
    await this.target.close();
    await new Promise<void>((resolve) => this.#done.close(() => resolve()));
    await this.databases.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #openDatabase(): Promise<void> {
    this.databases = await openDatabases({
      baremetalUrl: this.databaseUrl,
      novaUrl: `sqlite:///${this.folder}/nova.sqlite`,
      logger: silentLogger,
    });
    await sync(this.databases);
    const { baremetal } = this.databases;
    this.deployments = new DeploymentRepository(baremetal, systemClock);
    this.nodes = new NodeRepository(baremetal, new SecretBox(randomBytes(32)), systemClock);
    this.events = new EventRepository(baremetal, systemClock);
  }

  async #layFiles(): Promise<void> {
    const { diskMb = 48, imageMb = 12, makeImage, configDrive } = this.#options;
    mkdirSync(this.folder, { recursive: true });
    if (makeImage) makeImage(this.imagePath);
    else makeExt4(this.imagePath, imageMb);
    const disk = openSync(this.diskPath, "w");
    for (let mb = 0; mb < diskMb; mb++) writeSync(disk, Buffer.alloc(MIB, OLD_BYTE));
    closeSync(disk);
    writeFileSync(
      this.pxeConfigPath,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder of the original's template
      "default deploy\n\nlabel deploy\nkernel k\nappend initrd=r\nipappend 3\n\n\nlabel boot\nkernel k\nappend initrd=r root=${ROOT} ro quiet\n",
      { mode: 0o644 },
    );
    if (configDrive) {
      const content = Object.entries(configDrive).map(([name, text]) => [name, Buffer.from(text).toString("base64")]);
      writeFileSync(join(this.folder, "drive.json"), JSON.stringify(Object.fromEntries(content)), { mode: 0o600 });
    }
  }

  async #prepare(): Promise<void> {
    const options = this.#options;
    const interfaces: [] = [];
    const node = await this.nodes.create({ serviceHost: "compute-1", cpus: 1, memoryMb: 1024, localGb: 1 }, interfaces);
    const { id } = await this.nodes.associate(node.uuid, {
      instanceUuid: this.instanceUuid,
      instanceName: "bench",
      serviceHost: "compute-1",
      rootMb: options.rootMb ?? 24,
      swapMb: options.swapMb ?? 2,
      ephemeralMb: options.ephemeralMb ?? 0,
      ephemeralFormat: options.ephemeralFormat ?? null,
      preserveEphemeral: options.preserveEphemeral ?? false,
    });
    await this.deployments.prepare(id, {
      deployKeyHash: createHash("sha256").update(this.key).digest("hex"),
      iqn: this.iqn,
      imagePath: this.imagePath,
      imageFormat: options.imageFormat ?? "raw",
      imageSha256: createHash("sha256").update(readFileSync(this.imagePath)).digest("hex"),
      pxeConfigPath: this.pxeConfigPath,
      configDrivePath: options.configDrive ? join(this.folder, "drive.json") : null,
    });
    const row = await this.deployments.get(id);
    if (row === undefined) throw new Error("not prepared");
    this.deployment = row;
  }
}

/** POSTs `body` to the helper; resolves with status and text. */
export function post(
  port: number,
  body: string | Buffer,
  options: { method?: string; localAddress?: string; host?: string; path?: string } = {},
): Promise<{ status: number; text: string; type: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body) };
    const { method = "POST", localAddress = "127.0.0.1", host = "127.0.0.1", path = "/" } = options;
    const call = request({ host, port, method, path, localAddress, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (data: Buffer) => {
        text += data.toString();
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text, type: response.headers["content-type"] ?? "" }),
      );
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end(body);
  });
}
