// Our client's management commands against both BMCs, our simulator and ipmi_sim; and what only the simulator has.
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import { bridge } from "../../src/bridge.ts";
import { getAcpiPowerState, setAcpiPowerState } from "../../src/commands/acpi-power-state.ts";
import { coldReset, warmReset } from "../../src/commands/bmc-reset.ts";
import { getChannelAccess, setChannelAccess } from "../../src/commands/channel-access.ts";
import { chassisIdentify } from "../../src/commands/chassis-identify.ts";
import { getDcmiCapabilitiesInfo, getPowerReading } from "../../src/commands/dcmi.ts";
import { getChannelInfo } from "../../src/commands/get-channel-info.ts";
import { getDeviceId } from "../../src/commands/get-device-id.ts";
import { getDeviceGuid, getSystemGuid } from "../../src/commands/get-guid.ts";
import { getPohCounter } from "../../src/commands/get-poh-counter.ts";
import { getSelfTestResults } from "../../src/commands/get-self-test-results.ts";
import { getSystemRestartCause } from "../../src/commands/get-system-restart-cause.ts";
import { setPowerRestorePolicy } from "../../src/commands/set-power-restore-policy.ts";
import { getWatchdogTimer, resetWatchdogTimer, setWatchdogTimer } from "../../src/commands/watchdog-timer.ts";
import { readLanConfiguration, writeLanConfiguration } from "../../src/lan-configuration.ts";
import { openSession } from "../../src/open-session.ts";
import { raw } from "../../src/raw.ts";
import { listUsers, setUser } from "../../src/set-user.ts";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import { closeAfterEach } from "../close-after-each.ts";
import type { BmcUnderTest } from "../contract/bmc-contract.ts";
import { eventually, failure } from "../failure.ts";
import { CREDENTIALS, type SimulatedMachine, startSimulator } from "../simulated-machine.ts";
import { startIpmiSim } from "./ipmi-sim.ts";

type Target = Pick<BmcUnderTest, "address" | "port" | "user" | "password" | "close">;

const SATELLITE = 0x2c;
const SECOND_CONTROLLER = `mc_add 0x2c 0x42 no-device-sdrs 0x01 2 5 0x01 0x0 0x2
mc_enable 0x2c
`;
const CHANNEL = 1;

async function startOurs(): Promise<Target & { machine: SimulatedMachine; simulator: BmcSimulator }> {
  const { machine, simulator } = await startSimulator({ coldResetMs: 200 });
  const { port } = simulator;
  return { address: "127.0.0.1", port, ...CREDENTIALS, machine, simulator, close: () => simulator.close() };
}

function optionsOf({ address, port, user, password }: Target) {
  return { address, port, user, password, retransmitMs: 200, cipherSuites: [3] };
}

