// What every route needs of a request: who asks, the base URL, a checked body, numbers from paths and queries.
import type { Request, Response } from "express";
import type { z } from "zod";
import type { Requester } from "../compute/instance-values.ts";
import { BaremetalError } from "../lib/errors.ts";
import { HttpError } from "./http-error.ts";

/** Who asks, once authenticated. */
export interface ApiUser extends Requester {
  readonly userName: string;
  readonly projectName: string;
  readonly roles: readonly string[];
}

/** What the middlewares leave in `res.locals`. */
interface Locals {
  user?: ApiUser;
  microversion?: number;
  requestId?: string;
  baseUrl?: string;
}

const locals = (res: Response): Locals => res.locals as Locals;

export function setUser(res: Response, user: ApiUser): void {
  locals(res).user = user;
}

/** @throws HttpError 401 on a route without authentication before it */
export function userOf(res: Response): ApiUser {
  const { user } = locals(res);
  if (user === undefined) throw new HttpError(401, "The request you have made requires authentication.");
  return user;
}

/** @throws BaremetalError `Forbidden` */
export function requireAdmin(res: Response, rule: string): ApiUser {
  const user = userOf(res);
  if (!user.isAdmin) throw new BaremetalError("Forbidden", `Policy doesn't allow ${rule} to be performed.`);
  return user;
}

export function setMicroversion(res: Response, minor: number): void {
  locals(res).microversion = minor;
}

/** The minor number of the compute microversion of this request: 1 for 2.1. */
export function microversionOf(res: Response): number {
  return locals(res).microversion ?? 1;
}

export function setRequestId(res: Response, id: string): void {
  locals(res).requestId = id;
}

export function requestIdOf(res: Response): string {
  return locals(res).requestId ?? "";
}

export function setBaseUrl(res: Response, url: string): void {
  locals(res).baseUrl = url;
}

/** Scheme, host and port as the client wrote them: `http://10.0.0.1:8774`. */
export function baseUrlOf(res: Response): string {
  return locals(res).baseUrl ?? "";
}

/** The body, checked. @throws BaremetalError `BadInput` that names the field */
export function parseBody<T extends z.ZodType>(schema: T, req: Request): z.output<T> {
  const body: unknown = req.body;
  if (typeof body !== "object" || body === null) {
    throw new BaremetalError(
      "BadInput",
      "Malformed request body: a JSON object is needed, with Content-Type: application/json",
    );
  }
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join(".") || "the body";
  throw new BaremetalError("BadInput", `Invalid input for field/attribute ${field}. ${issue?.message ?? ""}`.trim(), {
    data: { field },
  });
}

/** One value of a query parameter; the last if it is repeated. */
export function queryOf(req: Request, name: string): string | undefined {
  const value: unknown = req.query[name];
  const one: unknown = Array.isArray(value) ? value[value.length - 1] : value;
  return typeof one === "string" ? one : undefined;
}

/** A path parameter. */
export function paramOf(req: Request, name: string): string {
  const value: unknown = req.params[name];
  return typeof value === "string" ? value : "";
}

/** A whole number that a database column can hold, or undefined. */
export function integerOf(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** `1`, `true`, `yes`, `on`, in any case. */
export function isTruthy(text: string | undefined): boolean {
  return text !== undefined && /^(1|t|true|y|yes|on)$/i.test(text);
}

/** The page after `marker`, of at most `limit`. @throws BaremetalError `BadInput` for a wrong limit or an unknown marker */
export function pageOf<T>(
  req: Request,
  items: readonly T[],
  idOf: (item: T) => string,
  maximum = 1000,
): { page: T[]; next: string | undefined } {
  const limitText = queryOf(req, "limit");
  const asked = limitText === undefined ? maximum : integerOf(limitText);
  if (asked === undefined)
    throw new BaremetalError("BadInput", "limit must be a whole number, zero or more", { data: { field: "limit" } });
  const limit = Math.min(asked, maximum);
  const marker = queryOf(req, "marker");
  const at = marker === undefined ? -1 : items.findIndex((item) => idOf(item) === marker);
  if (marker !== undefined && at < 0)
    throw new BaremetalError("BadInput", `marker [${marker}] not found`, { data: { field: "marker" } });
  const page = items.slice(at + 1, at + 1 + limit);
  const last = page[page.length - 1];
  const hasMore = at + 1 + page.length < items.length;
  return { page, next: hasMore && last !== undefined ? idOf(last) : undefined };
}

/** Times as Nova and Glance write them: seconds, `Z`. */
export function isoSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, "Z");
}

/** Times as Nova's extensions write them: microseconds, no zone. */
export function isoMicros(date: Date | null): string | null {
  return date === null ? null : date.toISOString().replace("Z", "000");
}
