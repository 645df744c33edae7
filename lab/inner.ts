// The lab inside its namespaces: brings the rack up, deploys, and either checks and ends (--once) or stays until told.
// Its standard input is a pipe from the outer process: its end, for whatever reason, ends the rack.
import { readFile } from "node:fs/promises";
import { describeError } from "../lib/errors.ts";
import { type DeployContext, deleteAll, deployAll, type MachineResult } from "./deploy.ts";
import { enrol } from "./enrol.ts";
import type { LabMessage, LabPlan, LabResult } from "./plan.ts";
import { Rack, removeRunState } from "./rack.ts";
import { Say } from "./say.ts";

const planFile = process.argv[2] ?? "";
const plan = JSON.parse(await readFile(planFile, "utf8")) as LabPlan;
const say = new Say({
  write: (text) => process.stderr.write(text),
  startedAt: plan.startedAt,
  verbose: plan.options.verbose,
});
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
process.stdin.once("close", () => stop.abort()).resume();
// The outer process may be gone already: then nobody reads, and the teardown must still go on.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.exitCode = await runLab();
process.stdin.destroy();

function tell(message: LabMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function runLab(): Promise<number> {
  const { options, folders } = plan;
  let rack: Rack | undefined;
  let outcome: Partial<LabResult> = {};
  let error: unknown;
  try {
    // One machine more when somebody is going to try things by hand.
    const machines = options.isOnce ? options.nodes : options.nodes + 1;
    rack = await Rack.start({
      folders,
      machines,
      db: options.db,
      fromSource: options.fromSource,
      say,
      signal: stop.signal,
    });
    outcome = await useRack(rack);
  } catch (cause) {
    error = cause;
    const isAsked = stop.signal.aborted;
    say.line(isAsked ? "stopping" : `FAILED: ${describeError(cause)}`);
    if (rack && !isAsked) say.block(await rack.evidence());
  }
  await rack?.close();
  await removeRunState(folders, options.keepDisks);
  say.line(`rack closed; logs are in ${folders.logs}`);
  const isStopped = stop.signal.aborted && !options.isOnce;
  const result = summarize(outcome, error);
  if (options.isOnce) tell({ event: "result", result });
  return isStopped || result.ok ? 0 : 1;
}

/** From the first login to the end of what was asked for. */
async function useRack(rack: Rack): Promise<Partial<LabResult>> {
  const { options, artifacts } = plan;
  tell({ event: "api", socket: rack.apiSocket, passwordFile: rack.passwordFile });
  const api = await rack.login();
  const enrolment = await enrol(
    api,
    artifacts,
    rack.machines.map(({ address }) => address),
    say,
  );
  const context: DeployContext = { rack, api, enrolment, image: artifacts.image, say, signal: stop.signal };
  const names = Array.from({ length: options.nodes }, (_, index) => `tenant${index}`);
  const machines = await deployAll(context, names);
  const forbiddenCalls = await rack.services.forbiddenCalls();
  if (options.isOnce) {
    await deleteAll(context, machines);
    return { machines, forbiddenCalls, released: true };
  }
  tell({ event: "up", spare: rack.machines.at(-1)?.name ?? "" });
  await new Promise<void>((resolve) => {
    if (stop.signal.aborted) resolve();
    else stop.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  say.line("stopping");
  return { machines, forbiddenCalls, released: true };
}

function summarize(outcome: Partial<LabResult>, error: unknown): LabResult {
  const { options, artifacts, startedAt, folders } = plan;
  const machines: readonly MachineResult[] = outcome.machines ?? [];
  const forbiddenCalls = outcome.forbiddenCalls ?? [];
  const slowest = [...machines].sort((a, b) => b.powerOnToMarkerMs - a.powerOnToMarkerMs)[0];
  const different = machines.find(({ sha256 }) => sha256 !== artifacts.image.contentSha256);
  const marker = machines.length === options.nodes;
  const sha256Equal = marker && different === undefined;
  const released = outcome.released ?? false;
  return {
    ok: error === undefined && marker && sha256Equal && released && forbiddenCalls.length === 0,
    marker,
    nodes: options.nodes,
    db: options.db,
    steps: slowest?.steps ?? {},
    powerOnToMarkerMs: slowest?.powerOnToMarkerMs ?? 0,
    bootToActiveMs: Math.max(0, ...machines.map(({ bootToActiveMs }) => bootToActiveMs)),
    bytesWritten: machines.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    sha256: (different ?? machines[0])?.sha256 ?? null,
    imageSha256: artifacts.image.contentSha256,
    imageBytes: artifacts.image.contentBytes,
    sha256Equal,
    released,
    forbiddenCalls,
    machines,
    totalMs: Date.now() - startedAt,
    logs: folders.logs,
    ...(error === undefined ? {} : { error: describeError(error) }),
  };
}
