// Follows one instance's deployment through /os-baremetal-deployments and tells its events as they come.
import { poll, systemClock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { ApiClient } from "./api-client.ts";
import type { Enrolment } from "./enrol.ts";
import type { Rack } from "./rack.ts";
import { formatBytes, type Say } from "./say.ts";

/** What the lab needs to know of a deployment. */
export interface Deployment {
  readonly nodeId: number;
  readonly bytesWritten: number;
}

/** As the API words it. */
interface DeploymentView {
  readonly node_id: number;
  readonly state: string;
  readonly step: string | null;
  readonly error: string | null;
  readonly bytes_done: number;
  readonly bytes_total: number;
  readonly result: Readonly<Record<string, unknown>>;
  readonly events: readonly EventView[];
}

interface EventView {
  readonly id: number;
  readonly source: string;
  readonly step: string;
  readonly kind: "start" | "end" | "info" | "error";
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface FollowerOptions {
  readonly rack: Rack;
  readonly api: ApiClient;
  readonly enrolment: Enrolment;
  readonly instance: string;
  readonly say: Say;
  readonly signal: AbortSignal;
}

const LOOK_EVERY_MS = 250;

/** One follower for one instance. */
export class DeploymentFollower {
  readonly #options: FollowerOptions;
  #lastEventId = 0;
  #lastPercent = 0;
  #latest: DeploymentView | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** The last error among the events or of the deployment itself. */
  get lastError(): string | undefined {
    const event = this.#latest?.events.filter(({ kind }) => kind === "error").at(-1);
    return this.#latest?.error ?? event?.message;
  }

  /**
   * Looks until `isDone` gives a value; what that throws ends the wait, after a last look at the events.
   * @throws BaremetalError `DeadlineExceeded` that names the last step seen
   */
  async untilDeployed(isDone: () => Promise<true | undefined>, deadlineMs: number): Promise<Deployment> {
    const { instance, signal } = this.#options;
    const step = `instance ${instance} to become ACTIVE`;
    try {
      await poll(
        async () => {
          await this.#look();
          return isDone();
        },
        { clock: systemClock, step, deadlineMs, intervalMs: LOOK_EVERY_MS, signal },
      );
    } catch (cause) {
      await this.#look().catch(() => {});
      if (!(cause instanceof BaremetalError) || cause.code !== "DeadlineExceeded") throw cause;
      const state = this.#latest ? `${this.#latest.state}, step ${this.#latest.step ?? "none"}` : "no deployment yet";
      throw new BaremetalError("DeadlineExceeded", `${cause.message}; its deployment is: ${state}`, { cause });
    }
    await this.#look();
    if (this.#latest === undefined) {
      throw new BaremetalError("PeerMisbehaved", `the API knows no deployment of the ACTIVE instance ${instance}`);
    }
    return { nodeId: this.#latest.node_id, bytesWritten: bytesWritten(this.#latest) };
  }

  async #look(): Promise<void> {
    const { api, instance } = this.#options;
    const path = `/os-baremetal-deployments?instance_uuid=${instance}`;
    const { deployments } = await api.get<{ deployments: DeploymentView[] }>("compute", path);
    this.#latest = deployments[0];
    for (const deployment of [...deployments].reverse()) this.#tellEvents(deployment);
    if (this.#latest) this.#tellProgress(this.#latest);
  }

  #tellEvents(deployment: DeploymentView): void {
    const name = this.#name(deployment);
    for (const event of deployment.events) {
      if (event.id <= this.#lastEventId) continue;
      this.#lastEventId = event.id;
      const text = `${name}  ${event.source}: ${describeEvent(event)}`;
      if (event.kind === "start") this.#options.say.detail(text);
      else this.#options.say.line(text);
    }
  }

  #tellProgress(deployment: DeploymentView): void {
    const { bytes_done: done, bytes_total: total, state } = deployment;
    if (state !== "deploying" || total === 0) return;
    const percent = Math.floor((done * 100) / total);
    if (percent < this.#lastPercent + 10) return;
    this.#lastPercent = percent;
    const words = `${formatBytes(done)} of ${formatBytes(total)}, ${percent} %`;
    this.#options.say.line(`${this.#name(deployment)}  ${deployment.step ?? "writing"}: ${words}`);
  }

  #name(deployment: DeploymentView): string {
    const { rack, enrolment } = this.#options;
    return rack.machines[enrolment.nodeIds.indexOf(deployment.node_id)]?.name ?? `node id ${deployment.node_id}`;
  }
}

function describeEvent(event: EventView): string {
  const { kind, step, message, data } = event;
  const ms = Number(data.durationMs ?? data.ms ?? Number.NaN);
  const bytes = Number(data.bytes ?? data.bytesWritten ?? Number.NaN);
  const facts = [
    ...(Number.isFinite(bytes) ? [formatBytes(bytes)] : []),
    ...(Number.isFinite(ms) ? [`${Math.round(ms)} ms`] : []),
    ...(Number.isFinite(bytes) && ms > 0 ? [`${formatBytes((bytes * 1000) / ms)}/s`] : []),
  ];
  const words = message === step || message === "" ? step : `${step}: ${message}`;
  const mark = kind === "error" ? "FAILED " : kind === "start" ? "begins " : "";
  return `${mark}${words}${facts.length > 0 ? ` (${facts.join(", ")})` : ""}`;
}

/** What the helper measured, or else how far it counted. */
function bytesWritten({ result, bytes_done }: DeploymentView): number {
  const measured = result.bytesWritten;
  return typeof measured === "number" ? measured : bytes_done;
}
