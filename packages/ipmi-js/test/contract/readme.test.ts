// The README's examples: every one compiles against the package, and is run as it stands there, against simulators.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import ts from "typescript";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import { SerialMachine } from "../serial-machine.ts";
import { CREDENTIALS, SimulatedMachine } from "../simulated-machine.ts";
import { simulatorFixture } from "../simulator-fixture.ts";

const run = promisify(execFile);
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
const README = join(PACKAGE, "README.md");
/** The BMC of the examples that have one. */
const EXAMPLE_BMC = 'address: "10.0.0.7"';

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

/** Complaints of the compiler about the examples, as modules beside the README. */
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
  const { simulate } = simulatorFixture();
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "readme-"));
    await mkdir(join(directory, "node_modules"));
    await symlink(PACKAGE, join(directory, "node_modules", "ipmi-js"));
    await writeFile(join(directory, "package.json"), '{"type":"module"}');
  });

  after(() => rm(directory, { recursive: true, force: true }));

  /** Runs the example whose title contains `title`, with other texts in place of some; what it printed, by lines. */
  async function runExample(title: string, replaced: readonly (readonly [string, string])[]): Promise<string[]> {
    const example = (await examples()).find((each) => each.title.includes(title));
    if (example === undefined) throw new Error(`no example "${title}"`);
    let { code } = example;
    for (const [theirs, ours] of replaced) {
      expect(code).to.contain(theirs);
      code = code.replaceAll(theirs, ours);
    }
    const file = join(directory, "example.ts");
    await writeFile(file, code);
    const tsx = createRequire(import.meta.url).resolve("tsx");
    const { stdout, stderr } = await run(process.execPath, [`--import=${tsx}`, "--conditions=source", file], {
      cwd: directory,
      env: { ...process.env, NODE_OPTIONS: "", BMC_PASSWORD: CREDENTIALS.password },
      timeout: 30_000,
    });
    expect(stderr).to.equal("");
    return stdout.trimEnd().split("\n");
  }

  /** Runs an example with one BMC against a simulator. */
  const runAgainst = ({ port }: BmcSimulator, title: string) =>
    runExample(title, [[EXAMPLE_BMC, `address: "127.0.0.1", port: ${port}`]]);

  it("has examples that compile", async () => {
    const codes = (await examples()).map(({ code }) => code);
    expect(codes.length).to.be.at.least(5);
    // The last one must not compile: the check itself can fail.
    const found = complaints([...codes, 'import { Bmc } from "ipmi-js";\nnew Bmc(7);\n']);
    const isMeant = (line: string) => line.includes(`readme-example-${codes.length + 1}.ts`);
    expect(found.filter((line) => !isMeant(line))).to.deep.equal([]);
    expect(found.filter(isMeant)).to.have.length(1);
  }).timeout(60_000);

  it("boots a machine from the network as its first example says", async () => {
    const { simulator, machine } = await simulate();
    expect(await runAgainst(simulator, "The power of one BMC")).to.deep.equal(["127.0.0.1 is on"]);
    expect(machine.actions).to.deep.equal(["power-up"]);
    expect(machine.bootDevices).to.deep.equal([{ device: "pxe", persistent: true, efi: false }]);
    expect(simulator.sessionCount).to.equal(0);
    simulator.setPassword("another");
    const told = await runAgainst(simulator, "The power of one BMC").catch(({ stdout }) => stdout);
    expect(told).to.equal(`RAKP 2 check failed for 127.0.0.1:${simulator.port}: the password differs from the BMC's\n`);
  });

  it("looks at many BMCs as its second example says", async () => {
    const count = 12;
    let port = 0;
    const machines: SimulatedMachine[] = [];
    for (let n = 0; n < count; n += 1) {
      const machine = new SimulatedMachine();
      machine.isOn = n % 3 === 0;
      // The last one is dead.
      if (n < count - 1) {
        const { simulator } = await simulate({ address: `127.1.0.${n}`, port, handlers: machine });
        port = simulator.port;
      }
      machines.push(machine);
    }
    const said = await runExample("Ten thousand BMCs", [
      ["10_000", String(count)],
      ["`10.1.", "`127.1."],
      ["{ address, ", `{ address, port: ${port}, operationDeadlineMs: 3000, `],
    ]);
    expect(said.at(-1)).to.equal("4 are on, 7 are off, 1 did not say");
  });

  it("reads sensors, events and inventory as its third example says", async () => {
    const { simulator } = await simulate({
      content: {
        sdr: [
          { name: "Inlet", type: "Temperature", unit: "degrees C", value: 48, thresholds: { upperCritical: 47 } },
          { name: "Pump", type: "Fan", unit: "RPM", value: null },
          { name: "PSU 1", type: "Power Supply", states: [0, 3] },
        ],
        sel: [{ sensorType: "Memory", sensorNumber: 9, offset: 1, time: "2026-11-21T03:04:05Z" }],
        fru: [{ product: { productName: "Rocket", serialNumber: "PS-1" } }],
      },
    });
    expect(await runAgainst(simulator, "Sensors, events")).to.deep.equal([
      "Inlet: 48 degrees C, critical",
      "Pump: the BMC has no reading of it now",
      "PSU 1: Presence detected, Power Supply AC lost",
      "2026-11-21T03:04:05.000Z Memory sensor 09h: Uncorrectable ECC, asserted",
      "Rocket PS-1",
    ]);
  });

  it("types at a serial console as its fourth example says", async () => {
    const serial = new SerialMachine();
    const { simulator } = await simulate({ serial });
    serial.print("node0 login: ");
    expect(await runAgainst(simulator, "The serial console")).to.deep.equal(["node0 login:"]);
    expect(serial.typed.toString()).to.equal("\r");
    expect(simulator.sessionCount).to.equal(0);
  });

  it("simulates a BMC as its last example says", async () => {
    const said = await runExample("A simulated BMC", []);
    expect(said).to.deep.equal([
      "pxe for one boot",
      "power-up",
      "none for one boot",
      "critical at 50 degrees C",
      "Timeout",
    ]);
  });
});
