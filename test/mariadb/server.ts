// A private MariaDB in a folder of its own, for the contract and fault tests and for the lab's `--db mysql`.
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import mysql from "mysql2/promise";
import { freePort } from "../../packages/node-iscsi/test/fakes/free-port.ts";

export interface MariaDbOptions {
  /** Where data, socket and log go; default: a new folder in memory (/dev/shm) or the temporary one, removed by `stop`. */
  readonly dir?: string;
  /** Also listen on this TCP address, at a free port; default: socket only. */
  readonly tcpAddress?: string;
  /** Milliseconds for the server to come up; default 30000. */
  readonly deadlineMs?: number;
}

const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 15_000;

/** A running server. Its only user is root, without a password: the socket is in a folder that only its owner may enter. */
export class MariaDbServer {
  readonly dir: string;
  readonly socketPath: string;
  readonly tcp: { readonly address: string; readonly port: number } | null;
  readonly #isOwnDir: boolean;
  #process: ChildProcess | undefined;

  private constructor(dir: string, isOwnDir: boolean, tcp: MariaDbServer["tcp"]) {
    this.dir = dir;
    this.socketPath = join(dir, "mysqld.sock");
    this.tcp = tcp;
    this.#isOwnDir = isOwnDir;
  }

  /** @throws Error with the end of the server's log if it does not come up in time. */
  static async start(options: MariaDbOptions = {}): Promise<MariaDbServer> {
    const dir = options.dir ?? (await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "nova-bm-db-")));
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const address = options.tcpAddress;
    const tcp = address === undefined ? null : { address, port: await freePort(address) };
    const server = new MariaDbServer(dir, options.dir === undefined, tcp);
    try {
      await server.#install();
      await server.run(options.deadlineMs);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** A connection URL of `database`, which need not exist. */
  url(database: string): string {
    if (this.tcp !== null) return `mysql://root@${this.tcp.address}:${this.tcp.port}/${database}`;
    return `mysql://root@localhost/${database}?unix_socket=${this.socketPath}`;
  }

  /** Makes an empty database, dropping one of that name first, and gives its URL. */
  async createDatabase(database: string): Promise<string> {
    await this.query(`DROP DATABASE IF EXISTS \`${database}\``);
    await this.query(`CREATE DATABASE \`${database}\` CHARACTER SET utf8mb4`);
    return this.url(database);
  }

  /** Runs one statement as root. */
  async query(sql: string): Promise<unknown> {
    const connection = await mysql.createConnection({ socketPath: this.socketPath, user: "root" });
    try {
      return (await connection.query(sql))[0];
    } finally {
      await connection.end();
    }
  }

  /** Starts the server on its folder; after {@link kill}, again on the same. */
  async run(deadlineMs: number = START_DEADLINE_MS): Promise<void> {
    const log = createWriteStream(join(this.dir, "server.log"), { flags: "a" });
    const child = spawn("mariadbd", this.#arguments(), { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    let failure: string | undefined;
    child.once("error", (error) => {
      failure = `mariadbd cannot be run: ${error.message}; install it with: apt-get install mariadb-server`;
    });
    child.once("exit", (code, signal) => {
      failure ??= `mariadbd ended with ${signal ?? code}`;
    });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    const end = Date.now() + deadlineMs;
    for (;;) {
      if (failure !== undefined) throw new Error(`${failure}\n${await this.#logTail()}`);
      try {
        await this.query("SELECT 1");
        return;
      } catch (error) {
        if (Date.now() > end) throw new Error(`mariadbd did not answer\n${await this.#logTail()}`, { cause: error });
        await delay(25);
      }
    }
  }

  /** Ends the server at once, as a power cut would. {@link run} starts it again. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Ends the server in order, and removes its folder if it made it. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    if (this.#isOwnDir) await rm(this.dir, { recursive: true, force: true });
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
    await ended;
    clearTimeout(timer);
  }

  /** The system tables are made once per user, and copied: that takes 20 ms instead of seconds. */
  async #install(): Promise<void> {
    const data = join(this.dir, "data");
    if (existsSync(data)) return;
    const cache = join(homedir(), ".cache", "nova-baremetal");
    const template = join(cache, "mariadb-template");
    if (!existsSync(template)) {
      const hasCache = await mkdir(cache, { recursive: true }).then(
        () => true,
        () => false,
      );
      if (!hasCache) return installSystemTables(data);
      const draft = await mkdtemp(`${template}.`);
      await installSystemTables(draft);
      // Another run may have been first: its template is as good.
      await rename(draft, template).catch(() => rm(draft, { recursive: true, force: true }));
    }
    await cp(template, data, { recursive: true });
  }

  #arguments(): string[] {
    return [
      "--no-defaults",
      ...(userInfo().uid === 0 ? ["--user=root"] : []),
      `--datadir=${join(this.dir, "data")}`,
      `--socket=${this.socketPath}`,
      `--pid-file=${join(this.dir, "server.pid")}`,
      ...(this.tcp === null
        ? ["--skip-networking=1"]
        : [`--bind-address=${this.tcp.address}`, `--port=${this.tcp.port}`]),
      "--innodb-flush-log-at-trx-commit=2",
      "--innodb-buffer-pool-size=32M",
      "--innodb-fast-shutdown=2",
      "--skip-name-resolve",
      "--max-connections=200",
    ];
  }

  async #logTail(): Promise<string> {
    const log = await readFile(join(this.dir, "server.log"), "utf8").catch(() => "");
    return log.split("\n").slice(-15).join("\n");
  }
}

/** Starts a private server. */
export function startMariaDb(options: MariaDbOptions = {}): Promise<MariaDbServer> {
  return MariaDbServer.start(options);
}

async function installSystemTables(datadir: string): Promise<void> {
  const user = userInfo().uid === 0 ? ["--user=root"] : [];
  const args = [
    "--no-defaults",
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
    `--datadir=${datadir}`,
    ...user,
  ];
  const child = spawn("mariadb-install-db", args, { stdio: ["ignore", "pipe", "pipe"] });
  const output: Buffer[] = [];
  child.stdout.on("data", (data: Buffer) => output.push(data));
  child.stderr.on("data", (data: Buffer) => output.push(data));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`mariadb-install-db failed with ${code}:\n${Buffer.concat(output).toString("utf8")}`);
}
