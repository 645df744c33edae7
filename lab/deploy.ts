// The deployment run: boot one server a machine at the same time, watch until each marker, check the disks, delete again.
import { createHash } from "node:crypto";
import { access, readdir } from "node:fs/promises";
import { join } from "node:path";
import { poll, systemClock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { ApiClient } from "./api-client.ts";
import type { DiskImage } from "./artifacts/tenant.ts";
import { type Deployment, DeploymentFollower } from "./deployment-follower.ts";
import { hashRootPartition } from "./disk-check.ts";
import type { Enrolment } from "./enrol.ts";
import type { Machine } from "./machine.ts";
import type { TenantMarker } from "./observation.ts";
import type { Rack } from "./rack.ts";
import { formatBytes, type Say } from "./say.ts";

export interface DeployContext {
  readonly rack: Rack;
  readonly api: ApiClient;
  readonly enrolment: Enrolment;
  readonly image: DiskImage;
  readonly say: Say;
  readonly signal: AbortSignal;
}

/** What became of one server. */
export interface MachineResult {
  readonly machine: string;
  readonly instance: string;
  readonly hostname: string;
  readonly marker: string;
  /** Milliseconds of each step from power-on to the marker. */
  readonly steps: Readonly<Record<string, number>>;
  readonly powerOnToMarkerMs: number;
  readonly bootToActiveMs: number;
  readonly bytesWritten: number;
  /** Of the root partition, read from the machine's disk file after the tenant's boot. */
  readonly sha256: string;
  readonly tftpBytes: number;
}

interface Server {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly fault?: { readonly message: string };
}

const ACTIVE_DEADLINE_MS = 300_000;
const MARKER_DEADLINE_MS = 120_000;
const DELETE_DEADLINE_MS = 60_000;
/** The BMC sends at once what it has; a lost datagram costs a retry. */
const CONSOLE_LOG_DEADLINE_MS = 10_000;

/** Boots `names` at the same time. Rejects with the first failure; the others are let finish first. */
export async function deployAll(context: DeployContext, names: readonly string[]): Promise<MachineResult[]> {
  const { api, enrolment, say } = context;
  const startedAt = Date.now();
  const servers = await Promise.all(
    names.map(async (name) => {
      const { server } = await api.post<{ server: { id: string } }>("compute", "/servers", {
        server: {
          name,
          imageRef: enrolment.imageId,
          flavorRef: enrolment.flavorId,
          key_name: enrolment.keyName,
          networks: "none",
        },
      });
      say.line(`nova boot: ${name} is instance ${server.id}`);
      return { id: server.id, name };
    }),
  );
  const outcomes = await Promise.allSettled(servers.map((server) => deployOne(context, server, startedAt)));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure) throw failure.reason;
  return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
}

async function deployOne(
  context: DeployContext,
  server: { id: string; name: string },
  startedAt: number,
): Promise<MachineResult> {
  const { rack, say, image } = context;
  const follower = new DeploymentFollower({ ...context, instance: server.id });
  const deployment = await follower.untilDeployed(() => untilActive(context, server, follower), ACTIVE_DEADLINE_MS);
  const bootToActiveMs = Date.now() - startedAt;
  const machine = machineOf(context, deployment);
  say.line(`${machine.name}  ${server.name} is ACTIVE`);
  // Somebody else's system may write to its root once it is up: it is read before that.
  const early = image.isForeign ? await checkRoot(context, machine) : undefined;
  const marker = await untilMarker(context, machine);
  if (!image.isForeign) checkMarker(marker, server, context.enrolment.publicKey);
  await untilInConsoleLog(context, machine, server, marker);
  const sha256 = early ?? (await checkRoot(context, machine));
  const timeline = rack.watch.timeline(machine);
  return {
    machine: machine.name,
    instance: server.id,
    hostname: marker.hostname,
    marker: marker.line,
    steps: timeline.steps(),
    powerOnToMarkerMs: Math.round(timeline.totalMs),
    bootToActiveMs,
    bytesWritten: deployment.bytesWritten,
    sha256,
    tftpBytes: timeline.transferredBytes,
  };
}

async function untilActive(
  context: DeployContext,
  { id, name }: { id: string; name: string },
  follower: DeploymentFollower,
) {
  const { server } = await context.api.get<{ server: Server }>("compute", `/servers/${id}`);
  if (server.status === "ERROR") {
    const cause = server.fault?.message ?? follower.lastError ?? "the API gives no fault";
    throw new BaremetalError("DeployFailed", `${name} went to ERROR: ${cause}`, { data: { instanceUuid: id } });
  }
  return server.status === "ACTIVE" ? true : undefined;
}

function machineOf({ rack, enrolment }: DeployContext, deployment: Deployment): Machine {
  const machine = rack.machines[enrolment.nodeIds.indexOf(deployment.nodeId)];
  if (machine) return machine;
  throw new BaremetalError("PeerMisbehaved", `the API says node ${deployment.nodeId}, which the lab did not enrol`);
}

