// The key file: made once, for its owner only, the same for all who ask at once.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { BaremetalError } from "../errors.ts";
import { loadOrCreateSecretKey } from "./secret-key.ts";

describe("loadOrCreateSecretKey", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "nova-bm-key-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const refused = async (file: string): Promise<string> => {
    try {
      await loadOrCreateSecretKey(file);
    } catch (error) {
      if (error instanceof BaremetalError) return `${error.code}: ${error.message}`;
    }
    throw new Error("it was taken");
  };

  it("makes one key, whoever asks first", async () => {
    const file = join(folder, "deep", "secret.key");
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateSecretKey(file)));
    expect(new Set(keys.map((key) => key.toString("hex"))).size).to.equal(1);
    expect(keys[0]).to.have.length(32);
    expect(readFileSync(file).equals(keys[0] ?? Buffer.alloc(0))).to.equal(true);
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    expect(readdirSync(join(folder, "deep"))).to.deep.equal(["secret.key"]);
    expect((await loadOrCreateSecretKey(file)).equals(keys[0] ?? Buffer.alloc(0))).to.equal(true);
  });

  it("refuses a file of another length, or one that others may read, and leaves it alone", async () => {
    const file = join(folder, "secret.key");
    writeFileSync(file, "short", { mode: 0o600 });
    expect(await refused(file)).to.match(/^BadInput: .*holds 5 bytes/);
    expect(readFileSync(file, "utf8")).to.equal("short");
    writeFileSync(file, Buffer.alloc(32));
    chmodSync(file, 0o644);
    expect(await refused(file)).to.match(/chmod 600/);
  });

  it("says why it cannot be made", async () => {
    writeFileSync(join(folder, "plain"), "");
    expect(await refused(join(folder, "plain", "secret.key"))).to.match(/^BadInput: .*cannot be read or made/);
  });
});
