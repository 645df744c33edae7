// A whole API on SQLite with the fake driver: listening on a free port, with a client that speaks JSON.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiServer, createApi, IdentityService } from "../../api/index.ts";
import { type ComputeRepositories, ComputeServices, ImageStore } from "../../compute/index.ts";
import { ComputeNodeRepository } from "../../db/compute-nodes.ts";
import { type Databases, openDatabases } from "../../db/database.ts";
import { DeploymentRepository } from "../../db/deployments.ts";
import { EventRepository } from "../../db/events.ts";
import { FlavorRepository } from "../../db/flavors.ts";
import { ImageRepository } from "../../db/images.ts";
import { InstanceRepository } from "../../db/instances.ts";
import { InterfaceRepository } from "../../db/interfaces.ts";
import { KeyPairRepository } from "../../db/key-pairs.ts";
import { sync } from "../../db/migrate.ts";
import { NodeRepository } from "../../db/nodes.ts";
import { SecretBox } from "../../db/secret-box.ts";
import { ServiceRepository } from "../../db/services.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { FakeComputeDriver } from "./compute-driver.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into JSON of many shapes
  readonly body: any;
}

export interface ApiBenchOptions {
  readonly authStrategy?: "keystone" | "noauth";
  readonly usersFile?: string;
  readonly maxImageBytes?: number;
  readonly reportIntervalMs?: number;
  readonly orphanAgeMs?: number;
  /** Of the newest version; the caller closes them. Default: SQLite in the bench's folder. */
  readonly databases?: Databases;
}

/** All repositories on one pair of databases. */
export function openRepositories(databases: Databases): ComputeRepositories {
  const { nova, baremetal } = databases;
  return {
    instances: new InstanceRepository(nova, systemClock),
    flavors: new FlavorRepository(nova, systemClock),
    keyPairs: new KeyPairRepository(nova, systemClock),
    images: new ImageRepository(nova, systemClock),
    services: new ServiceRepository(nova, systemClock),
    computeNodes: new ComputeNodeRepository(nova, systemClock),
    nodes: new NodeRepository(baremetal, new SecretBox(Buffer.alloc(32, 7)), systemClock),
    interfaces: new InterfaceRepository(baremetal, systemClock),
    deployments: new DeploymentRepository(baremetal, systemClock),
    events: new EventRepository(baremetal, systemClock),
  };
}

export class ApiBench {
  readonly folder: string;
  readonly repositories: ComputeRepositories;
  readonly driver: FakeComputeDriver;
  services: ComputeServices;
  #databases: Databases;
  #server: ApiServer | undefined;
  #options: ApiBenchOptions;
  #token: string | undefined;

  private constructor(folder: string, databases: Databases, options: ApiBenchOptions) {
    this.folder = folder;
    this.#databases = databases;
    this.#options = options;
    this.repositories = openRepositories(databases);
    this.driver = new FakeComputeDriver("h1", this.repositories.nodes, this.repositories.deployments);
    this.services = this.#compute();
  }