for (const [name, start] of [
  ["our simulator", startOurs],
  ["ipmi_sim", () => startIpmiSim("", SECOND_CONTROLLER)],
] as const) {
  describe(`our client manages ${name}`, () => {
    const isOurs = name === "our simulator";
    const closing = closeAfterEach();
    let target: Target;
    let bmc: Bmc;

    beforeEach(async () => {
      target = closing(await start());
      bmc = closing(new Bmc({ ...optionsOf(target), operationDeadlineMs: 10_000 }));
    });

    it("raw: completion code and data, no error for a refusal", async () => {
      const known = await raw(bmc, 6, 0x01);
      expect(known.completionCode).to.equal(0);
      expect(getDeviceId.decodeResponse(known.data).ipmiVersion).to.equal("2.0");
      expect(await raw(bmc, 6, 0x7f)).to.deep.equal({ completionCode: 0xc1, data: Buffer.alloc(0) });
      expect((await failure(raw(bmc, 7, 1))).code).to.equal("InvalidArgument");
      expect((await failure(raw(bmc, 6, 256))).code).to.equal("InvalidArgument");
    });

    it("Get System GUID is the GUID of the session", async () => {
      const session = closing(await openSession(optionsOf(target)));
      expect((await session.execute(getSystemGuid, undefined)).toString("hex")).to.equal(session.guid.toString("hex"));
    });

    it("channels", async () => {
      expect(await bmc.execute(getChannelInfo, { channel: CHANNEL })).to.include({
        channel: CHANNEL,
        medium: 4,
        sessions: "multiple",
        vendorId: 7154,
      });
      const access = await bmc.execute(getChannelAccess, { channel: CHANNEL, store: "volatile" });
      expect(access).to.include({ mode: "always-available", privilegeLimit: 4 });
    });

    it("setUser: a new user can log in, and then with its new password only", async () => {
      const settings = { userId: 5, name: "prov", privilege: "operator", channel: CHANNEL } as const;
      await setUser(bmc, { ...settings, password: "first" });
      const known = (await listUsers(bmc, CHANNEL)).find(({ userId }) => userId === 5);
      expect(known?.name).to.equal("prov");
      expect(known?.access).to.include({ privilegeLimit: 3, hasIpmiMessaging: true });
      // Our simulator lets only its configured user log in. ipmi_sim takes 20 bytes and then lets nobody in with them.
      await setUser(bmc, { ...settings, password: isOurs ? "a-second-password-20" : "second" });
      if (isOurs) return;
      const login = { ...optionsOf(target), user: "prov", privilege: "operator" as const };
      await closing(await openSession({ ...login, password: "second" })).close();
      expect((await failure(openSession({ ...login, password: "first" }))).code).to.equal("WrongPassword");
    });

    it("setUser rotates the password of the user that is logged in", async () => {
      const { user } = target;
      await setUser(bmc, { userId: 2, name: user, password: "rotated", privilege: "administrator", channel: CHANNEL });
      expect(await bmc.getPower()).to.equal(false);
      await closing(await openSession({ ...optionsOf(target), password: "rotated" })).close();
      expect((await failure(openSession(optionsOf(target)))).code).to.equal("WrongPassword");
    });

    it("LAN configuration: read, and written for good", async () => {
      const before = await readLanConfiguration(bmc, CHANNEL);
      expect(before.macAddress).to.match(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
      expect(before.cipherSuites?.find(({ id }) => id === 3)?.privilegeLimit).to.equal(4);
      expect(before.vlan?.isEnabled).to.equal(false);
      const changes = { ipAddressSource: "static", ipAddress: "10.1.2.3", subnetMask: "255.255.0.0" } as const;
      const more = { defaultGateway: "10.1.0.1", vlan: { isEnabled: true, id: 1234 } };
      await writeLanConfiguration(bmc, { ...changes, ...more }, CHANNEL);
      expect(await readLanConfiguration(bmc, CHANNEL)).to.deep.include({ ...changes, ...more });
      expect((await raw(bmc, 0x0c, 0x02, Buffer.from([CHANNEL, 0, 0, 0]))).data.at(-1)).to.equal(0);
    });

    it("LAN configuration: refused while another writes, before anything is written", async () => {
      await raw(bmc, 0x0c, 0x01, Buffer.from([CHANNEL, 0, 1]));
      const error = await failure(writeLanConfiguration(bmc, { ipAddress: "10.9.9.9" }, CHANNEL));
      expect(error.completionCode).to.equal(0x81);
      expect(error.message).to.contain("another party is writing");
      expect((await readLanConfiguration(bmc, CHANNEL)).ipAddress).not.to.equal("10.9.9.9");
    });

    it("watchdog: set, started, set again", async () => {
      const settings = { use: "sms-os", action: "none", countdownMs: 600_000 } as const;
      await bmc.execute(setWatchdogTimer, settings);
      expect(await bmc.execute(getWatchdogTimer, undefined)).to.include({ ...settings, isRunning: false });
      await bmc.execute(resetWatchdogTimer, undefined);
      // ipmi_sim does not count down for nothing.
      expect(await bmc.execute(getWatchdogTimer, undefined)).to.include({ ...settings, isRunning: isOurs });
      await bmc.execute(setWatchdogTimer, { ...settings, clearExpirations: ["sms-os"] });
      expect((await bmc.execute(getWatchdogTimer, undefined)).isRunning).to.equal(false);
    });

    it("boot device: safe, bios, cdrom, and taken back", async () => {
      // ipmi_sim knows no safe mode.
      for (const device of isOurs ? (["safe", "cdrom", "bios"] as const) : (["cdrom", "bios"] as const)) {
        await bmc.setBootDevice({ device, persistent: true, efi: true, keepValid: ["no-control", "reset-button"] });
        expect((await bmc.getBootDevice()).device).to.equal(device);
      }
      await bmc.setBootDevice({ device: "none", persistent: false });
      expect((await bmc.getBootDevice()).device).to.equal("none");
    });

    it("a controller behind the BMC: its answers, its refusals, and nobody at the address", async () => {
      const behind = bridge(bmc, { address: SATELLITE });
      const { deviceId, firmwareRevision, productId } = await behind.execute(getDeviceId, undefined);
      expect({ deviceId, firmwareRevision, productId }).to.deep.equal({
        deviceId: 0x42,
        firmwareRevision: "2.05",
        productId: 2,
      });
      expect((await raw(behind, 6, 0x01)).data.at(0)).to.equal(0x42);
      const refused = await failure(behind.execute(coldReset, undefined));
      expect(refused.completionCode).to.equal(0xc1);
      expect(refused.operation).to.equal("Cold Reset by way of Send Message (channel 0, address 2ch)");
      expect(await raw(behind, 6, 0x7f)).to.deep.equal({ completionCode: 0xc1, data: Buffer.alloc(0) });
      const nobody = await failure(bridge(bmc, { address: 0x72 }).execute(getDeviceId, undefined));
      expect(nobody.completionCode).to.equal(0x83);
      expect(() => bridge(bmc, { address: 0x73 })).to.throw("an even address");
      expect((await bmc.getDeviceId()).deviceId).not.to.equal(0x42);
    });
  });
}

describe("our client manages what only our simulator has", () => {
  const closing = closeAfterEach();
  let target: Awaited<ReturnType<typeof startOurs>>;
  let bmc: Bmc;

  beforeEach(async () => {
    target = closing(await startOurs());
    bmc = closing(new Bmc({ ...optionsOf(target), operationDeadlineMs: 10_000 }));
  });

  it("restore policy, restart cause, hours, self test, ACPI state, GUID, identify, warm reset", async () => {
    const policies = await bmc.execute(setPowerRestorePolicy, { policy: "always-off" });
    expect(policies).to.deep.equal({ alwaysOff: true, previous: true, alwaysOn: true });
    expect((await bmc.getChassisStatus()).powerRestorePolicy).to.equal("always-off");
    await bmc.control("power-up");
    expect((await bmc.execute(getSystemRestartCause, undefined)).cause).to.equal("chassis-control");
    expect(await bmc.execute(getPohCounter, undefined)).to.deep.equal({ minutesPerCount: 60, counts: 0 });
    expect((await bmc.execute(getSelfTestResults, undefined)).result).to.equal("passed");
    expect(await bmc.execute(getAcpiPowerState, undefined)).to.deep.equal({ system: "S0", device: "D0" });
    await bmc.execute(setAcpiPowerState, { system: "S3" });
    expect(await bmc.execute(getAcpiPowerState, undefined)).to.deep.equal({ system: "S3", device: "D0" });
    expect(await bmc.execute(getDeviceGuid, undefined)).to.have.lengthOf(16);
    await bmc.execute(chassisIdentify, {});
    await bmc.execute(warmReset, undefined);
    expect(target.simulator.counters.sessionsOpened).to.equal(1);
  });

  it("Cold Reset: the Bmc opens a new session when the BMC is back", async () => {
    await bmc.execute(coldReset, undefined);
    expect(target.simulator.sessionCount).to.equal(0);
    expect(await bmc.getPower()).to.equal(false);
    expect(target.simulator.counters.sessionsOpened).to.equal(2);
  });

  it("channel access: one half changed, the other kept, by store", async () => {
    await bmc.execute(setChannelAccess, { channel: CHANNEL, store: "non-volatile", privilegeLimit: 3 });
    const read = (store: "non-volatile" | "volatile") => bmc.execute(getChannelAccess, { channel: CHANNEL, store });
    expect(await read("non-volatile")).to.include({ mode: "always-available", privilegeLimit: 3 });
    expect((await read("volatile")).privilegeLimit).to.equal(4);
    const noSessions = await failure(bmc.execute(getChannelAccess, { channel: 0, store: "volatile" }));
    expect(noSessions.message).to.contain("the channel has no sessions");
  });

  it("LAN addresses cannot be written while DHCP gives them: nothing is kept of the whole set", async () => {
    const both = { ipAddressSource: "dhcp", ipAddress: "10.1.2.3" } as const;
    expect((await failure(writeLanConfiguration(bmc, both, CHANNEL))).completionCode).to.equal(0xcc);
    expect((await readLanConfiguration(bmc, CHANNEL)).ipAddressSource).to.equal("static");
    const nonsense = await failure(writeLanConfiguration(bmc, { ipAddress: "10.1.2" }));
    expect(nonsense.code).to.equal("InvalidArgument");
  });

  it("DCMI power", async () => {
    expect(await bmc.execute(getPowerReading, undefined)).to.include({ currentWatts: 8, isActive: true });
    expect((await bmc.execute(getDcmiCapabilitiesInfo, { parameter: 1 })).version).to.equal("1.5");
  });

  it("the watchdog counts down and does its action", async () => {
    expect((await failure(bmc.execute(resetWatchdogTimer, undefined))).completionCode).to.equal(0x80);
    await bmc.control("power-up");
    await bmc.execute(setWatchdogTimer, { use: "os-load", action: "power-cycle", countdownMs: 100 });
    await bmc.execute(resetWatchdogTimer, undefined);
    await eventually("the watchdog's action", () => target.machine.actions.includes("power-cycle"));
    const timer = await bmc.execute(getWatchdogTimer, undefined);
    expect(timer.isRunning).to.equal(false);
    expect(timer.expirations).to.deep.equal(["os-load"]);
    expect((await bmc.execute(getSystemRestartCause, undefined)).cause).to.equal("watchdog");
  });

  it("a user of less privilege may not manage", async () => {
    await setUser(bmc, { userId: 2, name: "admin", password: "rotated", privilege: "user", channel: CHANNEL });
    const user = closing(await openSession({ ...optionsOf(target), password: "rotated", privilege: "user" }));
    expect((await failure(user.execute(coldReset, undefined))).code).to.equal("InsufficientPrivilege");
    expect((await raw(user, 6, 0x02)).completionCode).to.equal(0xd4);
  });
});
