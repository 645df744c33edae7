// Secrets at rest: AES-256-GCM with a random nonce (NIST SP 800-38D), text form "v1:" + base64(nonce, tag, ciphertext).
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { BaremetalError } from "../lib/errors.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED = /^v1:([A-Za-z0-9+/]{38,}={0,2})$/;

/** Seals and opens short secrets, such as BMC passwords, with one 32-byte key. */
export class SecretBox {
  readonly #key: Buffer;

  /** @throws BaremetalError `BadInput` if `key` is not 32 bytes. */
  constructor(key: Buffer) {
    if (key.length !== 32) {
      throw new BaremetalError("BadInput", `the secret key must be 32 bytes, not ${key.length}`, {
        data: { field: "secret_key_file" },
      });
    }
    this.#key = Buffer.from(key);
  }

  /** The sealed text of `plain`; two calls never give the same. */
  seal(plain: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    const body = Buffer.concat([cipher.update(plain, "utf8"), cipher.final()]);
    return `v1:${Buffer.concat([nonce, cipher.getAuthTag(), body]).toString("base64")}`;
  }

  /** True if `text` has the form of a sealed secret. */
  isSealed(text: string): boolean {
    return SEALED.test(text);
  }

  /**
   * The secret in `sealed`. @throws BaremetalError `BadInput` if it was sealed with another key or was changed.
   */
  open(sealed: string): string {
    const encoded = SEALED.exec(sealed)?.[1];
    if (encoded === undefined) {
      throw new BaremetalError("BadInput", "this is no sealed secret: it does not begin with v1:");
    }
    const bytes = Buffer.from(encoded, "base64");
    const decipher = createDecipheriv("aes-256-gcm", this.#key, bytes.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    try {
      return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
    } catch {
      throw new BaremetalError(
        "BadInput",
        "a secret in the database does not open: it was sealed with another key; restore the file that [baremetal] secret_key_file names",
        { data: { field: "secret_key_file" } },
      );
    }
  }
}
