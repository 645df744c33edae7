// Keystone's API as far as clients ask of it: discovery, tokens of v3 and v2.0, the catalogue (clients.md 1.1, 1.2).
import { type Request, type Response, Router } from "express";
import { z } from "zod";
import { HttpError } from "../http-error.ts";
import { baseUrlOf, paramOf, parseBody } from "../request.ts";
import { catalogV2, catalogV3 } from "./catalog.ts";
import type { IdentityService, LoginRequest } from "./identity-service.ts";
import type { TokenClaims } from "./tokens.ts";

const DOMAIN = { id: "default", name: "Default" };

const named = z.looseObject({ id: z.string().optional(), name: z.string().optional() });
const loginV3 = z.object({
  auth: z.looseObject({
    identity: z.looseObject({
      methods: z.array(z.string()).min(1),
      password: z.object({ user: named.extend({ password: z.string() }) }).optional(),
      token: z.object({ id: z.string() }).optional(),
    }),
    scope: z.union([z.literal("unscoped"), z.looseObject({ project: named.optional() })]).optional(),
  }),
});
const loginV2 = z.object({
  auth: z.looseObject({
    passwordCredentials: z
      .looseObject({ username: z.string().optional(), userId: z.string().optional(), password: z.string() })
      .optional(),
    token: z.looseObject({ id: z.string() }).optional(),
    tenantName: z.string().nullish(),
    tenantId: z.string().nullish(),
  }),
});

function versionV3(baseUrl: string): object {
  return {
    id: "v3.14",
    status: "stable",
    updated: "2020-04-07T00:00:00Z",
    links: [{ rel: "self", href: `${baseUrl}/identity/v3/` }],
    "media-types": [{ base: "application/json", type: "application/vnd.openstack.identity-v3+json" }],
  };
}

function versionV2(baseUrl: string): object {
  return {
    id: "v2.0",
    status: "deprecated",
    updated: "2016-08-04T00:00:00Z",
    links: [{ rel: "self", href: `${baseUrl}/identity/v2.0/` }],
    "media-types": [{ base: "application/json", type: "application/vnd.openstack.identity-v2.0+json" }],
  };
}

function tokenV3(claims: TokenClaims, methods: readonly string[], baseUrl: string, region: string): object {
  return {
    methods,
    user: { id: claims.userId, name: claims.userName, domain: DOMAIN, password_expires_at: null },
    project: { id: claims.projectId, name: claims.projectName, domain: DOMAIN },
    is_domain: false,
    roles: claims.roles.map((name) => ({ id: name, name })),
    audit_ids: [claims.auditId],
    issued_at: new Date(claims.issuedAt).toISOString(),
    expires_at: new Date(claims.expiresAt).toISOString(),
    catalog: catalogV3(baseUrl, region),
  };
}

function accessV2(token: string, claims: TokenClaims, baseUrl: string, region: string): object {
  const { userId, userName, projectId, projectName, roles } = claims;
  return {
    token: {
      id: token,
      issued_at: new Date(claims.issuedAt).toISOString(),
      expires: new Date(claims.expiresAt).toISOString(),
      tenant: { id: projectId, name: projectName, enabled: true, description: null },
      audit_ids: [claims.auditId],
    },
    user: { id: userId, name: userName, username: userName, roles: roles.map((name) => ({ name })), roles_links: [] },
    serviceCatalog: catalogV2(baseUrl, region),
    metadata: { is_admin: claims.isAdmin ? 1 : 0, roles },
  };
}

/** The claims of the caller's own token, which also allows to look at another. */
function ownClaims(identity: IdentityService, req: Request): TokenClaims {
  const claims = identity.inspect(req.get("x-auth-token") ?? "");
  if (claims === undefined) throw new HttpError(401, "The request you have made requires authentication.");
  return claims;
}

function subjectClaims(identity: IdentityService, req: Request): TokenClaims {
  const own = ownClaims(identity, req);
  const claims = identity.inspect(req.get("x-subject-token") ?? "");
  if (claims === undefined) throw new HttpError(404, "This is not a recognized token.");
  if (!own.isAdmin && own.userId !== claims.userId) {
    throw new HttpError(403, "You are not authorized to perform the requested action.");
  }
  return claims;
}

