// Tests of what a token rests on: the strategy and the password that it was got by. Files in a temporary folder.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { systemClock } from "../../lib/clock.ts";
import { IdentityService } from "./identity-service.ts";
import { hashPassword } from "./password.ts";

describe("api/identity/identity-service", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "identity-"));
    await password("first");
    await users("wonderland");
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const password = (text: string) => writeFile(join(folder, "admin-password"), `${text}\n`);
  const users = async (text: string) => {
    const list = [{ name: "alice", password_hash: await hashPassword(text), project: "demo" }];
    await writeFile(join(folder, "users.json"), JSON.stringify({ users: list }));
  };
  const open = (authStrategy: "keystone" | "noauth") =>
    IdentityService.open(
      {
        authStrategy,
        adminUser: "admin",
        adminPasswordFile: join(folder, "admin-password"),
        usersFile: join(folder, "users.json"),
        tokenLifetime: 3600,
      },
      join(folder, "token.key"),
      systemClock,
    );
  const login = async (identity: IdentityService, user: string, secret: string) =>
    (await identity.login({ password: { user, password: secret } })).token;

  async function expectWorthless(identity: IdentityService, token: string): Promise<void> {
    expect(() => identity.authenticate(token)).to.throw("requires authentication");
    expect(identity.inspect(token)).to.equal(undefined);
    const renewal = await identity.login({ token }).catch((error: unknown) => error);
    expect(renewal).to.include({ status: 401 });
  }

  it("a token of `noauth` is worth nothing under `keystone`", async () => {
    const lenient = await open("noauth");
    const token = await login(lenient, "admin", "anything");
    expect(lenient.inspect(token)).to.include({ isAdmin: true });
    await expectWorthless(await open("keystone"), token);
  });

  it("a token outlives a restart, but not the password it was got by", async () => {
    const identity = await open("keystone");
    const admin = await login(identity, "admin", "first");
    const alice = await login(identity, "alice", "wonderland");
    const again = await open("keystone");
    expect(again.authenticate(admin)).to.include({ userName: "admin", isAdmin: true });
    expect(again.authenticate(alice)).to.include({ userName: "alice" });
    await password("second");
    const changed = await open("keystone");
    await expectWorthless(changed, admin);
    expect(changed.authenticate(alice)).to.include({ userName: "alice" });
    await users("looking-glass");
    await expectWorthless(await open("keystone"), alice);
  });
});
