// Our client against dnsmasq's TFTP server, which knows port 69 only: both run in a user and network namespace of their own.
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { noise, sha256 } from "../served-folder.ts";

// dnsmasq is this shell's own child, and the shell ends it by its id. The client's retries bridge dnsmasq's start.
const SCRIPT = `
ip link set lo up
dnsmasq --no-daemon --conf-file=/dev/null --port=0 --pid-file= --enable-tftp --tftp-root="$1" \
  --listen-address=127.0.0.1 --bind-interfaces 2>"$1/log" &
server=$!
shift
timeout 15 "$@"
status=$?
kill $server
wait $server
exit $status
`;

describe("tftp client and dnsmasq", () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "tftp-dnsmasq-"));
    // dnsmasq serves what everybody may read.
    await chmod(root, 0o755);
  });
  after(() => rm(root, { recursive: true, force: true }));

  it("reads files of several sizes with and without options; a missing one is error 1", async () => {
    const files = { empty: noise(0), exact: noise(4096), large: noise(700_001) };
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(root, name), bytes);
    const reader = fileURLToPath(new URL("./read-all.ts", import.meta.url));
    const command = [process.execPath, "--import=tsx", reader, ...Object.keys(files), "none"];
    // Root needs no user namespace, and in a chroot gets none.
    const namespaces = process.getuid?.() === 0 ? "-n" : "-Urn";
    const { stdout } = await promisify(execFile)("unshare", [namespaces, "sh", "-c", SCRIPT, "sh", root, ...command]);
    const expected = Object.entries(files).map(([name, bytes]) => [name, Array(4).fill(sha256(bytes))]);
    expect(JSON.parse(stdout)).to.deep.equal({ ...Object.fromEntries(expected), none: Array(4).fill("PeerError 1") });
  });
});
