// Our HMAC against Node's own, for all hashes, keys up to a block and messages in parts.
import { createHmac } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { HmacKey } from "./hmac.ts";

describe("HmacKey", () => {
  for (const hash of ["md5", "sha1", "sha256"] as const) {
    it(`${hash}: equals OpenSSL's HMAC, however often the key is used and the message cut`, () => {
      const key = fc.uint8Array({ maxLength: 64, size: "max" });
      const messages = fc.array(fc.array(fc.uint8Array({ maxLength: 300, size: "max" }), { maxLength: 4 }), {
        maxLength: 4,
      });
      fc.assert(
        fc.property(key, messages, (bytes, sent) => {
          const ours = new HmacKey(hash, Buffer.from(bytes));
          for (const parts of sent) {
            const theirs = createHmac(hash, bytes).update(Buffer.concat(parts)).digest("hex");
            expect(ours.digest(...parts.map((part) => Buffer.from(part))).toString("hex")).to.equal(theirs);
          }
        }),
      );
    });
  }

  it("takes no key longer than a block: hashing it first is not done here", () => {
    expect(() => new HmacKey("sha1", Buffer.alloc(65))).to.throw(RangeError, "65 bytes");
  });
});
