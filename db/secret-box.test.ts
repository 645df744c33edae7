// SecretBox against a vector of another implementation, and against tampering.
import { expect } from "chai";
import { isBaremetalError } from "../lib/errors.ts";
import { SecretBox } from "./secret-box.ts";

const box = new SecretBox(Buffer.alloc(32, 7));

describe("SecretBox", () => {
  it("opens what another implementation of AES-256-GCM sealed", () => {
    // Test case 14 of "The Galois/Counter Mode of Operation" (McGrew, Viega): zero key, zero nonce, 16 zero bytes.
    const ciphertext = Buffer.from("cea7403d4d606b6e074ec5d3baf39d18", "hex");
    const tag = Buffer.from("d0d1c8a799996bf0265b98b5d48ab919", "hex");
    const sealed = `v1:${Buffer.concat([Buffer.alloc(12), tag, ciphertext]).toString("base64")}`;
    expect(new SecretBox(Buffer.alloc(32)).open(sealed)).to.equal("\0".repeat(16));
  });

  it("opens what it sealed, also nothing, and never seals twice the same", () => {
    for (const plain of ["", "s", "pässwörd", "x".repeat(200)]) {
      const sealed = box.seal(plain);
      expect(box.isSealed(sealed), plain).to.equal(true);
      expect(box.open(sealed)).to.equal(plain);
      expect(box.seal(plain)).to.not.equal(sealed);
    }
  });

  it("opens nothing that was changed, cut or sealed with another key", () => {
    const sealed = box.seal("secret");
    const bytes = Buffer.from(sealed.slice(3), "base64");
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8((bytes.readUInt8(index) ^ 1) & 0xff, index);
      expect(() => box.open(`v1:${changed.toString("base64")}`), `byte ${index}`).to.throw(/sealed with another key/);
    }
    expect(() => new SecretBox(Buffer.alloc(32, 8)).open(sealed)).to.throw(/sealed with another key/);
    for (const text of ["", "v1:", "v1:AAAA", "secret", sealed.slice(3)]) {
      expect(() => box.open(text), text)
        .to.throw()
        .and.to.satisfy((error: unknown) => isBaremetalError(error, "BadInput"));
      expect(box.isSealed(text), text).to.equal(false);
    }
  });

  it("takes a key of 32 bytes only", () => {
    expect(() => new SecretBox(Buffer.alloc(16))).to.throw(/must be 32 bytes, not 16/);
  });
});
