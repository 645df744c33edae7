// The API as one express application: identity, compute and image under one port, by path prefix.
import { randomUUID } from "node:crypto";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import type { ComputeServices } from "../compute/compute-services.ts";
import { BaremetalError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { computeRouter } from "./compute/compute-router.ts";
import { answerFor, errorBody, HttpError, logText } from "./http-error.ts";
import { identityRouter } from "./identity/identity-router.ts";
import type { IdentityService, IdentitySettings } from "./identity/identity-service.ts";
import { imageRouter } from "./image/image-router.ts";
import { baseUrlOf, requestIdOf, setBaseUrl, setRequestId, setUser } from "./request.ts";

/** The part of `config.api` that the application reads. */
export interface ApiSettings extends IdentitySettings {
  readonly regionName: string;
  /** The address that clients see; unset: taken from the Host header of each request. */
  readonly publicUrl?: string | undefined;
}

export interface ApiOptions {
  readonly config: ApiSettings;
  readonly services: ComputeServices;
  readonly identity: IdentityService;
  readonly logger: Logger;
  /** Until it says true every request is answered 503, to be tried again; default: ready from the start. */
  readonly isReady?: () => boolean;
}

/** Builds the application; it listens by `ApiServer`. */
export function createApi(options: ApiOptions): Express {
  const { config, services, identity, logger, isReady } = options;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.use(prepareRequest(config.publicUrl, logger));
  if (isReady !== undefined) app.use(gate(isReady));
  app.get("/healthz", (_req, res) => void res.json({ status: "ok" }));
  const authenticate = authentication(identity);
  app.use("/identity", express.json({ limit: "64kb" }), identityRouter(identity, config.regionName));
  app.use("/compute", computeRouter({ services, authenticate, isOpen: identity.isOpen }));
  app.use("/image", imageRouter({ store: services.imageStore, images: services.repositories.images, authenticate }));
  app.use(() => {
    throw new BaremetalError("NotFound", "The resource could not be found.");
  });
  app.use(errorHandler(logger));
  return app;
}

/** Gives the request its id, its base URL, and a line in the log when it has ended. */
function prepareRequest(publicUrl: string | undefined, logger: Logger): RequestHandler {
  return (req, res, next) => {
    const id = `req-${randomUUID()}`;
    setRequestId(res, id);
    res.set("x-openstack-request-id", id);
    const host = req.get("host") ?? "";
    if (publicUrl === undefined && !/^[A-Za-z0-9._-]+(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$/.test(host)) {
      // What goes into links must be a host and port, and nothing else.
      throw new BaremetalError("BadInput", "The Host header is missing or malformed.");
    }
    setBaseUrl(res, publicUrl?.replace(/\/+$/, "") ?? `http://${host}`);
    if (logger.isDebug) {
      const start = performance.now();
      res.once("finish", () => {
        const milliseconds = Math.round(performance.now() - start);
        logger.debug(`${req.method} ${req.originalUrl.split("?")[0]} ${res.statusCode}`, { request: id, milliseconds });
      });
    }
    next();
  };
}

/** Trap: the port is had before the recovery begins, so that a second service on it harms nothing; requests must wait. */
function gate(isReady: () => boolean): RequestHandler {
  return (_req, res, next) => {
    if (!isReady()) {
      res.set("Retry-After", "1");
      throw new HttpError(503, "The service is starting; try again in a moment.");
    }
    next();
  };
}

function authentication(identity: IdentityService): RequestHandler {
  return (req, res, next) => {
    try {
      setUser(res, identity.authenticate(req.get("x-auth-token")));
    } catch (error) {
      res.set("WWW-Authenticate", `Keystone uri="${baseUrlOf(res)}/identity/v3"`);
      throw error;
    }
    next();
  };
}

function errorHandler(logger: Logger): ErrorRequestHandler {
  return (error, req, res, _next) => {
    const answer = answerFor(error);
    const fields = { request: requestIdOf(res), method: req.method, path: req.originalUrl.split("?")[0] };
    if (answer.isOurs) logger.error(`request failed: ${logText(error)}`, fields);
    else if (logger.isDebug) logger.debug(`request refused: ${answer.message}`, fields);
    if (res.headersSent) {
      res.destroy();
      return;
    }
    // A body that was not read to its end must not be taken for the next request.
    if (!req.complete) res.set("Connection", "close");
    const style = req.originalUrl.startsWith("/identity") ? "keystone" : "nova";
    res.status(answer.status).json(errorBody(answer, style));
  };
}
