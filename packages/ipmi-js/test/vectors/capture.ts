// Reads the captured sessions of this folder. Each JSON file says where its bytes come from.
import { readFileSync } from "node:fs";

export interface Capture {
  readonly source: string;
  readonly user: string;
  readonly password: string;
  /** What the console asked for, if not administrator (4). */
  readonly privilege?: number;
  readonly cipherSuite: number;
  readonly datagrams: readonly { readonly from: "console" | "bmc"; readonly hex: string }[];
  /** Computed from the datagrams by Python's hmac and cryptography, not by our code. */
  readonly derived: {
    readonly sik: string;
    readonly k1: string;
    readonly k2: string;
    /** The clear IPMI messages of the session's datagrams, in order, with their initialisation vectors; "" in suites that do not encrypt. */
    readonly messages: readonly { readonly from: "console" | "bmc"; readonly iv: string; readonly message: string }[];
  };
}

/** A session of IPMI 1.5. */
export interface CaptureV15 {
  readonly source: string;
  readonly user: string;
  readonly password: string;
  readonly authentication: "none" | "md5" | "password";
  readonly datagrams: Capture["datagrams"];
}

const FILES = [
  "ipmitool-ipmi_sim-suite0.json",
  "ipmitool-ipmi_sim-suite1.json",
  "ipmitool-ipmi_sim-suite2.json",
  "ipmitool-ipmi_sim-suite3.json",
  "ipmitool-suite8.json",
  "ipmipower-suite12.json",
  "ipmitool-suite17.json",
] as const;
const FILES_V15 = [
  "ipmitool-ipmi_sim-v15-none.json",
  "ipmitool-ipmi_sim-v15-md5.json",
  "ipmitool-ipmi_sim-v15-password.json",
] as const;

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
}

/** All captures of RMCP+ sessions. */
export function readCaptures(): Capture[] {
  return FILES.map((name) => read(name) as Capture);
}

/** All captures of IPMI 1.5 sessions. */
export function readCapturesV15(): CaptureV15[] {
  return FILES_V15.map((name) => read(name) as CaptureV15);
}
