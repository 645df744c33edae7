// The deploy ramdisk's call (nova-baremetal.md 5.1): who may call, what is believed, and what is answered.
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { DeploymentRecord } from "../db/records.ts";
import type { RefusalLimit } from "./refusal-limit.ts";
import type { EventSink } from "./timeline.ts";

/** The rows that a call may touch. */
export interface CallStore {
  current(nodeId: number): Promise<DeploymentRecord | undefined>;
  acceptCall(
    nodeId: number,
    call: { keyHash: string; agentAddress: string; agentPort: number; agentLun: number },
  ): Promise<DeploymentRecord | undefined>;
  failCall(nodeId: number, keyHash: string, error: string): Promise<boolean>;
}

export interface CallAnswer {
  readonly status: number;
  /** Plain text; empty when all is well. */
  readonly text: string;
  /** A job was queued. */
  readonly isQueued: boolean;
}

const REQUIRED = ["i", "k", "a", "n"] as const;
const DEFAULT_PORT = 3260;
const DEFAULT_LUN = 1;
const MAX_AGENT_TEXT = 1000;

/**
 * Judges a call and writes what follows from it. `form` is the urlencoded body, `peer` the caller's address.
 * `limit` says which refusals become events. Nothing in the call is believed but the key: the address must be the caller's, the target the one we issued (S2).
 */
export async function receiveCall(
  form: string,
  peer: string,
  store: CallStore,
  events: EventSink,
  limit: RefusalLimit,
): Promise<CallAnswer> {
  const fields = new URLSearchParams(form);
  for (const name of REQUIRED) {
    if (!fields.get(name)?.trim()) return refused(400, `parameter ''${name}'' is not defined`);
  }
  const id = numberField(fields, "i", 1, 0x7fffffff);
  if (id === undefined) return refused(400, "parameter ''i'' is not a deployment id");
  const row = await store.current(id);
  if (row === undefined) return refused(404, `deployment id ''${id}'' is not known`);
  const log = async (kind: "info" | "error", message: string) => {
    await events.append({
      deploymentId: row.id,
      nodeId: row.nodeId,
      instanceUuid: row.instanceUuid,
      source: "deploy-helper",
      step: "agent call",
      kind,
      message,
      data: { peer },
    });
  };
  const refuse = async (text: string, reason = text) => {
    if (limit.isDue(row.nodeId, peer, reason)) await log("error", `a call from ${peer} was refused: ${reason}`);
    return refused(400, text);
  };
  const keyHash = createHash("sha256")
    .update(fields.get("k") ?? "")
    .digest("hex");
  // One answer for every wrong key and every wrong state: it tells a stranger nothing.
  if (!isSameHash(keyHash, row.deployKeyHash))
    return refuse("key is not match", "the deploy key is wrong or was used before");
  if (row.state !== "prepared")
    return refuse("key is not match", `the deployment is in state "${row.state}", not "prepared"`);
  const address = canonicalAddress(fields.get("a") ?? "");
  if (address === undefined || address !== canonicalAddress(peer)) {
    return refuse("parameter ''a'' is not the address of the caller");
  }
  if (fields.get("n") !== row.iqn) return refuse("parameter ''n'' is not the target name that was issued");
  const agentPort = numberField(fields, "p", 1, 65535, DEFAULT_PORT);
  const agentLun = numberField(fields, "l", 0, 16383, DEFAULT_LUN);
  if (agentPort === undefined) return refuse("parameter ''p'' is not a port number");
  if (agentLun === undefined) return refuse("parameter ''l'' is not a LUN");
  const agentError = cleanText(fields.get("e") ?? "");
  if (agentError !== "") {
    const isFailed = await store.failCall(id, keyHash, `the deploy ramdisk reported: ${agentError}`);
    if (!isFailed) return refuse("key is not match", "another call came first");
    await log("error", `the deploy ramdisk reported: ${agentError}`);
    return { status: 200, text: "", isQueued: false };
  }
  const queued = await store.acceptCall(id, { keyHash, agentAddress: address, agentPort, agentLun });
  if (queued === undefined) return refuse("key is not match", "another call came first");
  await log("info", `the deploy ramdisk exports its disk at ${address}:${agentPort}, LUN ${agentLun}`);
  return { status: 200, text: "", isQueued: true };
}

function refused(status: number, text: string): CallAnswer {
  return { status, text, isQueued: false };
}

/** Compares two SHA-256 in constant time; false if none is expected. */
function isSameHash(actual: string, expected: string | null): boolean {
  const given = Buffer.from(actual, "hex");
  const wanted = Buffer.from(expected ?? "", "hex");
  return wanted.length === given.length && timingSafeEqual(given, wanted);
}

/** A decimal number in its bounds; undefined if it is anything else. */
function numberField(
  fields: URLSearchParams,
  name: string,
  min: number,
  max: number,
  absent?: number,
): number | undefined {
  const text = fields.get(name)?.trim() ?? "";
  if (text === "") return absent;
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

/** One spelling per address: IPv4-mapped IPv6 is IPv4, IPv6 is compressed. Undefined if it is none. */
export function canonicalAddress(text: string): string | undefined {
  const plain = text.trim().replace(/%.*$/, "").toLowerCase();
  const mapped = /^(?:0*:)*:?ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1];
  if (mapped !== undefined && isIP(mapped) === 4) return mapped;
  if (isIP(plain) === 4) return plain;
  if (isIP(plain) !== 6) return undefined;
  const compressed = new URL(`http://[${plain}]/`).hostname.slice(1, -1);
  const words = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(compressed);
  if (words === null) return compressed;
  const [high, low] = [Number.parseInt(words[1] ?? "", 16), Number.parseInt(words[2] ?? "", 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** The ramdisk's words, without what could forge lines of a log. */
function cleanText(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, MAX_AGENT_TEXT);
}