function untilMarker({ rack, signal }: DeployContext, machine: Machine): Promise<TenantMarker> {
  const probe = async () => rack.watch.timeline(machine).marker;
  const last = () => rack.watch.timeline(machine).last ?? "nothing";
  const step = `the tenant's marker on the console of ${machine.name}`;
  return poll(probe, { clock: systemClock, step, deadlineMs: MARKER_DEADLINE_MS, intervalMs: 50, signal }).catch(
    (cause: unknown) => {
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new BaremetalError("DeployFailed", `${text}; the last thing reached was: ${last()}`, { cause });
    },
  );
}

/** `nova console-log`: what the services recorded of the machine's console, by Serial over LAN, ends with the tenant's marker. */
async function untilInConsoleLog(
  { api, say, signal }: DeployContext,
  machine: Machine,
  server: { id: string; name: string },
  marker: TenantMarker,
): Promise<void> {
  const probe = async () => {
    const path = `/servers/${server.id}/action`;
    const { output } = await api.post<{ output: string }>("compute", path, { "os-getConsoleOutput": { length: null } });
    return output.includes(marker.line) ? output : undefined;
  };
  const step = `the tenant's marker in \`nova console-log ${server.name}\``;
  const waits = { clock: systemClock, step, deadlineMs: CONSOLE_LOG_DEADLINE_MS, intervalMs: 100, signal };
  const output = await poll(probe, waits);
  // Recorded since before the power came on.
  if (!output.includes("SeaBIOS")) {
    throw new BaremetalError("DeployFailed", `nova console-log ${server.name} does not begin with the firmware`);
  }
  say.line(`${machine.name}  nova console-log: ${output.split("\n").length} lines, from the firmware to the marker`);
}

/** The tenant must be who we said it is. */
function checkMarker(marker: TenantMarker, server: { id: string; name: string }, publicKey: string): void {
  const expected = {
    hostname: server.name,
    instance: server.id,
    key: createHash("sha256").update(publicKey).digest("hex"),
  };
  for (const [field, value] of Object.entries(expected)) {
    const got = marker[field as keyof typeof expected];
    if (got !== value) {
      throw new BaremetalError(
        "DeployFailed",
        `the tenant's ${field} is "${got}" and should be "${value}": ${marker.line}`,
      );
    }
  }
}

async function checkRoot({ image, say }: DeployContext, machine: Machine): Promise<string> {
  const sha256 = await hashRootPartition(machine.diskFile, image.contentBytes);
  const verdict = sha256 === image.contentSha256 ? "equal to the image's" : `NOT the image's ${image.contentSha256}`;
  say.line(
    `${machine.name}  root partition on the disk: ${formatBytes(image.contentBytes)}, SHA-256 ${sha256.slice(0, 16)}..., ${verdict}`,
  );
  return sha256;
}

/** Deletes the servers and waits until nothing of them is left: node free, TFTP files gone, power off. */
export async function deleteAll(context: DeployContext, results: readonly MachineResult[]): Promise<void> {
  const { api, say } = context;
  await Promise.all(results.map(({ instance }) => api.delete("compute", `/servers/${instance}`)));
  await Promise.all(
    results.map(async ({ instance, machine: name }) => {
      const machine = context.rack.machines.find((one) => one.name === name);
      let left = "the server";
      const probe = async () => {
        left = (await leftovers(context, instance, machine)).join(", ");
        return left === "" ? true : undefined;
      };
      const options = { clock: systemClock, step: `${name} to be free again`, deadlineMs: DELETE_DEADLINE_MS };
      await poll(probe, { ...options, intervalMs: 200, signal: context.signal }).catch((cause: unknown) => {
        const text = cause instanceof Error ? cause.message : String(cause);
        throw new BaremetalError("DeployFailed", `${text}; still there: ${left}`, { cause });
      });
      say.line(`${name}  nova delete: power off, TFTP files gone, node free`);
    }),
  );
}

/** What a deleted server has left, in words. */
async function leftovers(context: DeployContext, instance: string, machine: Machine | undefined): Promise<string[]> {
  const { api, rack } = context;
  const left: string[] = [];
  const isGone = await api.get("compute", `/servers/${instance}`).then(
    () => false,
    (error: unknown) => error instanceof BaremetalError && error.code === "NotFound",
  );
  if (!isGone) left.push("the server in the API");
  const { nodes } = await api.get<{ nodes: { id: number; instance_uuid: string | null }[] }>(
    "compute",
    "/os-baremetal-nodes",
  );
  if (nodes.some((node) => node.instance_uuid === instance)) left.push("its node's association");
  if (machine?.isOn) left.push("its machine's power");
  if (await exists(join(rack.tftpRoot, instance))) left.push("its TFTP folder");
  if (await exists(join(rack.consoleFolder, `${instance}.console.log`))) left.push("its console log");
  const link = `01-${machine?.address.mac.replaceAll(":", "-")}`;
  if ((await readdir(join(rack.tftpRoot, "pxelinux.cfg"))).includes(link)) left.push("its PXE configuration");
  return left;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
