// `npm run lab`, the outer process: looks at the computer, builds what is booted, starts the inner process in its
// namespaces, and lends it what only the outside can give: a port for the API, Ctrl-C, and the last clean-up.
import { mkdir, mkdtemp, readdir, rm, stat, statfs, writeFile } from "node:fs/promises";
import { freemem, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BaremetalError, describeError } from "../lib/errors.ts";
import { buildArtifacts } from "./artifacts/artifacts.ts";
import { describeImage } from "./artifacts/tenant.ts";
import { BMC_PASSWORD, BMC_USER } from "./bmc.ts";
import { FLAVOR_NAME, IMAGE_NAME, KEY_NAME } from "./enrol.ts";
import { Forwarder } from "./forward.ts";
import { MACHINE_DISK_BYTES } from "./machine.ts";
import { InnerProcess } from "./namespace.ts";
import { machineAddress } from "./network.ts";
import { API_PORT } from "./nova-conf.ts";
import { type LabOptions, parseLabOptions, USAGE } from "./options.ts";
import type { LabMessage, LabPlan, LabResult } from "./plan.ts";
import { findNamespaceWay, pathWithSbin, requirePackages } from "./prerequisites.ts";
import { type RackFolders, removeRunState } from "./rack.ts";
import { Say } from "./say.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const KEPT_RUNS = 5;
const SHARED_MEMORY = "/dev/shm";

interface Outcome {
  /** Exit status. */
  readonly status: number;
  /** With `--once`, if the inner process lived to tell. */
  readonly result: LabResult | undefined;
}

process.exitCode = await main();

async function main(): Promise<number> {
  let options: LabOptions | undefined;
  try {
    options = parseLabOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  const say = new Say({ write: (text) => process.stderr.write(text), verbose: options.verbose });
  try {
    const { status, result } = await runOuter(options, say);
    if (options.isOnce) process.stdout.write(`${JSON.stringify(result ?? failed("the rack's process was killed"))}\n`);
    return status;
  } catch (error) {
    say.line(`FAILED: ${describeError(error)}`);
    if (options.isOnce) process.stdout.write(`${JSON.stringify(failed(describeError(error)))}\n`);
    return 1;
  }
}

/** The JSON line of a run that did not get as far as having figures. */
function failed(error: string): Pick<LabResult, "ok" | "marker" | "error"> {
  return { ok: false, marker: false, error };
}

async function runOuter(options: LabOptions, say: Say): Promise<Outcome> {
  const startedAt = Date.now();
  process.env.PATH = pathWithSbin();
  await requirePackages(options.db);
  if (!options.fromSource) await requireBuild();
  const way = await findNamespaceWay();
  say.line(`this computer can do it: ${way.description}`);
  const artifacts = await buildArtifacts(join(ROOT, ".lab/cache"), options.image, say);
  say.line(`ready: kernel ${artifacts.kernelRelease}, ramdisks, and an image of ${describeImage(artifacts.image)}`);
  const folders = await makeFolders(options);
  const plan: LabPlan = { options, folders, artifacts, startedAt };
  const planFile = join(folders.state, "plan.json");
  await writeFile(planFile, JSON.stringify(plan), { mode: 0o600 });
  try {
    return await runInner(way, planFile, say);
  } finally {
    await removeRunState(folders, options.keepDisks);
  }
}

async function runInner(
  way: Awaited<ReturnType<typeof findNamespaceWay>>,
  planFile: string,
  say: Say,
): Promise<Outcome> {
  let forwarder: Promise<Forwarder> | undefined;
  let passwordFile = "";
  let result: LabResult | undefined;
  const onMessage = (message: LabMessage) => {
    if (message.event === "result") result = message.result;
    if (message.event === "api") {
      passwordFile = message.passwordFile;
      forwarder = listen(message.socket);
      forwarder.then(
        ({ port }) => say.line(`API: http://127.0.0.1:${port}/ (identity, compute, image; forwarded into the rack)`),
        (error: unknown) => say.line(`the API cannot be reached from outside: ${describeError(error)}`),
      );
    }
    if (message.event === "up")
      void forwarder?.then(({ port }) => say.block(commandsToTry(port, passwordFile, inner.enter)));
  };
  const inner = new InnerProcess(way, planFile, onMessage);
  const stop = () => inner.stop();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);
  const parentWatch = watchParent(stop);
  try {
    const status = await inner.ended;
    return { status, result };
  } finally {
    clearInterval(parentWatch);
    for (const signal of signals) process.off(signal, stop);
    await forwarder?.then((one) => one.close()).catch(() => {});
  }
}

