// The real daemons as processes, from dist/, around SQLite files in one temporary folder; the API without passwords.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SimulatorFaults } from "ipmi-js";
import { freePort } from "../../packages/node-iscsi/test/fakes/free-port.ts";
import { makeExt4 } from "./deploy-bench.ts";
import { SimulatedNode, type SimulatedNodeOptions } from "./simulated-node.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START_DEADLINE_MS = 30_000;
const GIB = 1024 ** 3;

export interface ServerView {
  readonly id: string;
  readonly status: string;
  readonly fault?: { readonly message: string };
}

/** What a server is made of. */
export interface ImageRefs {
  readonly imageRef: string;
  readonly flavorRef: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly port: number;
  readonly ended: Promise<void>;
}

/** Polls until `probe` gives something; fails naming `what`. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 40_000,
): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

let nextNode = 0;

/** Services, machines and a user of the API. */
export class ServiceBench {
  readonly folder: string;
  readonly tftpRoot: string;
  readonly donePort: number;
  readonly #helperPort: number;
  readonly #apiPort: number;
  readonly #nodes: SimulatedNode[] = [];
  readonly #services = new Map<string, Running>();

  private constructor(folder: string, ports: [number, number, number]) {
    this.folder = folder;
    this.tftpRoot = join(folder, "tftpboot");
    [this.#apiPort, this.#helperPort, this.donePort] = ports;
  }

  static async open(): Promise<ServiceBench> {
    const folder = await mkdtemp(join(tmpdir(), "service-bench-"));
    const bench = new ServiceBench(folder, [await freePort(), await freePort(), await freePort()]);
    const lines = [
      "[DEFAULT]",
      "host = compute1",
      `state_path = ${folder}`,
      "report_interval = 1",
      "scheduler_max_attempts = 1",
      "[baremetal]",
      `tftp_root = ${bench.tftpRoot}`,
      "deploy_helper_host = 127.0.0.1",
      `deploy_helper_port = ${bench.#helperPort}`,
      `done_port = ${bench.donePort}`,
      "deploy_lease = 2",
      "power_deadline = 12",
      "ipmi_power_retry = 3",
      "pxe_deploy_timeout = 60",
      "[api]",
      `port = ${bench.#apiPort}`,
      "auth_strategy = noauth",
    ];
    await writeFile(join(folder, "nova.conf"), `${lines.join("\n")}\n`);
    try {
      await bench.start("baremetal-compute");
      await bench.start("baremetal-deploy-helper");
    } catch (error) {
      await bench.close();
      throw error;
    }
    return bench;
  }

  /** Starts a daemon and waits for its readiness line. */
  async start(name: string): Promise<void> {
    const child = spawn(
      process.execPath,
      [join(ROOT, "dist", "bin", `${name}.js`), "--config-file", join(this.folder, "nova.conf")],
      {
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    let log = "";
    child.stderr?.on("data", (data: Buffer) => {
      log = (log + data.toString()).slice(-20_000);
    });
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const port = await eventually(
      `${name} to be ready`,
      () => {
        if (child.exitCode !== null) throw new Error(`${name} ended: ${log}`);
        const line = log.split("\n").find((text) => text.includes('"message":"ready"'));
        return line === undefined
          ? undefined
          : Number((JSON.parse(line) as { address: string }).address.split(":").at(-1));
      },
      START_DEADLINE_MS,
    ).catch((error) => {
      child.kill("SIGKILL");
      throw error;
    });
    this.#services.set(name, { child, port, ended });
  }

  async kill(name: string, signal: NodeJS.Signals): Promise<void> {
    const service = this.#services.get(name);
    service?.child.kill(signal);
    await service?.ended;
    this.#services.delete(name);
  }

  /** Enrols a machine of 2 GiB. */
  async machine(
    patch: Partial<SimulatedNodeOptions> & {
      bmcFaults?: SimulatorFaults;
      pmPassword?: string;
      pmAddress?: string;
    } = {},
  ): Promise<SimulatedNode> {
    nextNode += 1;
    const { pmPassword = "secret", pmAddress, ...options } = patch;
    const node = await SimulatedNode.start({
      address: `127.0.66.${nextNode}`,
      mac: `52:54:00:66:00:${nextNode.toString(16).padStart(2, "0")}`,
      tftpRoot: this.tftpRoot,
      helper: { address: "127.0.0.1", port: this.#helperPort },
      donePort: this.donePort,
      disk: { path: join(this.folder, `disk${nextNode}`), sizeBytes: 2 * GIB },
      ...options,
    });
    this.#nodes.push(node);
    await this.call("POST", "/compute/v2.1/os-baremetal-nodes", {
      node: {
        service_host: "compute1",
        cpus: 1,
        memory_mb: 512,
        local_gb: 2,
        pm_address: pmAddress ?? `${node.options.address}:${node.bmc.port}`,
        pm_user: "admin",
        pm_password: pmPassword,
        prov_mac_address: node.options.mac,
      },
    });
    return node;
  }

  /** An image of 16 MiB with some files. */
  smallImage(): Promise<ImageRefs> {
    const file = join(this.folder, "root.ext4");
    makeExt4(file, 16);
    return this.image(file);
  }

  /** Uploads boot images and `file`, makes a flavor of 1 GiB root; gives the ids for boot(). */
  async image(file: string, diskFormat = "raw"): Promise<ImageRefs> {
    const boot = join(this.folder, "boot-image");
    await writeFile(boot, "not run by anybody here");
    const kernel_id = await this.#upload("aki", boot, {});
    const ramdisk_id = await this.#upload("ari", boot, {});
    const imageRef = await this.#upload(diskFormat, file, { kernel_id, ramdisk_id });
    const flavor = { name: `f${imageRef}`, ram: 512, vcpus: 1, disk: 1, id: null };
    const made = await this.call<{ flavor: { id: string } }>("POST", "/compute/v2.1/flavors", { flavor });
    const extra_specs = { "baremetal:deploy_kernel_id": kernel_id, "baremetal:deploy_ramdisk_id": ramdisk_id };
    await this.call("POST", `/compute/v2.1/flavors/${made.flavor.id}/os-extra_specs`, { extra_specs });
    return { imageRef, flavorRef: made.flavor.id };
  }

  async #upload(format: string, file: string, properties: Record<string, string>): Promise<string> {
    const container_format = format.startsWith("a") ? format : "bare";
    const { id } = await this.call<{ id: string }>("POST", "/image/v2/images", {
      name: "i",
      disk_format: format,
      container_format,
      ...properties,
    });
    const response = await fetch(`http://127.0.0.1:${this.#apiPort}/image/v2/images/${id}/file`, {
      method: "PUT",
      headers: { "content-type": "application/octet-stream" },
      body: await readFile(file),
    });
    if (response.status !== 204) throw new Error(`upload: ${response.status} ${await response.text()}`);
    return id;
  }

  async boot(refs: ImageRefs): Promise<string> {
    const server = { name: "web", ...refs, networks: "none" };
    return (await this.call<{ server: { id: string } }>("POST", "/compute/v2.1/servers", { server })).server.id;
  }

  async server(id: string): Promise<ServerView> {
    return (await this.call<{ server: ServerView }>("GET", `/compute/v2.1/servers/${id}`)).server;
  }

  async servers(): Promise<ServerView[]> {
    return (await this.call<{ servers: ServerView[] }>("GET", "/compute/v2.1/servers")).servers;
  }

  /** Waits for ACTIVE or ERROR. */
  settled(id: string): Promise<ServerView> {
    return eventually(`server ${id} to settle`, async () => {
      const server = await this.server(id);
      return server.status === "BUILD" ? undefined : server;
    });
  }

  async nodes(): Promise<{ id: number; instance_uuid: string | null; task_state: string | null }[]> {
    return (await this.call<{ nodes: never[] }>("GET", "/compute/v2.1/os-baremetal-nodes")).nodes;
  }

  async events(
    id: string,
  ): Promise<{ state: string; step: string; bytes_done: number; events: { step: string; kind: string }[] }[]> {
    return (
      await this.call<{ deployments: never[] }>("GET", `/compute/v2.1/os-baremetal-deployments?instance_uuid=${id}`)
    ).deployments;
  }

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${this.#apiPort}${path}`, {
      method,
      headers: { "content-type": "application/json", "openstack-api-version": "compute 2.37" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  async close(): Promise<void> {
    for (const name of [...this.#services.keys()]) await this.kill(name, "SIGTERM");
    for (const node of this.#nodes) await node.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A raw file of `sizeBytes` that begins like `head` says. */
export async function rawImage(path: string, sizeBytes: number, head = Buffer.alloc(0)): Promise<string> {
  await writeFile(path, head);
  await truncate(path, sizeBytes);
  return path;
}
