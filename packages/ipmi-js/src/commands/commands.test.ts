// Command codecs. Bytes from ipmitool 1.8.19 and ipmi_sim (test/vectors and `ipmitool raw`), or by hand from the named tables.
import { expect } from "chai";
import { WireError } from "../wire/wire-error.ts";
import { decodeBootFlags, encodeBootFlags } from "./boot-flags.ts";
import { chassisControl } from "./chassis-control.ts";
import { closeSession } from "./close-session.ts";
import { getChannelAuthenticationCapabilities } from "./get-channel-authentication-capabilities.ts";
import {
  decodeCipherSuiteRecords,
  encodeCipherSuiteRecord,
  getChannelCipherSuites,
} from "./get-channel-cipher-suites.ts";
import { getChassisStatus } from "./get-chassis-status.ts";
import { getDeviceId } from "./get-device-id.ts";
import { getSystemBootOptions } from "./get-system-boot-options.ts";
import { setSessionPrivilegeLevel } from "./set-session-privilege-level.ts";
import { setSystemBootOptions } from "./set-system-boot-options.ts";

const bytes = (hex: string) => Buffer.from(hex, "hex");

describe("command codecs", () => {
  it("Get Channel Authentication Capabilities: what ipmitool asks and ipmi_sim answers", () => {
    expect(getChannelAuthenticationCapabilities.encodeRequest({ privilege: 4 }).toString("hex")).to.equal("8e04");
    expect(getChannelAuthenticationCapabilities.decodeResponse(bytes("0197060300000000"))).to.deep.equal({
      channel: 1,
      supportsV20: true,
      supportsV15: true,
      v15AuthenticationTypes: 0x17,
      needsKg: false,
      hasNamedUsers: true,
      hasNullUsers: true,
      hasAnonymousLogin: false,
    });
    // An IPMI 1.5 BMC leaves the extended bit clear: the version bits mean nothing.
    expect(getChannelAuthenticationCapabilities.decodeResponse(bytes("0117060300000000")).supportsV20).to.equal(false);
  });

  it("Get Channel Cipher Suites: records of table 22-19, vendor records passed over", () => {
    expect(getChannelCipherSuites.encodeRequest({ listIndex: 1 }).toString("hex")).to.equal("0e0081");
    const list = bytes("c003014181c180112233014181c011034481c00101");
    expect(decodeCipherSuiteRecords(list)).to.deep.equal([
      { id: 3, algorithms: { authentication: 1, integrity: 1, confidentiality: 1 } },
      { id: 17, algorithms: { authentication: 3, integrity: 4, confidentiality: 1 } },
      { id: 1, algorithms: { authentication: 1, integrity: 0, confidentiality: 0 } },
    ]);
    const suite17 = { id: 17, algorithms: { authentication: 3, integrity: 4, confidentiality: 1 } };
    expect(encodeCipherSuiteRecord(suite17).toString("hex")).to.equal("c011034481");
  });

  it("Get Device ID: what ipmi_sim answers", () => {
    // "Firmware Revision 9.08, IPMI 2.0, Manufacturer 4753, Product 3842" says ipmitool of these bytes.
    const answer = getDeviceId.decodeResponse(bytes("00030908029f911200020f00000000"));
    expect(answer).to.deep.equal({
      deviceId: 0,
      deviceRevision: 3,
      hasSdrs: false,
      isAvailable: true,
      firmwareRevision: "9.08",
      ipmiVersion: "2.0",
      additionalSupport: 0x9f,
      manufacturerId: 4753,
      productId: 3842,
    });
    expect(getDeviceId.encodeResponse(answer).toString("hex")).to.equal("00030908029f911200020f00000000");
    // A minor revision that is no BCD, as ipmitool has it ("%u.%02x"): 9.15 would be that of 15h.
    const binary = getDeviceId.decodeResponse(bytes("0003090f029f911200020f00000000"));
    expect(binary.firmwareRevision).to.equal("9.0f");
    expect(getDeviceId.encodeResponse(binary)[3]).to.equal(0x0f);
  });

  it("Get Chassis Status: bits of table 28-3", () => {
    expect(getChassisStatus.decodeResponse(bytes("210000"))).to.deep.equal({
      isPowerOn: true,
      hasPowerOverload: false,
      hasPowerFault: false,
      hasPowerControlFault: false,
      powerRestorePolicy: "previous",
    });
    expect(getChassisStatus.decodeResponse(bytes("180000"))).to.include({
      isPowerOn: false,
      hasPowerFault: true,
      hasPowerControlFault: true,
      powerRestorePolicy: "always-off",
    });
    expect(() => getChassisStatus.decodeResponse(bytes(""))).to.throw(WireError);
  });

  it("Chassis Control: numbers of table 28-4", () => {
    const numbers = [
      "power-down",
      "power-up",
      "power-cycle",
      "hard-reset",
      "diagnostic-interrupt",
      "soft-shutdown",
    ] as const;
    for (const [number, action] of numbers.entries()) {
      expect(chassisControl.encodeRequest({ action })).to.deep.equal(Buffer.from([number]));
      expect(chassisControl.decodeRequest(Buffer.from([number]))).to.deep.equal({ action });
    }
    expect(() => chassisControl.decodeRequest(bytes("07"))).to.throw(WireError, "not defined");
  });

  it("boot flags: what `ipmitool chassis bootdev` writes", () => {
    expect(encodeBootFlags({ device: "pxe", persistent: false }).toString("hex")).to.equal("8004000000");
    expect(encodeBootFlags({ device: "pxe", persistent: true }).toString("hex")).to.equal("c004000000");
    expect(encodeBootFlags({ device: "disk", persistent: true, efi: true }).toString("hex")).to.equal("e008000000");
    expect(encodeBootFlags({ device: "cdrom", persistent: false }).toString("hex")).to.equal("8014000000");
    expect(encodeBootFlags({ device: "bios", persistent: false }).toString("hex")).to.equal("8018000000");
    expect(encodeBootFlags({ device: "safe", persistent: true, efi: true }).toString("hex")).to.equal("e00c000000");
    expect(encodeBootFlags({ device: "none", persistent: false }).toString("hex")).to.equal("8000000000");
    // ipmi_sim keeps the device and clears the valid bit.
    const kept = decodeBootFlags(bytes("0004000000"));
    expect(kept).to.deep.equal({ isValid: false, persistent: false, efi: false, device: "pxe" });
    expect(decodeBootFlags(bytes("802c000000")).device).to.equal("other");
  });

  it("boot options: selector, version, lock bit (28.12, 28.13)", () => {
    const request = { parameter: 5, data: bytes("8004000000") };
    expect(setSystemBootOptions.encodeRequest(request).toString("hex")).to.equal("058004000000");
    expect(getSystemBootOptions.encodeRequest({ parameter: 5 }).toString("hex")).to.equal("050000");
    const answer = getSystemBootOptions.decodeResponse(bytes("01858004000000"));
    expect(answer).to.deep.equal({ parameter: 5, isValid: false, data: bytes("8004000000") });
  });

  it("sessions: privilege and close (22.18, 22.19)", () => {
    expect(setSessionPrivilegeLevel.encodeRequest({ privilege: 4 }).toString("hex")).to.equal("04");
    expect(setSessionPrivilegeLevel.decodeResponse(bytes("04"))).to.deep.equal({ privilege: 4 });
    expect(closeSession.encodeRequest({ bmcSessionId: 0x01020304 }).toString("hex")).to.equal("04030201");
  });
});
