// Unit tests of SSH keys. The keys and fingerprints are what ssh-keygen of OpenSSH 9.2 made and printed (-l -E md5).
import { createPrivateKey, createPublicKey } from "node:crypto";
import { expect } from "chai";
import { isBaremetalError } from "../lib/errors.ts";
import { fingerprintOf, generateSshKeyPair } from "./ssh-keys.ts";

const ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICilJUC2svU+pWQmy38yX4IR7VS/nQ4kf7o6wnXss6zg test";

describe("compute/ssh-keys", () => {
  it("prints the fingerprint that ssh-keygen prints", () => {
    expect(fingerprintOf(ED25519)).to.equal("d3:9e:f3:f6:ec:53:79:4e:78:38:8f:66:de:2f:90:a8");
    expect(fingerprintOf(`  ${ED25519}\n`)).to.equal("d3:9e:f3:f6:ec:53:79:4e:78:38:8f:66:de:2f:90:a8");
  });

  const wrong: [string, string][] = [
    ["", "must start with"],
    ["ssh-dss AAAA", "must start with"],
    ["ssh-rsa", "does not hold"],
    ["ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAICilJUC2svU+pWQmy38yX4IR7VS/nQ4kf7o6wnXss6zg", "does not hold"],
    ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICilJUC2svU+", "does not hold"],
    ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAABCilJUA=", "32 bytes|does not hold"],
    [`${ED25519}\n${ED25519}`, "one line"],
    [`ssh-rsa ${"A".repeat(20_000)}`, "longer"],
  ];
  for (const [line, text] of wrong) {
    it(`refuses ${JSON.stringify(line.slice(0, 40))}: ${text}`, () => {
      try {
        fingerprintOf(line);
      } catch (error) {
        expect(isBaremetalError(error, "BadInput")).to.equal(true);
        expect((error as Error).message).to.match(new RegExp(text));
        return;
      }
      throw new Error("it was taken");
    });
  }

  it("makes a pair whose halves belong together and whose public line can be imported", async () => {
    const { privateKey, publicKey } = await generateSshKeyPair("me");
    expect(publicKey).to.match(/^ssh-rsa \S+ me$/);
    expect(fingerprintOf(publicKey)).to.match(/^([0-9a-f]{2}:){15}[0-9a-f]{2}$/);
    const { n } = createPublicKey(createPrivateKey(privateKey)).export({ format: "jwk" });
    const blob = Buffer.from(publicKey.split(" ")[1] ?? "", "base64");
    expect(blob.subarray(-256).toString("base64url")).to.equal(n);
  });
});
