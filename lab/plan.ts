// What the outer process hands to the one inside the namespaces, and what it hears back: JSON lines on standard output.
import type { Artifacts } from "./artifacts/artifacts.ts";
import type { MachineResult } from "./deploy.ts";
import type { LabOptions } from "./options.ts";
import type { RackFolders } from "./rack.ts";

export interface LabPlan {
  readonly options: LabOptions;
  readonly folders: RackFolders;
  readonly artifacts: Artifacts;
  /** Milliseconds since the epoch: both processes' words count from here. */
  readonly startedAt: number;
}

/** The one JSON line of `--once`. */
export interface LabResult {
  readonly ok: boolean;
  /** True if every tenant has said who it is, rightly. */
  readonly marker: boolean;
  readonly nodes: number;
  readonly db: string;
  /** Of the machine that took longest. */
  readonly steps: Readonly<Record<string, number>>;
  readonly powerOnToMarkerMs: number;
  readonly bootToActiveMs: number;
  /** Of all machines together. */
  readonly bytesWritten: number;
  /** Of the root partition read back; of the first machine that differs, if one does. */
  readonly sha256: string | null;
  readonly imageSha256: string;
  readonly imageBytes: number;
  readonly sha256Equal: boolean;
  /** True if after `nova delete` nothing of the servers was left. */
  readonly released: boolean;
  /** Command lines of programs that the services must not call, but did. */
  readonly forbiddenCalls: readonly string[];
  readonly machines: readonly MachineResult[];
  readonly totalMs: number;
  readonly logs: string;
  readonly error?: string;
}

export type LabMessage =
  | { readonly event: "api"; readonly socket: string; readonly passwordFile: string }
  | { readonly event: "up"; readonly spare: string }
  | { readonly event: "result"; readonly result: LabResult };
