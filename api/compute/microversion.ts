// Nova's microversions 2.1 to 2.61: the header, the range, and the headers of the answer.
import type { NextFunction, Request, Response } from "express";
import { BaremetalError } from "../../lib/errors.ts";
import { HttpError } from "../http-error.ts";
import { setMicroversion } from "../request.ts";

/**
 * The highest minor version. What a request of each version gets is honoured up to here: 2.37 `networks`, 2.47 the embedded
 * flavor, 2.53 uuids of services and hypervisors, 2.57 no personality, 2.61 extra specs in flavors. Later ones speak of
 * things that do not exist here (volumes, cells, server groups).
 */
export const MAX_MINOR = 61;
export const MIN_MINOR = 1;

/** Reads the request's version and marks the answer with it. @throws HttpError 406, BaremetalError `BadInput` */
export function microversion(req: Request, res: Response, next: NextFunction): void {
  const minor = requested(req);
  setMicroversion(res, minor);
  res.set("OpenStack-API-Version", `compute 2.${minor}`);
  res.set("X-OpenStack-Nova-API-Version", `2.${minor}`);
  res.vary("OpenStack-API-Version").vary("X-OpenStack-Nova-API-Version");
  next();
}

/** The legacy `/v2`: always 2.1, whatever the headers say. */
export function legacyVersion(_req: Request, res: Response, next: NextFunction): void {
  setMicroversion(res, MIN_MINOR);
  next();
}

function requested(req: Request): number {
  const service = (req.get("openstack-api-version") ?? "")
    .split(",")
    .map((part) => part.trim().split(/\s+/))
    .find((words) => words[0] === "compute")?.[1];
  const text = service ?? req.get("x-openstack-nova-api-version");
  if (text === undefined || text === "") return MIN_MINOR;
  if (text === "latest") return MAX_MINOR;
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text);
  if (match === null) {
    throw new BaremetalError(
      "BadInput",
      `API Version String ${text} is of invalid format. Must be of format MajorNum.MinorNum.`,
    );
  }
  const minor = Number(match[2]);
  if (match[1] !== "2" || minor < MIN_MINOR || minor > MAX_MINOR) {
    throw new HttpError(
      406,
      `Version ${text} is not supported by the API. Minimum is 2.${MIN_MINOR} and maximum is 2.${MAX_MINOR}.`,
    );
  }
  return minor;
}

/** The version documents of `/compute`, `/compute/v2` and `/compute/v2.1`. */
export function versionDocument(baseUrl: string, id: "v2.0" | "v2.1"): object {
  const isCurrent = id === "v2.1";
  return {
    id,
    status: isCurrent ? "CURRENT" : "SUPPORTED",
    version: isCurrent ? `2.${MAX_MINOR}` : "",
    min_version: isCurrent ? `2.${MIN_MINOR}` : "",
    updated: isCurrent ? "2013-07-23T11:33:21Z" : "2011-01-21T11:33:21Z",
    links: [{ rel: "self", href: `${baseUrl}/compute/${isCurrent ? "v2.1" : "v2"}/` }],
    "media-types": [
      { base: "application/json", type: `application/vnd.openstack.compute+json;version=${isCurrent ? "2.1" : "2"}` },
    ],
  };
}
