// Codecs of the management commands. Requests as ipmitool 1.8.19 sends them (`-vvv`), responses as ipmi_sim gives them
// (`ipmitool raw`); where neither has a command, bytes by hand from the named tables.
import { expect } from "chai";
import { decodeMessage } from "../wire/message.ts";
import { WireError } from "../wire/wire-error.ts";
import { getAcpiPowerState, setAcpiPowerState } from "./acpi-power-state.ts";
import { encodeValidBitClearing } from "./boot-flags.ts";
import { getChannelAccess, setChannelAccess } from "./channel-access.ts";
import { chassisIdentify } from "./chassis-identify.ts";
import { getDcmiCapabilitiesInfo, getPowerReading } from "./dcmi.ts";
import { getChannelInfo } from "./get-channel-info.ts";
import { getDeviceId } from "./get-device-id.ts";
import { formatGuid, getSystemGuid } from "./get-guid.ts";
import { getPohCounter } from "./get-poh-counter.ts";
import { getSelfTestResults } from "./get-self-test-results.ts";
import { getSystemRestartCause } from "./get-system-restart-cause.ts";
import { getLanConfigurationParameters, setLanConfigurationParameters } from "./lan-configuration-parameters.ts";
import { LAN_PARAMETER } from "./lan-parameters.ts";
import { bridgedCommand, sendMessage } from "./send-message.ts";
import { setPowerRestorePolicy } from "./set-power-restore-policy.ts";
import { setUserPassword } from "./set-user-password.ts";
import { getUserAccess, setUserAccess } from "./user-access.ts";
import { getUserName, setUserName } from "./user-name.ts";
import { getWatchdogTimer, setWatchdogTimer } from "./watchdog-timer.ts";

const bytes = (hex: string) => Buffer.from(hex, "hex");
const hex = (buffer: Buffer) => buffer.toString("hex");

