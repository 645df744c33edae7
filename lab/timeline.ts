// One machine's way from power-on to the tenant's marker: what was seen when, and how long each step took. Pure.
import type { Observation, TenantMarker } from "./observation.ts";

/** The points that the steps lie between, in their order. */
export const MILESTONES = [
  "powerOn",
  "dhcp",
  "deployRamdiskLoaded",
  "helperCalled",
  "imageWritten",
  "dhcpAgain",
  "tenantRamdiskLoaded",
  "marker",
] as const;
export type Milestone = (typeof MILESTONES)[number];

/** A step is named after what happens in it; it ends at its milestone. */
export const STEP_NAMES: Readonly<Record<Exclude<Milestone, "powerOn">, string>> = {
  dhcp: "firmware",
  deployRamdiskLoaded: "loadDeployRamdisk",
  helperCalled: "startDeployRamdisk",
  imageWritten: "writeImage",
  dhcpAgain: "rebootFirmware",
  tenantRamdiskLoaded: "loadTenant",
  marker: "startTenant",
};

/** Collects observations; each milestone is kept the first time it is reached after the power-on. */
export class MachineTimeline {
  readonly #reached = new Map<Milestone, number>();
  #marker: TenantMarker | undefined;
  #transferredBytes = 0;

  /** Takes one observation and gives the milestone that it reached, if any. */
  add(observation: Observation, atMs: number): Milestone | undefined {
    if (observation.kind === "marker") this.#marker ??= observation.marker;
    if (observation.kind === "tftp") this.#transferredBytes += observation.bytes;
    const milestone = this.#milestoneOf(observation);
    if (milestone === undefined || this.#reached.has(milestone)) return undefined;
    if (milestone !== "powerOn" && !this.#reached.has("powerOn")) return undefined;
    this.#reached.set(milestone, atMs);
    return milestone;
  }

  get marker(): TenantMarker | undefined {
    return this.#marker;
  }

  /** Sent by TFTP. */
  get transferredBytes(): number {
    return this.#transferredBytes;
  }

  has(milestone: Milestone): boolean {
    return this.#reached.has(milestone);
  }

  /** Milliseconds from power-on to the marker, or to the last milestone reached. */
  get totalMs(): number {
    const times = [...this.#reached.values()];
    return times.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
  }

  /** Milliseconds of each step that has ended. They add up to `totalMs`. */
  steps(): Record<string, number> {
    const steps: Record<string, number> = {};
    let before = this.#reached.get("powerOn");
    for (const milestone of MILESTONES) {
      const at = this.#reached.get(milestone);
      if (milestone === "powerOn" || at === undefined || before === undefined) continue;
      steps[STEP_NAMES[milestone]] = Math.round(at - before);
      before = at;
    }
    return steps;
  }

  /** The last milestone reached, for the words of a failure. */
  get last(): Milestone | undefined {
    return [...MILESTONES].reverse().find((milestone) => this.#reached.has(milestone));
  }

  #milestoneOf(observation: Observation): Milestone | undefined {
    switch (observation.kind) {
      case "power":
        return observation.isOn ? "powerOn" : undefined;
      case "dhcp":
        // The tenant's own DHCP comes after its marker, so that a third one cannot be taken for the second.
        return this.#reached.has("imageWritten") ? "dhcpAgain" : "dhcp";
      case "tftp":
        if (/\/deploy_ramdisk$/.test(observation.file)) return "deployRamdiskLoaded";
        return /\/ramdisk$/.test(observation.file) ? "tenantRamdiskLoaded" : undefined;
      case "ramdisk":
        if (observation.text.startsWith("called ")) return "helperCalled";
        return observation.text.startsWith("told done") ? "imageWritten" : undefined;
      case "marker":
        return "marker";
      default:
        return undefined;
    }
  }
}
