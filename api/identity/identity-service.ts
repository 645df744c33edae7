// Who asks: logins, tokens, and the `noauth` strategy in which everybody is the administrator.
import type { Clock } from "../../lib/clock.ts";
import { loadOrCreateSecretKey } from "../../lib/config/index.ts";
import { HttpError } from "../http-error.ts";
import type { ApiUser } from "../request.ts";
import { type TokenClaims, TokenService } from "./tokens.ts";
import { makeUser, UserDirectory } from "./users.ts";

export interface IdentitySettings {
  readonly authStrategy: "keystone" | "noauth";
  readonly adminUser: string;
  readonly adminPasswordFile: string;
  readonly usersFile?: string | undefined;
  /** Seconds. */
  readonly tokenLifetime: number;
}

/** A login, from either version of the identity API. */
export interface LoginRequest {
  readonly password?: { readonly user: string; readonly password: string } | undefined;
  readonly token?: string | undefined;
  /** Name or id; the user's own project if it is not given. */
  readonly project?: string | undefined;
}

const REFUSED = "The request you have made requires authentication.";

/** The embedded identity service. */
export class IdentityService {
  readonly isOpen: boolean;
  readonly #adminUser: string;
  readonly #users: UserDirectory;
  readonly #tokens: TokenService;

  private constructor(settings: IdentitySettings, users: UserDirectory, tokens: TokenService) {
    this.isOpen = settings.authStrategy === "noauth";
    this.#adminUser = settings.adminUser;
    this.#users = users;
    this.#tokens = tokens;
  }

  /** Reads users and key; both are made at the first start. `tokenKeyFile` signs the tokens. */
  static async open(settings: IdentitySettings, tokenKeyFile: string, clock: Clock): Promise<IdentityService> {
    const users = await UserDirectory.open(settings);
    const tokens = new TokenService(await loadOrCreateSecretKey(tokenKeyFile), settings.tokenLifetime * 1000, clock);
    return new IdentityService(settings, users, tokens);
  }

  /** @throws HttpError 401, with the same words whatever was wrong */
  async login(request: LoginRequest): Promise<{ token: string; claims: TokenClaims }> {
    if (this.isOpen) return this.#issue(this.#anybody(request.password?.user));
    if (request.token !== undefined) {
      const claims = this.inspect(request.token);
      const user = claims === undefined ? undefined : this.#users.get(claims.userId);
      if (claims === undefined || user === undefined) throw new HttpError(401, REFUSED);
      return this.#issue(scoped(user, request.project), claims.expiresAt);
    }
    const { password } = request;
    const user = password === undefined ? undefined : await this.#users.login(password.user, password.password);
    if (user === undefined) throw new HttpError(401, REFUSED);
    return this.#issue(scoped(user, request.project));
  }

  /** Who has this token. @throws HttpError 401 */
  authenticate(token: string | undefined): ApiUser {
    if (this.isOpen) return this.#anybody();
    const claims = token === undefined ? undefined : this.inspect(token);
    const user = claims === undefined ? undefined : this.#users.get(claims.userId);
    if (user === undefined) throw new HttpError(401, REFUSED);
    return user;
  }

  /** What a token says, or undefined if it is worth nothing, such as one from before the password was changed. */
  inspect(token: string): TokenClaims | undefined {
    const claims = this.#tokens.check(token);
    const basis = claims === undefined ? undefined : this.#basis(claims.userId);
    if (claims === undefined || basis === undefined) return undefined;
    return this.#tokens.restsOn(claims, basis) ? claims : undefined;
  }

  revoke(claims: TokenClaims): void {
    this.#tokens.revoke(claims);
  }

  #issue(user: ApiUser, notAfter?: number): { token: string; claims: TokenClaims } {
    const basis = this.#basis(user.userId);
    if (basis === undefined) throw new HttpError(401, REFUSED);
    return this.#tokens.issue(user, basis, notAfter);
  }

  /** Trap: what anybody got under `noauth` names the administrator; under `keystone` it must be worth nothing. */
  #basis(userId: string): string | undefined {
    if (this.isOpen) return "noauth";
    const credential = this.#users.credential(userId);
    return credential === undefined ? undefined : `keystone:${userId}:${credential}`;
  }

  /** Under `noauth` the name is taken on trust and everybody is an administrator of one project. */
  #anybody(name?: string): ApiUser {
    const user = makeUser(this.#adminUser, "admin", ["admin", "member", "reader"]);
    return name === undefined ? user : { ...user, userName: name };
  }
}

function scoped(user: ApiUser, project: string | undefined): ApiUser {
  if (project === undefined || project === user.projectName || project === user.projectId) return user;
  throw new HttpError(
    401,
    `User ${user.userName} has no access to project ${project}; its project is ${user.projectName}.`,
  );
}
