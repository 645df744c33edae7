// A failure as Nova records it: code 500, a short message, the details (facts section 8.4).
import type { InstanceRecord } from "../db/records.ts";
import { describeError, isBaremetalError } from "../lib/errors.ts";

export type InstanceFault = NonNullable<InstanceRecord["fault"]>;

/** Nova cut at 255 characters, and often cut the cause off; what is longer than this goes on in the details. */
const MESSAGE_LIMIT = 2000;

/** The fault that names `error` and its causes. `context` goes first. */
export function faultOf(error: unknown, nowMs: number, context = "", details: readonly string[] = []): InstanceFault {
  const text = `${context}${describeError(error)}`;
  const lines = text.length > MESSAGE_LIMIT ? [text, ...details] : details;
  return {
    code: 500,
    message: text.length > MESSAGE_LIMIT ? `${text.slice(0, MESSAGE_LIMIT - 3)}...` : text,
    ...(lines.length > 0 ? { details: lines.join("\n") } : {}),
    created: new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z"),
  };
}

/** True if another node would fail the same way: the cause is what the user gave. */
export function isUsersMistake(error: unknown): boolean {
  if (isBaremetalError(error, "NotFound")) return error.data.kind === "image";
  return isBaremetalError(error, "BadInput") || isBaremetalError(error, "ImageUnacceptable");
}
