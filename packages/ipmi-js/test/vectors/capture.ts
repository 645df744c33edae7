// Reads the captured sessions of this folder. Each JSON file says where its bytes come from.
import { readFileSync } from "node:fs";

export interface Capture {
  readonly source: string;
  readonly user: string;
  readonly password: string;
  readonly cipherSuite: number;
  readonly datagrams: readonly { readonly from: "console" | "bmc"; readonly hex: string }[];
  /** Computed from the datagrams by Python's hmac and cryptography, not by our code. */
  readonly derived: {
    readonly sik: string;
    readonly k1: string;
    readonly k2: string;
    /** The clear IPMI messages of the sealed datagrams, in order, with their initialisation vectors. */
    readonly messages: readonly { readonly from: "console" | "bmc"; readonly iv: string; readonly message: string }[];
  };
}

const FILES = ["ipmitool-ipmi_sim-suite3.json", "ipmitool-suite17.json"] as const;

/** All captures. */
export function readCaptures(): Capture[] {
  return FILES.map((name) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as Capture);
}