/** Under npm a killed npm would leave the rack up with nobody to end it: our parent is then another process. */
function watchParent(stop: () => void): NodeJS.Timeout | undefined {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, 1000);
  return timer;
}

/** On the API's own port if it is free outside as well, else on any. */
async function listen(socket: string): Promise<Forwarder> {
  const at = (port: number) => Forwarder.listen({ host: "127.0.0.1", port }, { path: socket });
  return at(API_PORT).catch(() => at(0));
}

async function requireBuild(): Promise<void> {
  const isBuilt = await stat(join(ROOT, "dist/bin/baremetal-compute.js")).then(
    () => true,
    () => false,
  );
  if (isBuilt) return;
  throw new BaremetalError("BadInput", "the services are not built: run npm run build first, or use --from-source");
}

async function makeFolders(options: LabOptions): Promise<RackFolders> {
  const runs = join(ROOT, ".lab/run");
  await mkdir(runs, { recursive: true });
  // A rack that is still up keeps its folder, however many came after it.
  const ended = (await readdir(runs)).filter((run) => !isAlive(Number(run.split("-").at(-1)))).sort();
  for (const old of ended.slice(0, -KEPT_RUNS)) {
    await rm(join(runs, old), { recursive: true, force: true });
  }
  const name = `${new Date().toISOString().replace(/[-:]/g, "").slice(0, 15)}-${process.pid}`;
  const logs = join(runs, name);
  const state = join(logs, "state");
  await mkdir(state, { recursive: true, mode: 0o755 });
  const sockets = await mkdtemp(join(tmpdir(), "nova-lab-"));
  const disks = options.keepDisks ? join(ROOT, ".lab/disks") : join(await diskPlace(options, logs), `nova-lab-${name}`);
  await mkdir(disks, { recursive: true, mode: 0o700 });
  return { root: ROOT, logs, state, disks, sockets };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Shared memory if there is room for what a deployment writes; the disks are sparse. */
async function diskPlace(options: LabOptions, otherwise: string): Promise<string> {
  const free = await statfs(SHARED_MEMORY).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  return Math.min(free, freemem()) > 2 * (options.nodes + 1) * MACHINE_DISK_BYTES ? SHARED_MEMORY : otherwise;
}

function commandsToTry(port: number, passwordFile: string, enter: string): string {
  return `
The rack is up. In another terminal:

  export OS_AUTH_URL=http://127.0.0.1:${port}/identity/v3 OS_IDENTITY_API_VERSION=3 OS_REGION_NAME=RegionOne
  export OS_USERNAME=admin OS_PASSWORD="$(cat ${passwordFile})" OS_PROJECT_NAME=admin
  export OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default
  nova list
  nova show tenant0
  nova boot --poll --flavor ${FLAVOR_NAME} --image ${IMAGE_NAME} --key-name ${KEY_NAME} --nic none another
  nova delete another
  openstack image list
  token=$(openstack token issue -f value -c id)
  curl -s -H "X-Auth-Token: $token" http://127.0.0.1:${port}/compute/v2.1/os-baremetal-nodes

The live console of node0; "~." at the beginning of a line leaves it, "~?" says what else there is:

  export IPMI_USER=${BMC_USER} IPMI_PASSWORD=${BMC_PASSWORD}
  ${enter} ${process.execPath} ${join(ROOT, "packages/ipmi-js/dist/cli/ipmi-js.js")} sol --take-over -H ${machineAddress(0).bmcAddress}

One machine is free for "another". Ctrl-C ends everything.
`;
}