describe("management command codecs", () => {
  it("Chassis Identify: `identify 5`, `identify force`", () => {
    expect(hex(chassisIdentify.encodeRequest({ intervalSeconds: 5 }))).to.equal("05");
    expect(hex(chassisIdentify.encodeRequest({ forceOn: true }))).to.equal("0001");
    expect(hex(chassisIdentify.encodeRequest({}))).to.equal("");
    expect(chassisIdentify.decodeRequest(bytes("0001"))).to.deep.equal({ intervalSeconds: 0, forceOn: true });
    expect(() => chassisIdentify.decodeRequest(bytes("000100"))).to.throw(WireError);
  });

  it("Set Power Restore Policy: `policy always-on`; answer of table 28-8", () => {
    expect(hex(setPowerRestorePolicy.encodeRequest({ policy: "always-on" }))).to.equal("02");
    expect(setPowerRestorePolicy.decodeResponse(bytes("03"))).to.deep.equal({
      alwaysOff: true,
      previous: true,
      alwaysOn: false,
    });
    expect(() => setPowerRestorePolicy.decodeRequest(bytes("05"))).to.throw(WireError, "policy 5");
  });

  it("Get System Restart Cause and Get POH Counter: tables 28-11, 28-14", () => {
    expect(getSystemRestartCause.decodeResponse(bytes("0401"))).to.deep.equal({ cause: "watchdog", channel: 1 });
    expect(getSystemRestartCause.decodeResponse(bytes("0f00")).cause).to.equal("unknown");
    expect(getPohCounter.decodeResponse(bytes("3c78563412"))).to.deep.equal({
      minutesPerCount: 60,
      counts: 0x12345678,
    });
  });

  it("Get System GUID: ipmi_sim's, written as `ipmitool mc guid ipmi|smbios|rfc4122` does", () => {
    const guid = getSystemGuid.decodeResponse(bytes("a123456789abcdefa123456789abcde1"));
    expect(formatGuid(guid, "ipmi")).to.equal("e1cdab89-6745-23a1-efcd-ab89674523a1");
    expect(formatGuid(guid, "smbios")).to.equal("674523a1-ab89-efcd-a123-456789abcde1");
    expect(formatGuid(guid, "rfc4122")).to.equal("a1234567-89ab-cdef-a123-456789abcde1");
    expect(() => getSystemGuid.decodeResponse(bytes("a123"))).to.throw(WireError);
  });

  it("Get Self Test Results: table 20-4", () => {
    expect(getSelfTestResults.decodeResponse(bytes("5500"))).to.include({ result: "passed", detail: 0 });
    expect(getSelfTestResults.decodeResponse(bytes("5788")).failures).to.deep.equal([
      "SDR repository empty",
      "cannot access SEL device",
    ]);
    expect(getSelfTestResults.decodeResponse(bytes("4201"))).to.deep.equal({
      result: "device-specific",
      resultCode: 0x42,
      detail: 1,
      failures: [],
    });
  });

  it("ACPI power state: tables 20-7, 20-8", () => {
    expect(hex(setAcpiPowerState.encodeRequest({ system: "S5" }))).to.equal("8500");
    expect(setAcpiPowerState.decodeRequest(bytes("a083"))).to.deep.equal({ system: "legacy on", device: "D3" });
    expect(getAcpiPowerState.decodeResponse(bytes("2a00"))).to.deep.equal({ system: "unknown", device: "D0" });
    expect(getAcpiPowerState.decodeResponse(bytes("557f"))).to.deep.equal({ system: "unknown", device: "unknown" });
  });

  it("users: `user set name`, `set password`, `enable`, `disable`, `test`, `priv`, `channel setaccess`", () => {
    const name = "0570726f76000000000000000000000000";
    expect(hex(setUserName.encodeRequest({ userId: 5, name: "prov" }))).to.equal(name);
    expect(setUserName.decodeRequest(bytes(name))).to.deep.equal({ userId: 5, name: "prov" });
    expect(getUserName.decodeResponse(bytes("61646d696e0000000000000000000000"))).to.deep.equal({ name: "admin" });
    const password = Buffer.from("geheim");
    expect(hex(setUserPassword.encodeRequest({ userId: 5, operation: "set", password, size: 16 }))).to.equal(
      "050267656865696d00000000000000000000",
    );
    const long = Buffer.from("geheimgeheimgeheim");
    expect(hex(setUserPassword.encodeRequest({ userId: 5, operation: "set", password: long, size: 20 }))).to.equal(
      "850267656865696d67656865696d67656865696d0000",
    );
    expect(hex(setUserPassword.encodeRequest({ userId: 5, operation: "test", password, size: 16 }))).to.equal(
      "050367656865696d00000000000000000000",
    );
    const zeroes = "00".repeat(16);
    expect(hex(setUserPassword.encodeRequest({ userId: 5, operation: "enable" }))).to.equal(`0501${zeroes}`);
    expect(hex(setUserPassword.encodeRequest({ userId: 5, operation: "disable" }))).to.equal(`0500${zeroes}`);
    // The password may be left out of these two (22.30), not of the others.
    expect(setUserPassword.decodeRequest(bytes("0501"))).to.deep.equal({ userId: 5, operation: "enable" });
    expect(() => setUserPassword.decodeRequest(bytes("0502"))).to.throw(WireError);
    const rights = { isRestrictedToCallback: false, hasLinkAuthentication: true, hasIpmiMessaging: true };
    const access = { channel: 1, userId: 5, privilegeLimit: 4, rights };
    // ipmitool adds the session limit, a byte that may be left out.
    expect(hex(setUserAccess.encodeRequest(access))).to.equal("b10504");
    expect(setUserAccess.decodeRequest(bytes("b1050400"))).to.deep.equal(access);
    expect(hex(setUserAccess.encodeRequest({ channel: 1, userId: 5, privilegeLimit: 4 }))).to.equal("010504");
    expect(getUserAccess.decodeResponse(bytes("3f020114"))).to.deep.equal({
      maxUserIds: 63,
      enabledUserIds: 2,
      status: "unspecified",
      fixedNames: 1,
      isRestrictedToCallback: false,
      hasLinkAuthentication: false,
      hasIpmiMessaging: true,
      privilegeLimit: 4,
    });
    expect(getUserAccess.decodeResponse(bytes("0a82002f")).status).to.equal("disabled");
  });

  it("channels: `channel info`, ipmi_sim's answers; table 22-28", () => {
    expect(hex(getChannelAccess.encodeRequest({ channel: 1, store: "volatile" }))).to.equal("0180");
    expect(hex(getChannelAccess.encodeRequest({ channel: 1, store: "non-volatile" }))).to.equal("0140");
    expect(getChannelAccess.decodeResponse(bytes("0204"))).to.deep.equal({
      mode: "always-available",
      hasAlerting: true,
      hasPerMessageAuthentication: true,
      hasUserLevelAuthentication: true,
      privilegeLimit: 4,
    });
    expect(getChannelAccess.decodeResponse(bytes("3804"))).to.include({ mode: "disabled", hasAlerting: false });
    expect(hex(setChannelAccess.encodeRequest({ channel: 1, store: "volatile", privilegeLimit: 3 }))).to.equal(
      "010083",
    );
    expect(setChannelAccess.decodeRequest(bytes("016200"))).to.deep.equal({
      channel: 1,
      store: "non-volatile",
      settings: {
        mode: "always-available",
        hasAlerting: false,
        hasPerMessageAuthentication: true,
        hasUserLevelAuthentication: true,
      },
    });
    expect(getChannelInfo.decodeResponse(bytes("01040181f21b000000"))).to.deep.equal({
      channel: 1,
      medium: 4,
      protocol: 1,
      sessions: "multiple",
      activeSessions: 1,
      vendorId: 7154,
      auxiliary: bytes("0000"),
    });
  });

  it("LAN parameters: `lan set 1 ipaddr|vlan id`, ipmi_sim's cipher suites", () => {
    const ipAddress = { channel: 1, parameter: 3, data: LAN_PARAMETER.ipAddress.encode("10.0.0.9") };
    expect(hex(setLanConfigurationParameters.encodeRequest(ipAddress))).to.equal("01030a000009");
    expect(hex(getLanConfigurationParameters.encodeRequest({ channel: 1, parameter: 3 }))).to.equal("01030000");
    const answer = getLanConfigurationParameters.decodeResponse(bytes("110a000009"));
    expect(LAN_PARAMETER.ipAddress.decode(answer.data)).to.equal("10.0.0.9");
    expect(hex(LAN_PARAMETER.vlanId.encode({ isEnabled: true, id: 5 }))).to.equal("0580");
    expect(LAN_PARAMETER.vlanId.decode(bytes("0580"))).to.deep.equal({ isEnabled: true, id: 5 });
    expect(LAN_PARAMETER.authenticationTypeEnables.decode(bytes("1717171700")).operator).to.equal(0x17);
    expect(LAN_PARAMETER.cipherSuites.decode(bytes("000102030405060708090a0b0c0d0e0f10"))).to.have.lengthOf(16);
    expect(LAN_PARAMETER.cipherSuitePrivileges.decode(bytes("002344444444444444"))).to.deep.equal([
      3,
      2,
      ...Array.from({ length: 14 }, () => 4),
    ]);
    expect(LAN_PARAMETER.ipAddressSource.decode(bytes("02"))).to.equal("dhcp");
    expect(LAN_PARAMETER.macAddress.decode(bytes("0252540000ff"))).to.equal("02:52:54:00:00:ff");
    for (const wrong of ["10.0.0", "10.0.0.256", "10.0.0.0x1", "10.0.0.1.2", "", "a.b.c.d"]) {
      expect(() => LAN_PARAMETER.ipAddress.encode(wrong), wrong).to.throw(WireError);
    }
  });

  it("watchdog: `watchdog off`, ipmi_sim's answer without the present countdown", () => {
    const off = { use: "sms-os", action: "none", countdownMs: 300_000, clearExpirations: ["sms-os"] } as const;
    expect(hex(setWatchdogTimer.encodeRequest(off))).to.equal("04000010b80b");
    expect(getWatchdogTimer.decodeResponse(bytes("04000000b80b"))).to.deep.equal({
      use: "sms-os",
      action: "none",
      isRunning: false,
      dontLog: false,
      pretimeout: "none",
      pretimeoutSeconds: 0,
      expirations: [],
      countdownMs: 300_000,
      presentCountdownMs: undefined,
    });
    // Table 27-7, by hand: running, BIOS/POST, NMI 10 s before a hard reset; OS load has expired; 60 of 100 s left.
    expect(getWatchdogTimer.decodeResponse(bytes("c221" + "0a" + "08" + "e803" + "5802"))).to.deep.equal({
      use: "bios-post",
      action: "hard-reset",
      isRunning: true,
      dontLog: true,
      pretimeout: "nmi",
      pretimeoutSeconds: 10,
      expirations: ["os-load"],
      countdownMs: 100_000,
      presentCountdownMs: 60_000,
    });
  });

  it("DCMI: `dcmi power reading`; answer of DCMI 1.5, table 6-16", () => {
    expect(hex(getPowerReading.encodeRequest())).to.equal("dc010000");
    const answer = "dc" + "7800" + "0800" + "2c01" + "6400" + "78563412" + "e8030000" + "40";
    expect(getPowerReading.decodeResponse(bytes(answer))).to.deep.equal({
      currentWatts: 120,
      minimumWatts: 8,
      maximumWatts: 300,
      averageWatts: 100,
      timestamp: 0x12345678,
      periodMs: 1000,
      isActive: true,
    });
    expect(() => getPowerReading.decodeResponse(bytes(`00${answer.slice(2)}`))).to.throw(WireError, "another group");
    expect(getDcmiCapabilitiesInfo.decodeResponse(bytes("dc010502000100"))).to.deep.equal({
      version: "1.5",
      parameterRevision: 2,
      data: bytes("000100"),
    });
  });

  it("Send Message: `-t 0x2c -b 0 raw 6 1`, and how ipmi_sim hands the response on", () => {
    const asked = bytes("402c18bc81180166");
    const { channel, message } = sendMessage.decodeRequest(asked);
    expect(channel).to.equal(0);
    expect(message).to.deep.include({ targetAddress: 0x2c, netFn: 6, sourceAddress: 0x81, sequence: 6, command: 1 });
    expect(hex(sendMessage.encodeRequest({ channel, message }))).to.equal(hex(asked));
    const bridged = bridgedCommand(getDeviceId, { address: 0x2c });
    // As ipmitool's, but that the requester on the IPMB is the BMC (22.7), not the console.
    const ours = sendMessage.decodeRequest(bridged.encodeRequest(undefined, 6)).message;
    expect(ours).to.deep.equal({ ...message, sourceAddress: 0x20 });
    // First that it was handed on, then the response as a message of its own, under the number the request had.
    const handedOn = decodeMessage(bytes("811c6320083400a4"));
    expect(bridged.readAnswer?.(handedOn)).to.equal(undefined);
    const response = decodeMessage(bytes("201cc430080100000101020229911200030f00000000e3"));
    const data = bridged.readAnswer?.(response);
    expect(data?.[0]).to.equal(0);
    expect(getDeviceId.decodeResponse(bytes(hex(data ?? bytes("")).slice(2))).productId).to.equal(3843);
  });

  it("valid bit clearing: bits of table 28-14, parameter 3", () => {
    expect(hex(encodeValidBitClearing(["no-control", "watchdog"]))).to.equal("0c");
    expect(hex(encodeValidBitClearing([]))).to.equal("00");
  });
});
