// The embedded users: the administrator, whose password is in a file, and those of the users file.
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { BaremetalError } from "../../lib/errors.ts";
import type { ApiUser } from "../request.ts";
import { checkPassword, hashPassword, isPasswordHash } from "./password.ts";

/** A user and how to know it. */
interface StoredUser {
  readonly user: ApiUser;
  readonly passwordHash: string;
  /** What changes with the password, and only then: the administrator's hash is new at each start. */
  readonly credential: string;
}

const usersFileSchema = z.object({
  users: z.array(
    z.object({
      name: z.string().min(1).max(255),
      /** `scrypt$N$r$p$salt$hash`. */
      password_hash: z.string().refine(isPasswordHash, "is no scrypt hash: scrypt$N$r$p$salt$hash"),
      project: z.string().min(1).max(64),
      roles: z.array(z.string().min(1).max(255)).default(["member"]),
    }),
  ),
});

export interface UserDirectoryOptions {
  readonly adminUser: string;
  readonly adminPasswordFile: string;
  readonly usersFile?: string | undefined;
}

/** A stable id of 32 hex digits for a name, as Keystone's ids look. */
export function stableId(kind: "user" | "project", name: string): string {
  return createHash("sha256").update(`${kind}:${name}`).digest("hex").slice(0, 32);
}

/** The user of this name with a project and roles. */
export function makeUser(userName: string, projectName: string, roles: readonly string[]): ApiUser {
  return {
    userId: stableId("user", userName),
    userName,
    projectId: stableId("project", projectName),
    projectName,
    roles,
    isAdmin: roles.includes("admin"),
  };
}

/** Who may log in. */
export class UserDirectory {
  readonly #users: ReadonlyMap<string, StoredUser>;
  /** Checked for unknown names, so that they take as long as known ones. */
  readonly #decoy: string;

  private constructor(users: ReadonlyMap<string, StoredUser>, decoy: string) {
    this.#users = users;
    this.#decoy = decoy;
  }

  /** Reads the files; makes the administrator's password if there is none yet. @throws BaremetalError `BadInput` for a broken file */
  static async open(options: UserDirectoryOptions): Promise<UserDirectory> {
    const users = new Map<string, StoredUser>();
    if (options.usersFile !== undefined) {
      for (const one of await readUsers(options.usersFile)) {
        users.set(one.name, {
          user: makeUser(one.name, one.project, one.roles),
          passwordHash: one.password_hash,
          credential: one.password_hash,
        });
      }
    }
    const password = await adminPassword(options.adminPasswordFile);
    users.set(options.adminUser, {
      user: makeUser(options.adminUser, "admin", ["admin", "member", "reader"]),
      passwordHash: await hashPassword(password),
      credential: password,
    });
    return new UserDirectory(users, await hashPassword(randomBytes(16).toString("hex")));
  }

  /** The user, if name (or id) and password are right. */
  async login(nameOrId: string, password: string): Promise<ApiUser | undefined> {
    const stored = this.#users.get(nameOrId) ?? this.#stored(nameOrId);
    const isRight = await checkPassword(password, stored?.passwordHash ?? this.#decoy);
    return isRight ? stored?.user : undefined;
  }

  /** A user as the files have it now: a token of a removed user is worth nothing. */
  get(userId: string): ApiUser | undefined {
    return this.#stored(userId)?.user;
  }

  /** A secret text that stays the same as long as the user's password does; undefined for no user. Never for the outside. */
  credential(userId: string): string | undefined {
    return this.#stored(userId)?.credential;
  }

  #stored(userId: string): StoredUser | undefined {
    return [...this.#users.values()].find((one) => one.user.userId === userId);
  }
}

async function readUsers(file: string): Promise<z.output<typeof usersFileSchema>["users"]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new BaremetalError("BadInput", `the users file ${file} cannot be read: ${(cause as Error).message}`, {
      cause,
      data: { file },
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BaremetalError("BadInput", `the users file ${file} is no JSON`, { cause, data: { file } });
  }
  const parsed = usersFileSchema.safeParse(json);
  if (parsed.success) return parsed.data.users;
  const issue = parsed.error.issues[0];
  throw new BaremetalError("BadInput", `the users file ${file}: ${issue?.path.join(".")} ${issue?.message}`, {
    data: { file },
  });
}

/** The first line of the file; the file is made, for its owner only, with a random password if it is missing. */
async function adminPassword(file: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true });
  try {
    const handle = await open(file, "wx", 0o600);
    const password = randomBytes(18).toString("base64url");
    try {
      await handle.writeFile(`${password}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return password;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const password = (await readFile(file, "utf8")).split(/\r?\n/)[0] ?? "";
  if (password === "") {
    throw new BaremetalError(
      "BadInput",
      `the administrator's password file ${file} is empty; remove it to have a new one made`,
      {
        data: { file },
      },
    );
  }
  return password;
}
