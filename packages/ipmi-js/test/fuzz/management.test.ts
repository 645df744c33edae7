// Hostile bytes for the management commands: decoders throw WireError and nothing else, values round-trip, and the
// simulator answers whatever a session sends it.
import { expect } from "chai";
import fc from "fast-check";
import { getAcpiPowerState, setAcpiPowerState } from "../../src/commands/acpi-power-state.ts";
import { coldReset, warmReset } from "../../src/commands/bmc-reset.ts";
import { getChannelAccess, setChannelAccess } from "../../src/commands/channel-access.ts";
import { chassisIdentify } from "../../src/commands/chassis-identify.ts";
import type { Command } from "../../src/commands/command.ts";
import { getDcmiCapabilitiesInfo, getPowerReading } from "../../src/commands/dcmi.ts";
import { getChannelInfo } from "../../src/commands/get-channel-info.ts";
import { getDeviceId } from "../../src/commands/get-device-id.ts";
import { getDeviceGuid, getSystemGuid } from "../../src/commands/get-guid.ts";
import { getPohCounter } from "../../src/commands/get-poh-counter.ts";
import { getSelfTestResults } from "../../src/commands/get-self-test-results.ts";
import { getSystemRestartCause } from "../../src/commands/get-system-restart-cause.ts";
import {
  getLanConfigurationParameters,
  setLanConfigurationParameters,
} from "../../src/commands/lan-configuration-parameters.ts";
import { LAN_PARAMETER, type LanParameter } from "../../src/commands/lan-parameters.ts";
import { bridgedCommand, sendMessage } from "../../src/commands/send-message.ts";
import { setPowerRestorePolicy } from "../../src/commands/set-power-restore-policy.ts";
import { setUserPassword } from "../../src/commands/set-user-password.ts";
import { getUserAccess, setUserAccess } from "../../src/commands/user-access.ts";
import { getUserName, setUserName } from "../../src/commands/user-name.ts";
import { getWatchdogTimer, resetWatchdogTimer, setWatchdogTimer } from "../../src/commands/watchdog-timer.ts";
import { openSession } from "../../src/open-session.ts";
import { raw } from "../../src/raw.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/message.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";
import { RUNS, unlessWireError } from "./decoders.ts";

const COMMANDS: readonly Command<unknown, unknown>[] = [
  chassisIdentify,
  setPowerRestorePolicy,
  getSystemRestartCause,
  getPohCounter,
  getDeviceGuid,
  getSystemGuid,
  getSelfTestResults,
  setAcpiPowerState,
  getAcpiPowerState,
  coldReset,
  warmReset,
  setLanConfigurationParameters,
  getLanConfigurationParameters,
  setUserAccess,
  getUserAccess,
  setUserName,
  getUserName,
  setUserPassword,
  setChannelAccess,
  getChannelAccess,
  getChannelInfo,
  resetWatchdogTimer,
  setWatchdogTimer,
  getWatchdogTimer,
  getPowerReading,
  getDcmiCapabilitiesInfo,
  sendMessage,
] as never;
const PARAMETERS = Object.values(LAN_PARAMETER) as unknown as readonly LanParameter<unknown>[];

const anyBytes = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));

/** What is decoded is the same after it was encoded and decoded again. */
function isStable<T>(bytes: Buffer, decode: (bytes: Buffer) => T, encode: (value: T) => Buffer): void {
  const value = unlessWireError(() => decode(bytes));
  if (value !== undefined) expect(decode(encode(value))).to.deep.equal(value);
}

describe("hostile bytes for the management commands", () => {
  const closing = closeAfterEach();

  for (const command of COMMANDS) {
    it(`${command.name}: requests and responses throw WireError or are stable`, () => {
      fc.assert(
        fc.property(anyBytes, (bytes) => {
          isStable(bytes, command.decodeRequest, (request) => command.encodeRequest(request));
          // A response's reserved values become "unknown", "reserved" and their like, which have no bytes of their own.
          unlessWireError(() => command.decodeResponse(bytes));
        }),
        RUNS,
      );
    });
  }

  it("LAN parameters throw WireError or are stable", () => {
    fc.assert(
      fc.property(anyBytes, fc.constantFrom(...PARAMETERS), (bytes, parameter) => {
        const value = unlessWireError(() => parameter.decode(bytes));
        if (value === undefined) return;
        const encoded = parameter.encode(value);
        expect(parameter.encode(parameter.decode(encoded))).to.deep.equal(encoded);
      }),
      RUNS,
    );
  });

  it("what a BMC hands back for a bridged command: an answer, no answer, or a WireError", () => {
    const bridged = bridgedCommand(getDeviceId, { address: 0x2c });
    const header = { targetAddress: 0x81, targetLun: 0, sourceAddress: 0x20, sequence: 1, sourceLun: 0 };
    const outer = fc.record({ netFn: fc.constantFrom(6, 7), command: fc.constantFrom(0x34, 0x01), data: anyBytes });
    fc.assert(
      fc.property(outer, (message) => {
        const answer = unlessWireError(() => bridged.readAnswer?.({ ...header, ...message }));
        if (answer !== undefined) expect(answer.length).to.be.greaterThan(0);
      }),
      RUNS,
    );
    const inner = encodeMessage({ ...header, netFn: 7, command: 1, data: Buffer.from([0, 9]) });
    const whole = { ...header, netFn: 7, command: 0x34, data: Buffer.concat([Buffer.from([0]), inner]) };
    expect(bridged.readAnswer?.(whole)).to.deep.equal(Buffer.from([0, 9]));
    expect(decodeMessage(bridged.encodeRequest(undefined, 5).subarray(1)).sequence).to.equal(5);
  });

  it("the simulator answers whatever a session asks, and lives on", async () => {
    const { simulator } = await startSimulator();
    const { address, port } = closing(simulator);
    const session = closing(await openSession({ address, port, ...CREDENTIALS }));
    const harmless = COMMANDS.filter((command) => command !== coldReset && command !== setUserPassword);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...harmless), anyBytes, async ({ netFn, code }, data) => {
        const { completionCode } = await raw(session, netFn, code, data);
        expect(completionCode).to.be.oneOf([0, 0x80, 0x81, 0x82, 0x83, 0xc7, 0xc9, 0xcc, 0xff]);
      }),
      RUNS,
    );
    expect((await session.execute(getSelfTestResults, undefined)).result).to.equal("passed");
    await session.close();
  });
});
