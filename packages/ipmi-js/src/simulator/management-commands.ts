// The management commands of a simulated BMC: identify, resets, users, channels, LAN settings, watchdog, DCMI, bridging.
import { type AcpiPowerState, getAcpiPowerState, setAcpiPowerState } from "../commands/acpi-power-state.ts";
import { coldReset, warmReset } from "../commands/bmc-reset.ts";
import { type ChannelAccess, getChannelAccess, setChannelAccess } from "../commands/channel-access.ts";
import { chassisIdentify } from "../commands/chassis-identify.ts";
import { PRESENT_CHANNEL, PRIVILEGE_LEVEL } from "../commands/command.ts";
import { getDcmiCapabilitiesInfo, getPowerReading } from "../commands/dcmi.ts";
import { type ChannelInfo, getChannelInfo } from "../commands/get-channel-info.ts";
import { getDeviceGuid, getSystemGuid } from "../commands/get-guid.ts";
import { getPohCounter } from "../commands/get-poh-counter.ts";
import { getSelfTestResults, type SelfTestResults } from "../commands/get-self-test-results.ts";
import { getSystemRestartCause } from "../commands/get-system-restart-cause.ts";
import {
  getLanConfigurationParameters,
  LAN_PARAMETER_NOT_SUPPORTED,
  setLanConfigurationParameters,
} from "../commands/lan-configuration-parameters.ts";
import { NAK_ON_WRITE, sendMessage } from "../commands/send-message.ts";
import { setPowerRestorePolicy } from "../commands/set-power-restore-policy.ts";
import { setUserPassword } from "../commands/set-user-password.ts";
import { getUserAccess, setUserAccess } from "../commands/user-access.ts";
import { getUserName, setUserName } from "../commands/user-name.ts";
import {
  getWatchdogTimer,
  resetWatchdogTimer,
  setWatchdogTimer,
  type WatchdogAction,
} from "../commands/watchdog-timer.ts";
import type { SimulatedChassis } from "./chassis.ts";
import type { AddCommand } from "./command-table.ts";
import { type LanIdentity, SimulatedLan } from "./lan-settings.ts";
import { ofCode, orRefusal } from "./outcome.ts";
import { askSatellite } from "./satellite.ts";
import type { SimulatedUsers } from "./users.ts";
import { SimulatedWatchdog } from "./watchdog.ts";

/** What the management commands need of their simulator. */
export interface ManagementParts extends LanIdentity {
  readonly chassis: SimulatedChassis;
  readonly users: SimulatedUsers;
  /** Active sessions now. */
  sessionCount(): number;
  /** The BMC starts anew. */
  coldReset(): void;
}

const LAN_CHANNEL = 1;
const IPMB_CHANNEL = 0;
const INVALID_DATA_FIELD = 0xcc;
const NO_SESSIONS_ON_CHANNEL = 0x82;
const PARAMETER_OUT_OF_RANGE = 0xc9;
const DEFAULT_IDENTIFY_SECONDS = 15;
const WATTS_ON = 120;
const WATTS_OFF = 8;
const MINUTES_PER_POH = 60;
const IPMI_VENDOR = 7154;

/** By parameter: power management; no SEL; the BMC's address and revision; the primary LAN channel only; no averages. */
const DCMI_CAPABILITIES: Readonly<Record<number, readonly number[]>> = {
  1: [0x00, 0x01, 0x00],
  2: [0x00, 0x00, 0x00, 0x00, 0x00],
  3: [0x20, 0x01],
  4: [LAN_CHANNEL, 0xff, 0xff],
  5: [0x00],
};

const SELF_TEST_PASSED: SelfTestResults = { result: "passed", resultCode: 0x55, detail: 0, failures: [] };
const OPEN_ACCESS: ChannelAccess = {
  mode: "always-available",
  hasAlerting: false,
  hasPerMessageAuthentication: true,
  hasUserLevelAuthentication: true,
  privilegeLimit: PRIVILEGE_LEVEL.administrator,
};

/** The state behind the management commands of one BMC. */
export class SimulatedManagement {
  readonly #parts: ManagementParts;
  readonly #lan: SimulatedLan;
  readonly #watchdog: SimulatedWatchdog;
  readonly #access = { "non-volatile": OPEN_ACCESS, volatile: OPEN_ACCESS };
  readonly #startedAtMs = performance.now();
  #acpi: Partial<AcpiPowerState> = {};

  constructor(parts: ManagementParts) {
    this.#parts = parts;
    this.#lan = new SimulatedLan(parts);
    this.#watchdog = new SimulatedWatchdog((action) => void this.#bark(action));
  }

  /** Ends the watchdog. */
  close(): void {
    this.#watchdog.stop();
  }

  /** Registers all the commands. */
  addCommands(add: AddCommand): void {
    this.#addChassis(add);
    this.#addController(add);
    this.#addUsers(add);
    this.#addChannels(add);
    this.#addWatchdog(add);
    this.#addDcmi(add);
  }

  #addChassis(add: AddCommand): void {
    const { chassis } = this.#parts;
    add(chassisIdentify, false, async ({ intervalSeconds = DEFAULT_IDENTIFY_SECONDS, forceOn = false }) => {
      await chassis.identify(intervalSeconds, forceOn);
      return ofCode(0);
    });
    add(setPowerRestorePolicy, false, ({ policy }) => {
      if (policy !== "no-change") chassis.powerRestorePolicy = policy;
      return { response: { alwaysOff: true, previous: true, alwaysOn: true } };
    });
    add(getSystemRestartCause, false, () => ({ response: { cause: chassis.restartCause, channel: LAN_CHANNEL } }));
    add(getPohCounter, false, () => {
      const minutes = (performance.now() - this.#startedAtMs) / 60_000;
      return { response: { minutesPerCount: MINUTES_PER_POH, counts: Math.floor(minutes / MINUTES_PER_POH) } };
    });
  }

