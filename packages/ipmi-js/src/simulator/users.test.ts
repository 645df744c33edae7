// The user slots of the simulator, and who can log in.
import { expect } from "chai";
import { keyFromSecret } from "../crypto.ts";
import { SimulatedUsers, LOGIN_SLOT as userId } from "./users.ts";

describe("SimulatedUsers", () => {
  const users = () => new SimulatedUsers("admin", "secret", 4);

  it("logs in who it was made with", () => {
    const { name, userKey, v15Password, privilege } = users().login;
    expect([name.toString(), privilege]).to.deep.equal(["admin", 4]);
    expect(userKey).to.deep.equal(keyFromSecret("secret"));
    expect(v15Password).to.deep.equal(userKey.subarray(0, 16));
  });

  it("takes the bytes of a password as they are, text or not", () => {
    const changed = users();
    const password = Buffer.from([0xff, 0xfe, 0x80]);
    expect(changed.setPassword({ userId, operation: "set", password, size: 16 })).to.equal(0);
    expect(changed.login.userKey).to.deep.equal(keyFromSecret(password));
  });

  it("logs nobody in while the user is disabled, and the same again when he is enabled", () => {
    const changed = users();
    changed.setPassword({ userId, operation: "disable" });
    expect([changed.login.name.length, changed.login.privilege]).to.deep.equal([17, 0]);
    expect(changed.login.userKey).to.deep.equal(Buffer.alloc(20));
    changed.setPassword({ userId, operation: "enable" });
    expect(changed.login).to.deep.equal(users().login);
  });

  it("leaves the login alone when another slot changes, and gives no name twice", () => {
    const changed = users();
    changed.setPassword({ userId: 3, operation: "set", password: Buffer.from("other"), size: 16 });
    expect([changed.setName(3, "admin"), changed.setName(3, "other"), changed.setName(userId, "other")]).to.deep.equal([
      0xcc, 0, 0xcc,
    ]);
    expect(changed.login).to.deep.equal(users().login);
  });
});
