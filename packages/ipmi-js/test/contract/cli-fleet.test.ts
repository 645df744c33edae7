// The ipmi-js command on many BMCs: order, summary, exit status, safety, and an orderly end.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import { setUserName } from "../../src/commands/user-name.ts";
import { MAX_USER_BYTES } from "../../src/wire/rakp.ts";
import { bindSocket } from "../bind-socket.ts";
import { cli, jsonLines, LOGIN, outcomeOf, start } from "../cli-command.ts";
import { eventually } from "../failure.ts";
import { CREDENTIALS } from "../simulated-machine.ts";
import { simulatorFixture } from "../simulator-fixture.ts";

describe("ipmi-js command on many BMCs", () => {
  const { closing, simulate: begin } = simulatorFixture();

  it("one dead and one with another password of three: the others answer, and the failures are counted", async () => {
    const [one, other] = [await begin(), await begin({ password: "different" })];
    // It receives and never answers.
    const dead = `127.0.0.1:${closing(await bindSocket()).address().port}`;
    const hosts = ["--timeout", "4", "-H", `${dead},${one.host},${other.host}`];
    const [text, json, unordered] = await Promise.all([
      cli("power", ...hosts),
      cli("power", "--json", ...hosts),
      cli("power", "--json", "--unordered", ...hosts),
    ]);
    expect(text.status).to.equal(1);
    expect(text.stdout).to.match(new RegExp(`^${one.host}: +off\n$`));
    const [first, second, summary] = text.stderr.trim().split("\n");
    expect(first).to.contain(`${dead}:`).and.contain("FAILED Timeout: ").and.contain("no answer");
    expect(second).to.contain(`${other.host}:`).and.contain("FAILED WrongPassword: ").and.contain("--password-file");
    expect(summary).to.match(/^ipmi-js power: 1 of 3 BMCs done; 2 failed \(1 \w+, 1 \w+\)$/);
    expect(text.stdout + text.stderr).not.to.contain("secret");

    expect(json.status).to.equal(1);
    const lines = jsonLines(json.stdout);
    expect(lines.map(({ name, ok }) => [name, ok])).to.deep.equal([
      [dead, false],
      [one.host, true],
      [other.host, false],
    ]);
    expect(lines[0]?.error).to.include({ code: "Timeout" });
    expect(lines[1]?.result).to.deep.equal({ power: "off" });
    expect(lines[2]?.error).to.have.property("message").that.contains("the password differs");
    expect(jsonLines(unordered.stdout).at(-1)?.name).to.equal(dead);
  });

  it("a hundred, by a range of addresses: in order whatever the fan-out, and no session is left", async () => {
    const { simulator: first } = await begin({ address: "127.0.7.1" });
    const simulators = [first];
    for (let number = 2; number <= 100; number += 1) {
      const { simulator } = await begin({ address: `127.0.7.${number}`, port: first.port });
      simulators.push(simulator);
    }
    const hosts = ["-H", "127.0.7.[1-100]", "-p", String(first.port)];
    const all = await cli("power", "on", "--wait", ...hosts);
    expect([all.status, all.stderr], all.stderr).to.deep.equal([0, ""]);
    const expected = simulators.map(({ address }) => address);
    expect(
      all.stdout
        .trim()
        .split("\n")
        .map((line) => line.split(":")[0]),
    ).to.deep.equal(expected);
    const table = await cli("status", "--fanout", "7", ...hosts);
    const [header, ...rows] = table.stdout.trim().split("\n");
    expect(header).to.match(/^BMC +POWER +FAULTS +RESTART CAUSE/);
    for (const [index, row] of rows.entries())
      expect(row).to.match(new RegExp(`^${expected[index]} +on +none +chassis-control`));
    expect(rows).to.have.length(100);
    expect(simulators.map(({ sessionCount }) => sessionCount)).to.deep.equal(simulators.map(() => 0));
    expect(simulators.map(({ counters }) => counters.sessionsOpened)).to.deep.equal(simulators.map(() => 2));
  });

  it("what a BMC says cannot stand in for a line about another BMC", async () => {
    const [liar, honest] = [await begin(), await begin()];
    const { address, port } = liar.simulator;
    const bmc = closing(new Bmc({ address, port, ...CREDENTIALS }));
    const name = `\n${honest.host}`.slice(0, MAX_USER_BYTES);
    await bmc.execute(setUserName, { userId: 3, name });
    const hosts = `${liar.host},${honest.host}`;
    const together = await cli("user", "-H", hosts);
    expect([together.status, together.stderr], together.stderr).to.deep.equal([0, ""]);
    const starts = together.stdout.trimEnd().split("\n");
    expect(starts.map((line) => line.split(" ")[0])).to.deep.equal([
      ...[`${liar.host}:`, `${liar.host}:`],
      `${honest.host}:`,
    ]);
    expect(together.stdout).to.contain(name.replace("\n", "?"));
    const json = await cli("user", "--json", "-H", hosts);
    expect(jsonLines(json.stdout)[0]?.result).to.have.nested.property("users[1].name", name);
  });

  it("BMCs from a file and from standard input, each once", async () => {
    const [one, two] = [await begin(), await begin()];
    const folder = await mkdtemp(join(tmpdir(), "hosts-"));
    closing({ close: () => rm(folder, { recursive: true }) });
    await writeFile(join(folder, "rack7"), `# rack 7\n${two.host}  # the left one\n\n${one.host}, ${two.host}\n`);
    const fromFile = await cli("power", "--json", "-H", `@${join(folder, "rack7")}`);
    expect(jsonLines(fromFile.stdout).map(({ name }) => name)).to.deep.equal([two.host, one.host]);
    const fromInput = await outcomeOf(start(["power", "--json", "-H", "-"]), `${one.host}\n`);
    expect(jsonLines(fromInput.stdout).map(({ name }) => name)).to.deep.equal([one.host]);
    const missing = await cli("power", "-H", `@${join(folder, "rack8")}`);
    expect([missing.status, missing.stderr.includes("cannot be read (ENOENT)")]).to.deep.equal([2, true]);
    await writeFile(join(folder, "rack9"), "ok\nbmc[1-\n");
    const broken = await cli("power", "-H", `@${join(folder, "rack9")}`);
    expect([broken.status, broken.stderr.includes("rack9, line 2:")], broken.stderr).to.deep.equal([2, true]);
  });

  it("what hurts needs --yes for more than one where nobody can be asked, and one BMC does not", async () => {
    const [one, two] = [await begin(), await begin()];
    const hosts = ["-H", `${one.host},${two.host}`];
    const actions = [
      ...[
        ["power", "off"],
        ["power", "cycle"],
        ["power", "reset"],
        ["power", "soft"],
        ["power", "diag"],
      ],
      ...[
        ["sel", "clear"],
        ["mc", "reset", "cold"],
        ["raw", "0", "2", "0"],
      ],
      ["user", "set-password", "admin"],
    ];
    for (const action of actions) {
      const refused = await outcomeOf(start([...action, ...hosts], { ...LOGIN, IPMI_NEW_PASSWORD: "new" }));
      expect([refused.status, refused.stdout], action.join(" ")).to.deep.equal([2, ""]);
      expect(refused.stderr).to.contain(`2 BMCs (${one.host}, ${two.host})`).and.contain("add --yes");
    }
    expect([one.simulator.counters.datagramsReceived, two.simulator.counters.datagramsReceived]).to.deep.equal([0, 0]);
    const done = await cli("power", "off", "--yes", ...hosts);
    expect([done.status, done.stdout.match(/off accepted/g)?.length]).to.deep.equal([0, 2]);
    expect((await cli("power", "off", "-H", one.host)).status).to.equal(0);
    expect(one.machine.actions).to.deep.equal(["power-down", "power-down"]);
  });

  it("Ctrl-C: status 130, what was not asked is told, sessions are closed", async () => {
    const bmcs = [await begin({ faults: { lyingStatus: "off" } }), await begin(), await begin()];
    const child = start(["power", "on", "--wait", "--fanout", "1", "-H", bmcs.map(({ host }) => host).join(",")]);
    const outcome = outcomeOf(child);
    await eventually("the first machine to be on", () => bmcs[0]?.machine.isOn === true, 15_000);
    child.kill("SIGINT");
    const { status, stderr } = await outcome;
    expect(status).to.equal(130);
    expect(stderr)
      .to.contain("0 of 3 BMCs done; 1 failed (1 Aborted); 2 not asked")
      .and.contain("interrupted by SIGINT");
    expect(bmcs.map(({ simulator }) => simulator.sessionCount)).to.deep.equal([0, 0, 0]);
    expect(bmcs.map(({ simulator }) => simulator.counters.sessionsOpened)).to.deep.equal([1, 0, 0]);
  });

  it("whoever reads only the first line ends it, without a word", async () => {
    const bmcs = [await begin(), await begin(), await begin(), await begin(), await begin()];
    const child = start(["sensors", "--fanout", "1", "-H", bmcs.map(({ host }) => host).join(",")]);
    child.stdout?.once("data", () => child.stdout?.destroy());
    const { status, stderr } = await outcomeOf(child);
    expect([status, stderr]).to.deep.equal([141, ""]);
    expect(bmcs.map(({ simulator }) => simulator.sessionCount)).to.deep.equal([0, 0, 0, 0, 0]);
  });
});
