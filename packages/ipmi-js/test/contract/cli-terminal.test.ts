// The ipmi-js command and whoever sits before it: passwords, questions, the console on a terminal and in a pipe.
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { cli, LOGIN, outcomeOf, start, TerminalRun } from "../cli-command.ts";
import { eventually } from "../failure.ts";
import { SerialMachine } from "../serial-machine.ts";
import { simulatorFixture } from "../simulator-fixture.ts";

const USER = { IPMI_USER: "admin" };

describe("ipmi-js command and its operator", () => {
  const { closing, simulate: begin } = simulatorFixture();
  const file = async (content: string, mode: number): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), "secret-"));
    closing({ close: () => rm(folder, { recursive: true }) });
    await writeFile(join(folder, "secret"), content);
    await chmod(join(folder, "secret"), mode);
    return join(folder, "secret");
  };

  it("password and K_g from files; one that all can read is used with a warning", async () => {
    const { host } = await begin({ kg: "0x00112233" });
    const kg = await file("0x00112233\n", 0o600);
    const run = (password: string) =>
      outcomeOf(start(["power", "-U", "admin", "--password-file", password, "--kg-file", kg, "-H", host], {}));
    const quiet = await run(await file("secret\nsecond line", 0o600));
    expect([quiet.status, quiet.stdout, quiet.stderr], quiet.stderr).to.deep.equal([0, "off\n", ""]);
    const open = await run(await file("secret", 0o644));
    expect([open.status, open.stdout]).to.deep.equal([0, "off\n"]);
    expect(open.stderr).to.contain("everybody on this machine can read").and.contain("chmod 600");
    const missing = await run("/nowhere/secret");
    expect([missing.status, missing.stderr.includes("cannot be read (ENOENT)")]).to.deep.equal([2, true]);
  });

  it("without password, user or terminal it says how to give them", async () => {
    const { host } = await begin();
    const noPassword = await outcomeOf(start(["power", "-H", host], USER));
    expect(noPassword.status).to.equal(2);
    expect(noPassword.stderr).to.contain("--password-file FILE or set IPMI_PASSWORD");
    const noUser = await outcomeOf(start(["power", "-H", host], {}));
    expect([noUser.status, noUser.stderr.includes("-U NAME")]).to.deep.equal([2, true]);
    const long = await outcomeOf(start(["power", "-H", host], { ...USER, IPMI_PASSWORD: "x".repeat(21) }));
    expect([long.status, long.stderr.includes("21 bytes; IPMI 2.0 allows 20")], long.stderr).to.deep.equal([2, true]);
  });

  it("asks for the password without showing it", async () => {
    const { host } = await begin();
    const terminal = closing(new TerminalRun(["power", "-H", host], USER));
    await terminal.type("Password of admin: ", "secret\r");
    expect(await terminal.status(), terminal.shown).to.equal(0);
    expect(terminal.shown).to.contain("off").and.not.contain("secret");
  });

  it("Ctrl-C at the password is an interrupt, Ctrl-D no answer", async () => {
    const { simulator, host } = await begin();
    const interrupted = closing(new TerminalRun(["power", "-H", host], USER));
    await interrupted.type("Password of admin: ", "\x03");
    expect(await interrupted.status(), interrupted.shown).to.equal(130);
    const ended = closing(new TerminalRun(["power", "-H", host], USER));
    await ended.type("Password of admin: ", "\x04");
    expect(await ended.status(), ended.shown).to.equal(2);
    expect(simulator.counters.datagramsReceived).to.equal(0);
  });

  it("asks before it hurts many, with their number, and takes no for an answer", async () => {
    const [one, two] = [await begin(), await begin()];
    const args = ["power", "off", "-H", `${one.host},${two.host}`];
    const declined = closing(new TerminalRun(args));
    await declined.type("Go on? [y/N]", "\r");
    expect(await declined.status(), declined.shown).to.equal(1);
    expect(declined.shown).to.contain("This will switch off the machines of 2 BMCs").and.contain("nothing was done");
    expect([...one.machine.actions, ...two.machine.actions]).to.deep.equal([]);
    const agreed = closing(new TerminalRun(args));
    await agreed.type("Go on? [y/N]", "y\r");
    expect(await agreed.status(), agreed.shown).to.equal(0);
    expect([...one.machine.actions, ...two.machine.actions]).to.deep.equal(["power-down", "power-down"]);
  });

  it("sol in a pipe: input to the machine, what it writes to the output, ends after the silence", async () => {
    const serial = new SerialMachine();
    serial.isEcho = true;
    const { simulator, host } = await begin({ serial });
    const input = Buffer.from(Array.from({ length: 2000 }, (_, index) => index & 0xff));
    const child = start(["sol", "--idle", "0.5", "-H", host]);
    const pieces: Buffer[] = [];
    child.stdout?.on("data", (piece) => pieces.push(piece));
    const { status, stderr } = await outcomeOf(child, input);
    expect([status, stderr], stderr).to.deep.equal([0, ""]);
    expect(serial.typed.equals(input)).to.equal(true);
    expect(Buffer.concat(pieces).equals(input)).to.equal(true);
    expect(simulator.sessionCount).to.equal(0);
  });

  it("sol on a terminal: keys to the machine, Ctrl-C too; ~? helps, ~b breaks, ~. leaves", async () => {
    const serial = new SerialMachine();
    const { simulator, host } = await begin({ serial });
    const terminal = closing(new TerminalRun(["sol", "-H", host]));
    await terminal.type("~. leaves", "ls\x03 ~.\r~?~b");
    await eventually("the break", () => serial.breaks === 1);
    expect(serial.typed.toString()).to.equal("ls\x03 ~.\r");
    serial.print("login: ");
    await terminal.type("login: ", "root\r~.");
    expect(await terminal.status(), terminal.shown).to.equal(0);
    expect(terminal.shown).to.contain("~b  send a break").and.contain("[console closed]");
    expect(simulator.sessionCount).to.equal(0);
  });

  it("sol: a terminal that is closed gives the console back", async () => {
    const { simulator, host } = await begin({ serial: new SerialMachine() });
    const terminal = closing(new TerminalRun(["sol", "-H", host]));
    await terminal.type("~. leaves", "");
    expect(simulator.sessionCount).to.equal(1);
    terminal.close();
    await eventually("its session to end", () => simulator.sessionCount === 0, 15_000);
  });

  it("sol: told twice that its terminal is closed, it gives the console back first", async () => {
    const { simulator, host } = await begin({ serial: new SerialMachine() });
    const terminal = closing(new TerminalRun(["sol", "-H", host], LOGIN, (command) => `echo "[$$]"; exec ${command}`));
    await terminal.type("~. leaves", "");
    const pid = Number(/\[(\d+)\]/.exec(terminal.shown)?.[1]);
    simulator.faults.delayMs = 900;
    process.kill(pid, "SIGHUP");
    await sleep(50);
    process.kill(pid, "SIGHUP");
    expect(await terminal.status(), terminal.shown).to.equal(129);
    expect(simulator.sessionCount).to.equal(0);
  });

  it("sol: with its terminal gone it ends as one that was hung up, and does not abort", async () => {
    const { host } = await begin({ serial: new SerialMachine() });
    const said = await file("", 0o600);
    const wrap = (command: string) => `trap "" HUP; ${command}; echo "status $?" > '${said}'`;
    const terminal = closing(new TerminalRun(["sol", "-H", host], LOGIN, wrap));
    await terminal.type("~. leaves", "");
    terminal.close();
    await eventually("the shell to tell its end", () => readFileSync(said, "utf8") !== "", 15_000);
    expect(readFileSync(said, "utf8")).to.equal("status 129\n");
  });

  it("sol: one BMC, and who has the console may be sent away", async () => {
    const serial = new SerialMachine();
    const { host } = await begin({ serial });
    const two = await cli("sol", "-H", `${host},127.0.0.1:1`);
    expect([two.status, two.stderr.includes("one BMC at a time, not 2")]).to.deep.equal([2, true]);
    const holder = closing(new TerminalRun(["sol", "-H", host]));
    await eventually("the console to be held", () => serial.opened === 1 && holder.shown.includes("~. leaves"), 15_000);
    const refused = await outcomeOf(start(["sol", "--idle", "0.2", "-H", host], LOGIN));
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.contain("in use by another session").and.contain("--take-over");
    const taken = await outcomeOf(start(["sol", "--take-over", "--idle", "0.2", "-H", host], LOGIN), "mine");
    expect([taken.status, taken.stderr]).to.deep.equal([0, ""]);
    expect(serial.typed.toString()).to.equal("mine");
  });
});
