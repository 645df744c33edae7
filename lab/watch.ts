// Follows the rack's logs while machines boot: tells what happens as it happens, and keeps a timeline of each machine.
import type { Clock } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import { LogFollower } from "./log-follower.ts";
import type { Machine } from "./machine.ts";
import { type Observation, parseConsoleLine, parseDhcpLine, parseTftpLine } from "./observation.ts";
import { formatBytes, type Say } from "./say.ts";
import { MachineTimeline } from "./timeline.ts";

export interface WatchOptions {
  readonly machines: readonly Machine[];
  readonly dhcpLog: string;
  readonly tftpLog: string;
  readonly clock: Clock;
  readonly say: Say;
}

const LOOK_EVERY_MS = 50;

/** Started by `start`, ended by `close`. */
export class RackWatch {
  readonly #options: WatchOptions;
  readonly #timelines = new Map<string, MachineTimeline>();
  readonly #dhcp: LogFollower;
  readonly #tftp: LogFollower;
  readonly #consoles: ReadonlyMap<Machine, LogFollower>;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#dhcp = new LogFollower(options.dhcpLog);
    this.#tftp = new LogFollower(options.tftpLog);
    this.#consoles = new Map(options.machines.map((machine) => [machine, new LogFollower(machine.serialLog)]));
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** The current timeline of a machine. */
  timeline(machine: Machine): MachineTimeline {
    const known = this.#timelines.get(machine.name);
    if (known) return known;
    const fresh = new MachineTimeline();
    this.#timelines.set(machine.name, fresh);
    return fresh;
  }

  /** The machine's power changed. Called by the machine itself, so it needs no log. */
  power(machine: Machine, isOn: boolean): void {
    // A power-on after a marker belongs to another deployment or a reboot: it gets a timeline of its own.
    if (isOn && this.timeline(machine).marker) this.#timelines.set(machine.name, new MachineTimeline());
    this.#take(machine, { kind: "power", isOn });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, say } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#look();
        await clock.sleep(LOOK_EVERY_MS, signal);
      } catch (error) {
        if (!signal.aborted) say.line(`watching the logs failed: ${describeError(error)}`);
        return;
      }
    }
  }

  async #look(): Promise<void> {
    const { machines } = this.#options;
    for (const line of await this.#dhcp.newLines()) {
      const seen = parseDhcpLine(line);
      const machine = machines.find(({ address }) => address.mac === seen?.mac);
      if (seen && machine) this.#take(machine, { kind: "dhcp", ip: seen.ip });
    }
    for (const line of await this.#tftp.newLines()) {
      const seen = parseTftpLine(line);
      const machine = machines.find(({ address }) => address.ip === seen?.ip);
      if (seen && machine) this.#take(machine, { kind: "tftp", ...seen });
    }
    for (const [machine, follower] of this.#consoles) {
      for (const line of await follower.newLines()) {
        const seen = parseConsoleLine(line);
        if (seen) this.#take(machine, seen);
      }
    }
  }

  #take(machine: Machine, observation: Observation): void {
    const { say, clock } = this.#options;
    this.timeline(machine).add(observation, clock.now());
    const words = describe(observation);
    if (words === undefined) return;
    const isSmall = observation.kind === "tftp" && observation.bytes < 100_000;
    if (isSmall) say.detail(`${machine.name}  ${words}`);
    else say.line(`${machine.name}  ${words}`);
  }
}

function describe(observation: Observation): string | undefined {
  switch (observation.kind) {
    case "power":
      return `power ${observation.isOn ? "on" : "off"}`;
    case "firmware":
      return "firmware starts (SeaBIOS, then the card's PXE ROM)";
    case "dhcp":
      return `DHCP: ${observation.ip}`;
    case "tftp": {
      const { file, bytes, durationMs } = observation;
      const rate = durationMs > 0 ? `, ${formatBytes((bytes * 1000) / durationMs)}/s` : "";
      return `TFTP: ${file.split("/").slice(-2).join("/")} ${formatBytes(bytes)} in ${Math.round(durationMs)} ms${rate}`;
    }
    case "ramdisk":
      return `ramdisk: ${observation.text}`;
    case "tenant":
      return `tenant: ${observation.text}`;
    case "marker":
      return observation.marker.line;
  }
}
