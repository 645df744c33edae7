// Real clients from Debian against our server: tftp-hpa and atftp.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { noise, type ServedFolder, serveFolder, until } from "../served-folder.ts";

/** Runs a program to its end, at most 15 s; resolves with its status and all it printed. */
function run(program: string, args: string[], cwd: string): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 15_000 });
    let output = "";
    child.stdout.on("data", (bytes) => {
      output += bytes;
    });
    child.stderr.on("data", (bytes) => {
      output += bytes;
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}

describe("tftp server and Debian's clients", () => {
  let folder: ServedFolder;
  let cwd: string;
  before(async () => {
    folder = await serveFolder();
    cwd = await mkdtemp(join(tmpdir(), "tftp-client-"));
  });
  after(async () => {
    await folder.close();
    await rm(cwd, { recursive: true, force: true });
  });
  beforeEach(() => {
    folder.events.length = 0;
  });

  const hpa = (file: string) => run("tftp", ["-m", "binary", "127.0.0.1", `${folder.port}`, "-c", "get", file], cwd);
  const atftp = (file: string, ...options: string[]) => {
    const chosen = options.flatMap((option) => ["--option", option]);
    return run("atftp", [...chosen, "-g", "-r", file, "-l", file, "127.0.0.1", `${folder.port}`], cwd);
  };
  const same = async (file: string, bytes: Buffer) =>
    expect((await readFile(join(cwd, file))).equals(bytes)).to.equal(true);

  for (const size of [0, 1, 512, 1428, 14_280, 3_000_001]) {
    it(`tftp-hpa reads ${size} bytes`, async () => {
      const [file, bytes] = [`hpa-${size}`, noise(size)];
      await folder.write(file, bytes);
      expect((await hpa(file)).status).to.equal(0);
      await same(file, bytes);
    });

    it(`atftp reads ${size} bytes, plain and with options`, async () => {
      const bytes = noise(size);
      for (const [index, options] of [
        [],
        ["blksize 1428", "tsize 0"],
        ["blksize 1428", "tsize 0", "timeout 2", "windowsize 8"],
      ].entries()) {
        const file = `atftp-${size}-${index}`;
        await folder.write(file, bytes);
        const { status, output } = await atftp(file, ...options);
        expect(status, output).to.equal(0);
        await same(file, bytes);
      }
      await until("all reports", () => folder.events.filter((event) => event.kind === "end").length === 3);
      const ends = folder.events.filter((event) => event.kind === "end");
      expect(ends.map((event) => [event.blockSize, event.windowSize])).to.deep.equal([
        [512, 1],
        [1428, 1],
        [1428, 8],
      ]);
      expect(ends.map((event) => event.bytes)).to.deep.equal([size, size, size]);
    });
  }

  it("atftp follows the block number's roll-over, in windows", async () => {
    const bytes = noise(65_540 * 8 + 3);
    await folder.write("roll", bytes);
    const { status, output } = await atftp("roll", "blksize 8", "windowsize 32");
    expect(status, output).to.equal(0);
    await same("roll", bytes);
  });

  it("both report a missing file cleanly, and a refused write", async () => {
    expect((await hpa("none")).output).to.equal('Error code 1: there is no file "none"\n');
    const other = await atftp("none");
    expect(other.status).to.not.equal(0);
    expect(other.output).to.contain('there is no file "none"');
    await folder.write("mine", "mine");
    const put = await run(
      "tftp",
      ["-m", "binary", "127.0.0.1", `${folder.port}`, "-c", "put", "/etc/hostname", "mine"],
      cwd,
    );
    expect(put.output).to.match(/^Error code 2: access violation/);
    expect((await readFile(join(folder.root, "mine"))).toString()).to.equal("mine");
  });

  it("tftp-hpa reads a text in netascii as it was", async () => {
    await folder.write("text", "one\ntwo\n");
    const { output } = await run("tftp", ["-m", "ascii", "127.0.0.1", `${folder.port}`, "-c", "get", "text"], cwd);
    expect(output).to.equal("");
    expect((await readFile(join(cwd, "text"))).toString()).to.equal("one\ntwo\n");
  });
});
