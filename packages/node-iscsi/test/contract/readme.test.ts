// The README's examples: every one compiles against the package, and those a test target can serve are run as they stand there.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { IscsiTarget } from "node-iscsi/target";
import ts from "typescript";

const run = promisify(execFile);
const MIB = 1024 * 1024;
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
const README = join(PACKAGE, "README.md");
/** The URL all examples use. */
const EXAMPLE_URL = "iscsi://10.0.0.7/iqn.2026-11.org.example:node0/1";

async function examples(): Promise<{ title: string; code: string }[]> {
  const text = await readFile(README, "utf8");
  const found: { title: string; code: string }[] = [];
  for (const section of text.split(/^### /m).slice(1))
    for (const match of section.matchAll(/^```ts\n([\s\S]*?)^```$/gm))
      found.push({ title: section.split("\n", 1)[0] ?? "", code: match[1] ?? "" });
  // None may hide outside of a titled section.
  expect(found.length).to.equal([...text.matchAll(/^```ts$/gm)].length);
  return found;
}

/** Complaints of the compiler about the example as a module beside the README. */
function complaints(codes: readonly string[]): string[] {
  const root = join(PACKAGE, "..", "..");
  const configuration = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(configuration.config, ts.sys, root);
  const { incremental: _, tsBuildInfoFile: __, ...rest } = options;
  const files = new Map(codes.map((code, index) => [join(PACKAGE, `readme-example-${index + 1}.ts`), code]));
  const host = ts.createCompilerHost(rest);
  const { getSourceFile, fileExists, readFile: readSource } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name) ?? readSource(name);
  host.getSourceFile = (name, language, ...others) => {
    const code = files.get(name);
    return code === undefined
      ? getSourceFile(name, language, ...others)
      : ts.createSourceFile(name, code, language, true);
  };
  const program = ts.createProgram([...files.keys()], { ...rest, noEmit: true, types: ["node"] }, host);
  return [...files.keys()].flatMap((name) => {
    const source = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ messageText, start }) => {
        const line = source === undefined ? 0 : source.getLineAndCharacterOfPosition(start ?? 0).line + 1;
        return `${name}:${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
      },
    );
  });
}

describe("README", () => {
  let directory: string;
  let target: IscsiTarget;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "readme-"));
    await mkdir(join(directory, "node_modules"));
    await symlink(PACKAGE, join(directory, "node_modules", "node-iscsi"));
    await writeFile(join(directory, "package.json"), '{"type":"module"}');
    const targetName = "iqn.2026-11.org.example:node0";
    target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: 96 * MIB } });
  });

  after(async () => {
    await target?.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** Runs the example whose title contains `title`, with the test target's address in place of the one in the text. */
  async function runExample(title: string): Promise<{ stdout: string; stderr: string }> {
    const example = (await examples()).find((each) => each.title.includes(title));
    if (example === undefined) throw new Error(`no example "${title}"`);
    const ours = EXAMPLE_URL.replace("10.0.0.7", `127.0.0.1:${target.port}`);
    const code = example.code
      .replaceAll(EXAMPLE_URL, ours)
      .replaceAll('address: "10.0.0.7"', `address: "127.0.0.1", port: ${target.port}`);
    expect(code, "the address is replaced").not.to.contain("10.0.0.7");
    const file = join(directory, "example.ts");
    await writeFile(file, code);
    const tsx = createRequire(import.meta.url).resolve("tsx");
    return run(process.execPath, [`--import=${tsx}`, "--conditions=source", file], {
      cwd: directory,
      env: { ...process.env, NODE_OPTIONS: "" },
      timeout: 15_000,
    });
  }

  it("has examples that compile", async () => {
    const codes = (await examples()).map(({ code }) => code);
    expect(codes.length).to.be.at.least(5);
    // The last one must not compile: the check itself can fail.
    const found = complaints([...codes, 'import { connect } from "node-iscsi";\nawait connect(7);\n']);
    const isMeant = (line: string) => line.includes(`readme-example-${codes.length + 1}.ts`);
    expect(found.filter((line) => !isMeant(line))).to.deep.equal([]);
    expect(found.filter(isMeant)).to.have.length(1);
  }).timeout(60_000);

  it("writes and reads a disk as its first example says", async () => {
    const { stdout } = await runExample("A disk by its URL");
    expect(stdout).to.equal(`${96 * MIB} bytes in blocks of 512\n55555555\n`);
    const content = Buffer.alloc(6 * MIB, 0xff);
    await target.backing.read(0, content);
    expect(content.subarray(0, MIB).every((byte) => byte === 0x55)).to.equal(true);
    expect(content.subarray(MIB, 5 * MIB).every((byte) => byte === 0)).to.equal(true);
  });

  it("puts an image on a disk as its stream example says", async () => {
    const image = randomBytes(3 * MIB + 100);
    await writeFile(join(directory, "image.raw"), image);
    await runExample("An image, by stream");
    const content = Buffer.alloc(image.length);
    await target.backing.read(0, content);
    expect(content.equals(image)).to.equal(true);
  });

  it("lists targets as its discovery example says", async () => {
    const { stdout } = await runExample("What does a portal offer");
    expect(stdout).to.equal(`iqn.2026-11.org.example:node0 127.0.0.1:${target.port},1\n`);
  });

  it("watches a session as its last example says", async () => {
    const { stdout } = await runExample("Watching a session");
    expect(stdout).to.contain("WRITE(16) 2097152");
  });
});
