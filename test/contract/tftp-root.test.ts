// Where the boot files go when nova.conf does not say, or says something that cannot be.
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { tftpRootOf } from "../../bin/tftp-root.ts";
import { type Config, loadConfig } from "../../lib/config/index.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { silentLogger } from "../../lib/log.ts";

/** Nobody, not even root, can make a folder below a device. (Trap: below /proc, Node 20 tries for ever.) */
const IMPOSSIBLE = "/dev/null/tftpboot";

describe("tftp_root", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tftp-root-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const config = (baremetal: Record<string, string>) =>
    loadConfig({ overrides: { DEFAULT: { state_path: folder }, baremetal } });

  it("is made, with the folder that PXELINUX looks into", async () => {
    const root = join(folder, "a", "b");
    expect(await tftpRootOf(config({ tftp_root: root }), silentLogger)).to.equal(root);
    await access(join(root, "pxelinux.cfg"));
  });

  it("is a clear error when it was asked for and cannot be", async () => {
    const error = await tftpRootOf(config({ tftp_root: IMPOSSIBLE }), silentLogger).catch(
      (failure: unknown) => failure,
    );
    expect(error)
      .to.be.instanceOf(BaremetalError)
      .with.property("message")
      .that.includes(`tftp_root ${IMPOSSIBLE} cannot be written`);
  });

  it("is our own folder when nobody asked for it, and a warning says so", async () => {
    const plain = config({});
    const unasked: Config = { ...plain, baremetal: { ...plain.baremetal, tftpRoot: IMPOSSIBLE } };
    const warnings: string[] = [];
    const root = await tftpRootOf(unasked, { ...silentLogger, warn: (text) => void warnings.push(text) });
    expect(root).to.equal(join(folder, "tftpboot"));
    expect(warnings.join()).to.include(root);
  });
});
