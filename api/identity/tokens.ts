// Tokens: a signed statement (HMAC-SHA-256) of who asks and until when. They outlive a restart; the key file ends them all.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import type { ApiUser } from "../request.ts";

/** What a token says. Times in milliseconds since the epoch. */
export interface TokenClaims extends ApiUser {
  readonly auditId: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** A keyed digest of what the login rested on: see {@link TokenService.restsOn}. */
  readonly stamp: string;
}

const claimsSchema = z.object({
  userId: z.string(),
  userName: z.string(),
  projectId: z.string(),
  projectName: z.string(),
  roles: z.array(z.string()),
  isAdmin: z.boolean(),
  auditId: z.string(),
  issuedAt: z.number(),
  expiresAt: z.number(),
  stamp: z.string(),
});

/** Revoked tokens that are remembered at most: each is a small string that goes when it expires. */
const REVOKED_LIMIT = 100_000;

/** Issues and checks tokens. */
export class TokenService {
  readonly #key: Buffer;
  readonly #lifetimeMs: number;
  readonly #clock: Clock;
  /** auditId -> expiry. Kept in memory only: a restart forgets a revocation, never an expiry. */
  readonly #revoked = new Map<string, number>();

  constructor(key: Buffer, lifetimeMs: number, clock: Clock) {
    this.#key = key;
    this.#lifetimeMs = lifetimeMs;
    this.#clock = clock;
  }

  /**
   * `basis` is what the login rests on, such as the strategy and the password's hash; it does not leave in the open.
   * `notAfter` bounds a token that was got by another: it cannot live longer than that one.
   */
  issue(user: ApiUser, basis: string, notAfter = Number.POSITIVE_INFINITY): { token: string; claims: TokenClaims } {
    const { userId, userName, projectId, projectName, roles, isAdmin } = user;
    const issuedAt = this.#clock.now();
    const expiresAt = Math.min(issuedAt + this.#lifetimeMs, notAfter);
    const auditId = randomBytes(12).toString("base64url");
    const claims = {
      userId,
      userName,
      projectId,
      projectName,
      roles,
      isAdmin,
      auditId,
      issuedAt,
      expiresAt,
      stamp: this.#stamp(basis),
    };
    const body = Buffer.from(JSON.stringify(claims)).toString("base64url");
    return { token: `${body}.${this.#sign(body).toString("base64url")}`, claims };
  }

  /** What the token says, or undefined if it is not ours, expired or revoked. */
  check(token: string): TokenClaims | undefined {
    if (token.length > 4096) return undefined;
    const [body = "", signature = ""] = token.split(".");
    const given = Buffer.from(signature, "base64url");
    const expected = this.#sign(body);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    // What we signed is JSON of ours; an older version's may differ in its fields.
    const parsed = claimsSchema.safeParse(JSON.parse(Buffer.from(body, "base64url").toString()));
    if (!parsed.success || parsed.data.expiresAt <= this.#clock.now()) return undefined;
    return this.#revoked.has(parsed.data.auditId) ? undefined : parsed.data;
  }

  /** True if the token was issued on this basis: one got by another strategy or an older password is worth nothing. */
  restsOn(claims: TokenClaims, basis: string): boolean {
    const given = Buffer.from(claims.stamp);
    const expected = Buffer.from(this.#stamp(basis));
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  revoke(claims: TokenClaims): void {
    const now = this.#clock.now();
    for (const [id, expiresAt] of this.#revoked) if (expiresAt <= now) this.#revoked.delete(id);
    if (this.#revoked.size >= REVOKED_LIMIT) this.#revoked.delete(this.#revoked.keys().next().value ?? "");
    this.#revoked.set(claims.auditId, claims.expiresAt);
  }

  #stamp(basis: string): string {
    return createHmac("sha256", this.#key).update(`stamp:${basis}`).digest("base64url").slice(0, 22);
  }

  #sign(body: string): Buffer {
    return createHmac("sha256", this.#key).update(body).digest();
  }
}