  static async open(options: ApiBenchOptions = {}): Promise<ApiBench> {
    const folder = await mkdtemp(join(tmpdir(), "api-test-"));
    const databases = options.databases ?? (await openSqlite(folder));
    const bench = new ApiBench(folder, databases, options);
    await bench.services.start();
    await bench.#listen();
    return bench;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server?.port ?? 0}`;
  }

  /** What a killed compute service leaves: its work stops where it is; then a new one starts on the same rows. */
  async restart(whileDown: () => Promise<void> = async () => undefined): Promise<void> {
    await this.services.close();
    await whileDown();
    this.services = this.#compute();
    await this.services.start();
    await this.#server?.close();
    await this.#listen();
  }

  async close(): Promise<void> {
    await this.#server?.close();
    await this.services.close();
    if (this.#options.databases === undefined) await this.#databases.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async adminPassword(): Promise<string> {
    return (await readFile(join(this.folder, "admin-password"), "utf8")).trim();
  }

  /** Logs in by identity v3; the whole answer. */
  login(user: string, password: string): Promise<Answer> {
    const identity = { methods: ["password"], password: { user: { name: user, domain: { id: "default" }, password } } };
    return this.raw("POST", "/identity/v3/auth/tokens", { body: { auth: { identity } } });
  }

  /** A call as the administrator, under `/compute/v2.1` unless the path names another service. */
  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    this.#token ??= (await this.login("admin", await this.adminPassword())).headers.get("x-subject-token") ?? "";
    const full = /^\/(image|identity|compute)\b/.test(path) ? path : `/compute/v2.1${path}`;
    return this.raw(method, full, { body, headers: { "x-auth-token": this.#token, ...headers } });
  }

  async raw(
    method: string,
    path: string,
    o: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const isRaw = typeof o.body === "string" || Buffer.isBuffer(o.body);
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { ...(o.body === undefined || isRaw ? {} : { "content-type": "application/json" }), ...o.headers },
      ...(o.body === undefined ? {} : { body: isRaw ? (o.body as string) : JSON.stringify(o.body) }),
    });
    const text = await response.text();
    const isJson = (response.headers.get("content-type") ?? "").includes("json");
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text !== "" ? JSON.parse(text) : text,
    };
  }

  /** An active image with some bytes. */
  async image(name: string, patch: Record<string, unknown> = {}, bytes: Buffer = Buffer.from(name)): Promise<string> {
    const body = { name, disk_format: "raw", container_format: "bare", visibility: "public", ...patch };
    const { id } = (await this.call("POST", "/image/v2/images", body)).body;
    await this.call("PUT", `/image/v2/images/${id}/file`, bytes, { "content-type": "application/octet-stream" });
    return id;
  }

  /** Kernel, ramdisk and a disk image of them; a flavor `f1` that fits the nodes of `enrol`. */
  async furnish(): Promise<{ imageId: string; flavorId: string }> {
    const kernel = await this.image("kernel", { disk_format: "aki", container_format: "aki" });
    const ramdisk = await this.image("ramdisk", { disk_format: "ari", container_format: "ari" });
    const imageId = await this.image("disk", { disk_format: "qcow2", kernel_id: kernel, ramdisk_id: ramdisk });
    const flavor = { name: "bm", ram: 512, vcpus: 1, disk: 4, id: "f1" };
    await this.call("POST", "/flavors", { flavor });
    return { imageId, flavorId: "f1" };
  }

  async enrol(mac: string): Promise<{ id: number; uuid: string }> {
    const node = { service_host: "h1", cpus: 1, memory_mb: 512, local_gb: 10, pm_address: "10.0.0.7", pm_user: "root" };
    const answer = await this.call("POST", "/os-baremetal-nodes", {
      node: { ...node, pm_password: "geheim", prov_mac_address: mac, terminal_port: 8000 },
    });
    return answer.body.node;
  }

  /** Boots by the API; the server's id. */
  async boot(name: string, patch: Record<string, unknown> = {}): Promise<string> {
    const [image] = (await this.call("GET", "/image/v2/images?name=disk")).body.images;
    const answer = await this.call("POST", "/servers", {
      server: { name, imageRef: image.id, flavorRef: "f1", ...patch },
    });
    if (answer.status !== 202) throw new Error(`boot: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body.server.id;
  }

  async server(id: string): Promise<Answer["body"]> {
    return (await this.call("GET", `/servers/${id}`)).body.server;
  }

  #compute(): ComputeServices {
    const { maxImageBytes, reportIntervalMs, orphanAgeMs } = this.#options;
    return new ComputeServices({
      host: "h1",
      repositories: this.repositories,
      imageStore: new ImageStore(
        join(this.folder, "images"),
        this.repositories.images,
        maxImageBytes === undefined ? {} : { maxBytes: maxImageBytes },
      ),
      driver: this.driver,
      clock: systemClock,
      logger: silentLogger,
      ...(reportIntervalMs === undefined ? {} : { reportIntervalMs }),
      ...(orphanAgeMs === undefined ? {} : { orphanAgeMs }),
    });
  }

  async #listen(): Promise<void> {
    const config = {
      authStrategy: this.#options.authStrategy ?? "keystone",
      adminUser: "admin",
      adminPasswordFile: join(this.folder, "admin-password"),
      usersFile: this.#options.usersFile,
      tokenLifetime: 3600,
      regionName: "RegionOne",
    } as const;
    const identity = await IdentityService.open(config, join(this.folder, "token.key"), systemClock);
    const app = createApi({ config, services: this.services, identity, logger: silentLogger });
    this.#server = await ApiServer.listen({ app, port: 0 });
  }
}

async function openSqlite(folder: string): Promise<Databases> {
  const url = (name: string) => `sqlite:///${join(folder, name)}`;
  const urls = { baremetalUrl: url("baremetal.sqlite"), novaUrl: url("nova.sqlite") };
  const databases = await openDatabases({ ...urls, logger: silentLogger });
  await sync(databases);
  return databases;
}

/** Waits until `probe` gives something other than undefined or false; fails, with what was waited for, after 10 s. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  deadlineMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
