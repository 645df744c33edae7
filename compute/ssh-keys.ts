// SSH public keys: what RFC 4253 6.6 and RFC 8709 put into the one line that users paste, and new RSA pairs.
import { createHash, generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { BaremetalError } from "../lib/errors.ts";

const TYPES = new Set(["ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]);

function bad(reason: string): BaremetalError {
  return new BaremetalError("BadInput", `Keypair data is invalid: ${reason}`, { data: { field: "public_key" } });
}

/**
 * The MD5 fingerprint of a public key line, as Nova shows it: `aa:bb:...`.
 * @throws BaremetalError `BadInput` if it is no key of a type we know
 */
export function fingerprintOf(line: string): string {
  const text = line.trim();
  if (/[\r\n]/.test(text)) throw bad("a public key is one line");
  if (text.length > 16_384) throw bad("it is longer than 16384 characters");
  const [type = "", encoded = ""] = text.split(/\s+/);
  if (!TYPES.has(type)) throw bad(`it must start with one of ${[...TYPES].join(", ")}`);
  const blob = Buffer.from(encoded, "base64");
  const fields = readStrings(blob);
  if (fields === undefined || fields[0]?.toString("latin1") !== type || fields.length < 2) {
    throw bad("the base64 text does not hold the key that its first word promises");
  }
  if (type === "ssh-ed25519" && fields[1]?.length !== 32) throw bad("an ed25519 key has 32 bytes");
  return (createHash("md5").update(blob).digest("hex").match(/../g) ?? []).join(":");
}

/** The length-prefixed strings of RFC 4251 section 5; undefined if they do not fill the blob exactly. */
function readStrings(blob: Buffer): Buffer[] | undefined {
  const strings: Buffer[] = [];
  let offset = 0;
  while (offset < blob.length) {
    if (offset + 4 > blob.length) return undefined;
    const end = offset + 4 + blob.readUInt32BE(offset);
    if (end > blob.length) return undefined;
    strings.push(blob.subarray(offset + 4, end));
    offset = end;
  }
  return strings;
}

/** A new RSA pair of 2048 bits: the private key as PKCS #1 PEM, the public one as an ssh-rsa line. */
export async function generateSshKeyPair(comment: string): Promise<{ privateKey: string; publicKey: string }> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  const { n = "", e = "" } = publicKey.export({ format: "jwk" });
  const blob = Buffer.concat([
    sshString(Buffer.from("ssh-rsa")),
    sshString(mpint(Buffer.from(e, "base64url"))),
    sshString(mpint(Buffer.from(n, "base64url"))),
  ]);
  return {
    privateKey: privateKey.export({ format: "pem", type: "pkcs1" }).toString(),
    publicKey: `ssh-rsa ${blob.toString("base64")} ${comment}`,
  };
}

function sshString(value: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  return Buffer.concat([length, value]);
}

/** RFC 4251 section 5: a positive number whose first bit is set has a zero byte before it. */
function mpint(value: Buffer): Buffer {
  return ((value[0] ?? 0) & 0x80) === 0 ? value : Buffer.concat([Buffer.from([0]), value]);
}