  #addController(add: AddCommand): void {
    const { guid, chassis } = this.#parts;
    add(getSystemGuid, false, () => ({ response: guid }));
    add(getDeviceGuid, false, () => ({ response: guid }));
    add(getSelfTestResults, false, () => ({ response: SELF_TEST_PASSED }));
    add(setAcpiPowerState, false, (states) => {
      this.#acpi = { ...this.#acpi, ...states };
      return ofCode(0);
    });
    add(getAcpiPowerState, false, async () => {
      const { isPowerOn } = await chassis.getStatus();
      const present: AcpiPowerState = isPowerOn ? { system: "S0", device: "D0" } : { system: "S5", device: "D3" };
      return { response: { ...present, ...this.#acpi } };
    });
    add(coldReset, false, () => {
      this.#watchdog.stop();
      this.#lan.rollBack();
      this.#parts.coldReset();
      return ofCode(0);
    });
    add(warmReset, false, () => ofCode(0));
    add(sendMessage, false, ({ channel, message }) => {
      const answer = askSatellite(channel, message);
      return orRefusal(answer && { message: answer }, NAK_ON_WRITE);
    });
  }

  #addUsers(add: AddCommand): void {
    const { users } = this.#parts;
    add(setUserAccess, false, (request) =>
      ofCode(isLan(request.channel) ? users.setAccess(request) : INVALID_DATA_FIELD),
    );
    add(getUserAccess, false, ({ channel, userId }) =>
      orRefusal(isLan(channel) ? users.access(userId) : undefined, INVALID_DATA_FIELD),
    );
    add(setUserName, false, ({ userId, name }) => ofCode(users.setName(userId, name)));
    add(getUserName, false, ({ userId }) => {
      const name = users.name(userId);
      return orRefusal(name === undefined ? undefined : { name }, INVALID_DATA_FIELD);
    });
    add(setUserPassword, false, (request) => ofCode(users.setPassword(request)));
  }

  #addChannels(add: AddCommand): void {
    const accessRefusal = (channel: number): number => {
      if (isLan(channel)) return 0;
      return channel === IPMB_CHANNEL ? NO_SESSIONS_ON_CHANNEL : INVALID_DATA_FIELD;
    };
    add(getChannelInfo, false, ({ channel }) => orRefusal(this.#channelInfo(channel), INVALID_DATA_FIELD));
    add(getChannelAccess, false, ({ channel, store }) => {
      const refusal = accessRefusal(channel);
      return refusal === 0 ? { response: this.#access[store] } : { refusal };
    });
    add(setChannelAccess, false, ({ channel, store, settings, privilegeLimit }) => {
      const present = this.#access[store];
      const limit = privilegeLimit ?? present.privilegeLimit;
      const refusal = accessRefusal(channel);
      if (refusal === 0) this.#access[store] = { ...present, ...settings, privilegeLimit: limit };
      return ofCode(refusal);
    });
    add(setLanConfigurationParameters, false, ({ channel, parameter, data }) =>
      ofCode(isLan(channel) ? this.#lan.set(parameter, data) : INVALID_DATA_FIELD),
    );
    add(getLanConfigurationParameters, false, ({ channel, parameter }) => {
      if (!isLan(channel)) return { refusal: INVALID_DATA_FIELD };
      const data = this.#lan.get(parameter);
      return orRefusal(data && { data }, LAN_PARAMETER_NOT_SUPPORTED);
    });
  }

  #addWatchdog(add: AddCommand): void {
    add(resetWatchdogTimer, false, () => ofCode(this.#watchdog.reset()));
    add(setWatchdogTimer, false, (request) => ofCode(this.#watchdog.set(request)));
    add(getWatchdogTimer, false, () => ({ response: this.#watchdog.get() }));
  }

  #addDcmi(add: AddCommand): void {
    add(getPowerReading, false, async () => {
      const { isPowerOn } = await this.#parts.chassis.getStatus();
      const watts = isPowerOn ? WATTS_ON : WATTS_OFF;
      return {
        response: {
          currentWatts: watts,
          minimumWatts: watts,
          maximumWatts: watts,
          averageWatts: watts,
          timestamp: Math.floor(Date.now() / 1000),
          periodMs: Math.round(performance.now() - this.#startedAtMs),
          isActive: true,
        },
      };
    });
    add(getDcmiCapabilitiesInfo, false, ({ parameter }) => {
      const data = DCMI_CAPABILITIES[parameter];
      if (data === undefined) return { refusal: PARAMETER_OUT_OF_RANGE };
      return { response: { version: "1.5", parameterRevision: 2, data: Buffer.from(data) } };
    });
  }

  #channelInfo(channel: number): ChannelInfo | undefined {
    const common = { vendorId: IPMI_VENDOR, auxiliary: Buffer.alloc(2), protocol: 1 };
    if (channel === IPMB_CHANNEL) {
      return { ...common, channel, medium: 1, sessions: "none", activeSessions: 0 };
    }
    if (!isLan(channel)) return undefined;
    const activeSessions = this.#parts.sessionCount();
    return { ...common, channel: LAN_CHANNEL, medium: 4, sessions: "multiple", activeSessions };
  }

  /** The watchdog's end. What the owner's callbacks throw is the machine's trouble, not the BMC's. */
  async #bark(action: WatchdogAction): Promise<void> {
    if (action !== "none") await this.#parts.chassis.control(action, "watchdog").catch(() => undefined);
  }
}

function isLan(channel: number): boolean {
  return channel === LAN_CHANNEL || channel === PRESENT_CHANNEL;
}
