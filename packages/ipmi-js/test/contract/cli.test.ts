// The ipmi-js command against our simulator, one BMC at a time: every command, its text, its JSON, its exit status.
import { expect } from "chai";
import type { BmcSimulatorOptions } from "../../src/simulator/simulator.ts";
import { cli, jsonLines, LOGIN, type Outcome, outcomeOf, start } from "../cli-command.ts";
import { simulatorFixture } from "../simulator-fixture.ts";

const COMMANDS = [
  ...["power", "status", "bootdev", "sol", "identify", "sel", "sensors", "fru", "info", "lan", "user"],
  ...["watchdog", "mc", "raw", "ping"],
];

const EVENTS = [
  { sensorType: "Temperature", sensorNumber: 1, eventType: 1, offset: 9, time: "2026-11-21T03:00:00Z" },
  { sensorType: "Memory", sensorNumber: 7, offset: 0, time: "2026-11-21T03:00:05Z" },
];

describe("ipmi-js command", () => {
  const { simulate } = simulatorFixture();
  const begin = async (options: Partial<BmcSimulatorOptions> = {}) => {
    const { simulator, machine, host } = await simulate(options);
    const run = async (...args: string[]): Promise<string> => {
      const outcome = await cli(...args, "-H", host);
      expect([outcome.status, outcome.stderr], `${args.join(" ")}: ${outcome.stderr}`).to.deep.equal([0, ""]);
      return outcome.stdout;
    };
    const json = async (...args: string[]): Promise<Record<string, unknown>> => {
      const [line] = jsonLines(await run(...args, "--json"));
      expect(line).to.include({ name: host, ok: true });
      return line?.result ?? {};
    };
    return { simulator, machine, host, run, json };
  };

  it("explains itself as a whole and command by command", async () => {
    const overview = await cli("--help");
    expect(overview.status).to.equal(0);
    const none = await cli();
    expect([none.status, none.stdout, none.stderr]).to.deep.equal([2, "", overview.stdout]);
    for (const name of COMMANDS) expect(overview.stdout).to.match(new RegExp(`^  ${name} `, "m"));
    const helps = await Promise.all(["power", "sol", "sdr"].map((name) => cli(name, "--help")));
    for (const { status, stdout } of helps) {
      expect(status).to.equal(0);
      expect(stdout).to.contain("Usage: ipmi-js").and.contain("--password-file").and.contain("Exit status:");
    }
    expect((await cli("--version")).stdout).to.match(/^\d+\.\d+\.\d+\n$/);
  });

  it("power: switches, waits, and says why not", async () => {
    const { machine, host, run, json } = await begin();
    expect(await run("power")).to.equal("off\n");
    const refused = await cli("power", "cycle", "-H", host);
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.contain("not supported in the present state").and.contain("the machine is off");
    expect(await run("power", "on", "--wait")).to.match(/^on after \d\.\d s\n$/);
    expect(await json("power", "status")).to.deep.equal({ power: "on" });
    expect(await run("power", "reset")).to.equal("reset accepted\n");
    expect(await json("power", "diag")).to.deep.equal({ action: "diag", accepted: true });
    expect(await run("power", "cycle")).to.equal("cycle accepted\n");
    expect(await json("power", "soft", "--wait")).to.include({ action: "soft", power: "off" });
    expect(await run("power", "off")).to.equal("off accepted\n");
    expect(machine.actions).to.deep.equal([
      ...["power-up", "hard-reset", "diagnostic-interrupt", "power-cycle", "soft-shutdown", "power-down"],
    ]);
  });

  it("power --wait ends when its time is over", async () => {
    const { host } = await begin({ faults: { lyingStatus: "off" } });
    const { status, stderr } = await cli("power", "on", "--wait-timeout", "1.2", "-H", host);
    expect(status).to.equal(1);
    expect(stderr).to.contain("was accepted and still says off after 1.2 s");
  });

  it("power cycle --wait sees the machine go off and come back", async () => {
    const { machine, run } = await begin();
    // The first look after the command still sees it on, the second off, those after it on.
    const looks: boolean[] = [];
    machine.getPower = () => looks.shift() ?? true;
    machine.setPower = (action) => {
      machine.actions.push(action);
      looks.push(true, false);
    };
    expect(await run("power", "cycle", "--wait")).to.match(/^on after [2-9]\.\d s\n$/);
    expect(looks).to.deep.equal([]);
    expect(machine.actions).to.deep.equal(["power-cycle"]);
  });

  it("status: everything at a glance", async () => {
    const { run, json } = await begin();
    await run("power", "on");
    expect(await run("status")).to.match(/^power +on\nfaults +none\nrestart cause +chassis-control\n/);
    const result = await json("status");
    expect(result).to.deep.include({ power: "on", faults: [], restartCause: "chassis-control" });
    expect(result["device"]).to.include({ firmwareRevision: "1.00", ipmiVersion: "2.0" });
  });

  it("bootdev: sets and shows", async () => {
    const { machine, run, json } = await begin();
    expect(await run("bootdev", "pxe", "--efi")).to.equal("pxe, for the next boot, UEFI\n");
    expect(machine.bootDevices.at(-1)).to.deep.equal({ device: "pxe", persistent: false, efi: true });
    expect(await json("bootdev")).to.deep.equal({ device: "pxe", persistent: false, efi: true });
    expect(await run("bootdev", "disk", "--persistent")).to.equal("disk, for all boots, legacy\n");
    expect(await run("bootdev", "none")).to.equal("none: as the firmware likes\n");
    expect(await run("bootdev")).to.equal("none: as the firmware likes\n");
  });

  it("sel: lists, counts and clears", async () => {
    const { run, json } = await begin({ content: { sel: EVENTS } });
    const text = await run("sel");
    expect(text).to.match(
      /^ +1 {2}2026-11-21 03:00:00Z {2}Temperature sensor 01h: Upper Critical going high, asserted$/m,
    );
    expect(text).to.match(/^ +2 {2}2026-11-21 03:00:05Z {2}Memory sensor 07h: .*ECC.*, asserted$/m);
    expect((await run("sel", "list", "--last", "1")).match(/\n/g)).to.have.length(1);
    expect(await run("sel", "info")).to.match(/^entries +2$/m);
    expect(await json("sel", "list"))
      .to.have.property("records")
      .with.length(2);
    expect(await json("sel", "clear")).to.deep.equal({ cleared: true, entries: 2 });
    expect(await run("sel")).to.equal("the log is empty\n");
  });

  it("sensors: readings, and only the problems", async () => {
    const { simulator, run, json } = await begin();
    expect(await run("sdr")).to.match(/^Inlet Temp +23 degrees C +ok$/m);
    expect(await run("sensors", "--problems")).to.equal("none of 4 has crossed a threshold\n");
    simulator.records.setReading("Inlet Temp", 50);
    simulator.records.setReading("12V", null);
    expect(await run("sensors", "--problems")).to.equal("Inlet Temp  50 degrees C  critical\n");
    expect(await run("sensors")).to.match(/^12V +-$/m);
    expect((await json("sensors"))["sensors"]).to.have.length(4);
  });

  it("fru, info, lan, raw, identify, ping", async () => {
    const guid = "00112233-4455-6677-8899-aabbccddeeff";
    const { run, json } = await begin({ guid });
    expect(await run("fru")).to.match(/^product serial +P0000001$/m);
    expect(await json("fru")).to.have.nested.property("board.serialNumber", "B0000001");
    expect(await run("info"))
      .to.match(/^self test +passed$/m)
      .and.match(/^GUID +33221100-5544-7766-8899-aabbccddeeff$/m);
    expect(await json("info")).to.include({ guidBytes: guid.replaceAll("-", "") });
    expect(await run("lan")).to.match(/^address +127\.0\.0\.1$/m);
    expect(await run("raw", "0x06", "1")).to.match(/^20 01 01 00 02 [0-9a-f ]+\n$/);
    expect(await run("identify", "5")).to.equal("on for 5 s\n");
    expect(await run("identify", "off")).to.equal("off\n");
    expect(await json("ping")).to.include({ supportsIpmi: true });
  });

  it("raw: a completion code is a failure with its meaning", async () => {
    const { host } = await begin();
    const outcome = await cli("raw", "0x2e", "0x01", "--json", "-H", host);
    expect(outcome.status).to.equal(1);
    const [line] = jsonLines(outcome.stdout);
    expect(line?.error).to.include({ code: "CompletionCode", completionCode: 0xc1 });
  });

  it("watchdog: shows it, and stops it", async () => {
    const { run } = await begin();
    // 300 s, hard reset, for the operating system; then started.
    await run("raw", "6", "0x24", "4", "1", "0", "0", "0xb8", "0x0b");
    await run("raw", "6", "0x22");
    expect(await run("watchdog")).to.match(/^timer +RUNNING\naction +hard-reset\nleft +(2\d\d(\.\d)?|300) s$/m);
    expect(await run("watchdog", "off")).to.match(/^timer +stopped\naction +none$/m);
  });

  it("user: lists them, and sets a password that works from then on", async () => {
    const { host, run } = await begin();
    expect(await run("user")).to.match(/^ *\d+ {2}admin {2}administrator {2}enabled$/m);
    const change = (who: string): Promise<Outcome> =>
      outcomeOf(
        start(["user", "set-password", who, "-H", host], { ...LOGIN, IPMI_NEW_PASSWORD: "a-rather-long-secret" }),
      );
    const nobody = await change("nobody");
    expect([nobody.status, nobody.stderr.includes("has no user nobody")], nobody.stderr).to.deep.equal([1, true]);
    const changed = await change("admin");
    expect([changed.status, changed.stderr], changed.stderr).to.deep.equal([0, ""]);
    expect(changed.stdout).to.match(/^user \d+ \(admin\) has the new password\n$/);
    const old = await cli("power", "-H", host);
    expect([old.status, old.stderr.includes("the password differs")], old.stderr).to.deep.equal([1, true]);
    const now = await outcomeOf(start(["power", "-H", host], { ...LOGIN, IPMI_PASSWORD: "a-rather-long-secret" }));
    expect([now.status, now.stdout]).to.deep.equal([0, "off\n"]);
  });

  it("a BMC that has only IPMI 1.5: the error names the option, and the option works", async () => {
    const { host, run } = await begin({ protocol20: false, protocol15: true });
    const commands = [["power"], ["sensors"], ["power", "--protocol", "2.0"]];
    const refused = await Promise.all(commands.map((command) => cli(...command, "-H", host)));
    for (const { status, stderr } of refused)
      expect([status, stderr.includes("--protocol 1.5")], stderr).to.deep.equal([1, true]);
    expect(await run("power", "--protocol", "1.5")).to.equal("off\n");
    expect(await run("power", "--protocol", "auto")).to.equal("off\n");
    expect((await cli("power", "--help")).stdout).to.contain("--protocol VERSION");
  });

  it("user set-password: nothing is sent through what does not encrypt, unless that is allowed", async () => {
    const { simulator, host } = await begin({ protocol15: true, cipherSuites: [3, 17, 2] });
    const change = (...args: string[]): Promise<Outcome> =>
      outcomeOf(start(["user", "set-password", "admin", "-H", host, ...args], { ...LOGIN, IPMI_NEW_PASSWORD: "new" }));
    const clear: readonly (readonly [readonly string[], string])[] = [
      [["--protocol", "1.5"], "--protocol 1.5 is not encrypted"],
      [["--protocol", "auto"], "--protocol auto may not be encrypted"],
      [["-C", "2"], "--cipher-suite 2 is not encrypted"],
      [["-C", "17,3,2"], "--cipher-suite 2 is not encrypted"],
    ];
    for (const [args, why] of clear) {
      const { status, stdout, stderr } = await change(...args);
      expect([status, stdout], stderr).to.deep.equal([2, ""]);
      expect(stderr).to.contain("--allow-clear-text").and.contain(why);
    }
    expect(simulator.counters.datagramsReceived).to.equal(0);
    for (const args of [
      ["--protocol", "1.5"],
      ["-C", "2"],
    ]) {
      const { status, stdout, stderr } = await change(...args, "--allow-clear-text");
      expect([status, stderr], stderr).to.deep.equal([0, ""]);
      expect(stdout).to.contain("has the new password");
      simulator.setPassword(LOGIN.IPMI_PASSWORD);
    }
  });

  it("mc reset: cold and warm", async () => {
    const { simulator, run } = await begin();
    expect(await run("mc", "reset", "warm")).to.equal("warm reset accepted\n");
    expect(simulator.counters.sessionsOpened).to.equal(1);
    expect(await run("mc", "reset", "cold")).to.match(/^cold reset (accepted|sent, no answer)\n$/);
    expect(simulator.sessionCount).to.equal(0);
  });

  it("wrong arguments: status 2, what is wrong and how to write it, nothing sent", async () => {
    const { simulator, host } = await begin();
    const at = ["-H", host];
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [["fly"], "there is no command fly; one of power,"],
      [["power", "up", ...at], 'power takes status | on | off | cycle | reset | soft | diag, not "up"'],
      [["power", "on"], "no BMC is named; add -H BMCS"],
      [["power", "reset", "--wait", ...at], "--wait goes with on, off, soft and cycle"],
      [["bootdev", "--efi", ...at], "go with a device"],
      [["identify", "300", ...at], "1 to 255 seconds"],
      [["sel", "clear", "--last", "2", ...at], "--last goes with list"],
      [["fru", "--device", "255", ...at], "--device takes a number from 0 to 254, not 255"],
      [["lan", "--channel", "0", ...at], "--channel takes a number from 1 to 11, not 0"],
      [["mc", "reset", ...at], '"reset cold" or "reset warm"'],
      [["raw", "7", "1", ...at], "even"],
      [["raw", "6", ...at], "NETFN CMD"],
      [["power", "-H", "n[1-999999999]"], "65536 in all are the most at once"],
      [["power", "--cipher-suite", "5", ...at], "cipher suite 5 is not supported"],
      [["power", "--privilege", "root", ...at], "--privilege takes callback | user"],
      [["power", "--protocol", "3", ...at], "--protocol takes 2.0 | 1.5 | auto, not 3"],
      [["power", "--timeout", "0", ...at], "--timeout takes a number above 0"],
      [["power", "-P", "secret", ...at], "--password-file"],
    ];
    const outcomes = await Promise.all(wrong.map(([args]) => cli(...args)));
    for (const [index, { status, stdout, stderr }] of outcomes.entries()) {
      expect([status, stdout], stderr).to.deep.equal([2, ""]);
      expect(stderr).to.contain(wrong[index]?.[1]);
    }
    expect(simulator.counters.datagramsReceived).to.equal(0);
  });
});