/** Routes under `/identity`. */
export function identityRouter(identity: IdentityService, region: string): Router {
  const router = Router();
  router.get("/", (_req, res) => {
    const baseUrl = baseUrlOf(res);
    res.status(300).json({ versions: { values: [versionV3(baseUrl), versionV2(baseUrl)] } });
  });
  router.get("/v3", (_req, res) => void res.json({ version: versionV3(baseUrlOf(res)) }));
  router.get("/v2.0", (_req, res) => void res.json({ version: versionV2(baseUrlOf(res)) }));
  router.post("/v3/auth/tokens", (req, res) => postTokenV3(identity, region, req, res));
  router.get("/v3/auth/tokens", (req, res) => {
    const claims = subjectClaims(identity, req);
    res.set("X-Subject-Token", req.get("x-subject-token") ?? "");
    res.json({ token: tokenV3(claims, ["password"], baseUrlOf(res), region) });
  });
  router.delete("/v3/auth/tokens", (req, res) => {
    identity.revoke(subjectClaims(identity, req));
    res.status(204).end();
  });
  router.get("/v3/auth/catalog", (req, res) => {
    ownClaims(identity, req);
    res.json({ catalog: catalogV3(baseUrlOf(res), region), links: { next: null, previous: null } });
  });
  router.get(["/v3/auth/projects", "/v3/projects", "/v3/users/:user/projects"], (req, res) => {
    const { projectId, projectName } = ownClaims(identity, req);
    const project = {
      id: projectId,
      name: projectName,
      domain_id: DOMAIN.id,
      enabled: true,
      is_domain: false,
      tags: [],
    };
    res.json({ projects: [project], links: { next: null, previous: null } });
  });
  router.get("/v3/users/:user", (req, res) => {
    const { userId, userName } = ownClaims(identity, req);
    if (paramOf(req, "user") !== userId) throw new HttpError(404, `Could not find user: ${paramOf(req, "user")}.`);
    res.json({ user: { id: userId, name: userName, domain_id: DOMAIN.id, enabled: true } });
  });
  router.post("/v2.0/tokens", (req, res) => postTokenV2(identity, region, req, res));
  router.get("/v2.0/tenants", (req, res) => {
    const { projectId, projectName } = ownClaims(identity, req);
    res.json({ tenants: [{ id: projectId, name: projectName, enabled: true, description: null }], tenants_links: [] });
  });
  return router;
}

async function postTokenV3(identity: IdentityService, region: string, req: Request, res: Response): Promise<void> {
  const { auth } = parseBody(loginV3, req);
  const { methods, password, token } = auth.identity;
  const project = typeof auth.scope === "object" ? auth.scope.project : undefined;
  const usesPassword = methods.includes("password") && password !== undefined;
  const request: LoginRequest = usesPassword
    ? {
        password: { user: password.user.name ?? password.user.id ?? "", password: password.user.password },
        project: project?.id ?? project?.name,
      }
    : { token: methods.includes("token") ? token?.id : undefined, project: project?.id ?? project?.name };
  const issued = await identity.login(request);
  res.status(201).set("X-Subject-Token", issued.token).set("Vary", "X-Auth-Token");
  res.json({ token: tokenV3(issued.claims, [usesPassword ? "password" : "token"], baseUrlOf(res), region) });
}

async function postTokenV2(identity: IdentityService, region: string, req: Request, res: Response): Promise<void> {
  const { auth } = parseBody(loginV2, req);
  const { passwordCredentials: given } = auth;
  const issued = await identity.login({
    password:
      given === undefined ? undefined : { user: given.username ?? given.userId ?? "", password: given.password },
    token: auth.token?.id,
    project: auth.tenantId ?? auth.tenantName ?? undefined,
  });
  res.json({ access: accessV2(issued.token, issued.claims, baseUrlOf(res), region) });
}
