// The machine behind a simulated BMC: power through the owner's callbacks, boot options (IPMI 2.0, 28.2, 28.3, 28.12, 28.13).
import {
  BOOT_PARAMETER,
  type BootFlags,
  decodeBootFlags,
  KEEP_VALID_WITHOUT_CONTROL,
  withoutValidBit,
} from "../commands/boot-flags.ts";
import type { ChassisControlAction } from "../commands/chassis-control.ts";
import type { ChassisStatus, PowerRestorePolicy } from "../commands/get-chassis-status.ts";
import type { SystemRestartCauseName } from "../commands/get-system-restart-cause.ts";
import type { SimulatorFaults } from "./faults.ts";

/** Boot flags as the owner of the machine is told them; `none`: boot as the firmware likes. */
export type SimulatedBootDevice = Pick<BootFlags, "device" | "persistent" | "efi">;

/** The machine, as its owner plays it. Callbacks may take their time; a BMC's answer waits for them for half a second. */
export interface SimulatorHandlers {
  /** True if the machine is on. */
  getPower(): boolean | Promise<boolean>;
  /** Called for one action at a time. `power-cycle`, `hard-reset`, `diagnostic-interrupt` and `soft-shutdown` only while it is on. */
  setPower(action: ChassisControlAction): void | Promise<void>;
  /** Called when the boot flags change, and with `none` when flags meant for one boot are used up. */
  setBootDevice?(setting: SimulatedBootDevice): void | Promise<void>;
  /** Called when the machine shall show itself for so many seconds, 0 for not any more, or until it is told to stop. */
  identify?(request: { readonly intervalSeconds: number; readonly forceOn: boolean }): void | Promise<void>;
}

const UNSPECIFIED_ERROR = 0xff;
const NOT_IN_THIS_STATE = 0xd5;
const INVALID_DATA_FIELD = 0xcc;
const REQUEST_LENGTH_INVALID = 0xc7;
const PARAMETER_NOT_SUPPORTED = 0x80;
const ANSWER_WITHIN_MS = 500;
/** The BMC drops flags that no power command follows (table 28-14, parameter 3). */
const VALID_BIT_LIFE_MS = 60_000;
/** Bytes of each boot option parameter: set in progress to boot initiator mailbox's first block. */
const PARAMETER_LENGTHS = [1, 1, 1, 1, 2, 5, 9, 18];
const NO_OVERRIDE: SimulatedBootDevice = { device: "none", persistent: false, efi: false };

/** Keeps the order of power actions and the boot options; answers with completion codes. */
export class SimulatedChassis {
  /** What the BMC was told to do when the mains come back. */
  powerRestorePolicy: PowerRestorePolicy = "previous";
  /** Why the machine started last. */
  restartCause: SystemRestartCauseName = "unknown";
  readonly #handlers: SimulatorHandlers;
  readonly #faults: SimulatorFaults;
  readonly #parameters = PARAMETER_LENGTHS.map((length) => Buffer.alloc(length));
  readonly #timers = new Map<NodeJS.Timeout, () => void>();
  #bootFlagsSetAt = 0;
  #actions: Promise<number> = Promise.resolve(0);
  #isClosed = false;

  constructor(handlers: SimulatorHandlers, faults: SimulatorFaults) {
    this.#handlers = handlers;
    this.#faults = faults;
  }

  async getStatus(): Promise<ChassisStatus> {
    const { lyingStatus } = this.#faults;
    const isPowerOn = lyingStatus === undefined ? await this.#handlers.getPower() : lyingStatus === "on";
    return {
      isPowerOn,
      hasPowerOverload: false,
      hasPowerFault: false,
      hasPowerControlFault: false,
      powerRestorePolicy: this.powerRestorePolicy,
    };
  }

  /** Completion code of the action: once it is done, or 0 after half a second, as BMCs accept and act later. */
  async control(action: ChassisControlAction, cause: SystemRestartCauseName = "chassis-control"): Promise<number> {
    const needsPower = action !== "power-up" && action !== "power-down";
    const slowPowerMs = this.#faults.slowPowerMs ?? 0;
    const done = this.#actions.then(async () => {
      if (slowPowerMs > 0) await this.#wait(slowPowerMs);
      if (this.#isClosed) return 0;
      const isOn = await this.#handlers.getPower();
      if (needsPower && !isOn) return NOT_IN_THIS_STATE;
      this.#expireBootFlags();
      await this.#handlers.setPower(action);
      const isBoot = action === "power-cycle" || action === "hard-reset" || (action === "power-up" && !isOn);
      if (isBoot) {
        this.restartCause = cause;
        await this.#useUpBootFlags();
      }
      return 0;
    });
    this.#actions = done.catch(() => UNSPECIFIED_ERROR);
    const limit = slowPowerMs > 0 ? 0 : ANSWER_WITHIN_MS;
    return Promise.race([this.#actions, this.#wait(limit).then(() => 0)]);
  }

  /** Lets the machine show itself. */
  async identify(intervalSeconds: number, forceOn: boolean): Promise<void> {
    await this.#handlers.identify?.({ intervalSeconds, forceOn });
  }

  async setBootOption(parameter: number, data: Buffer): Promise<number> {
    const kept = this.#parameters[parameter];
    if (kept === undefined) return PARAMETER_NOT_SUPPORTED;
    if (parameter !== BOOT_PARAMETER.bootFlags) {
      if (data.length === 0) return REQUEST_LENGTH_INVALID;
      data.copy(kept, 0, 0, kept.length);
      return 0;
    }
    if (data.length < kept.length) return REQUEST_LENGTH_INVALID;
    if (this.#faults.refusesBootDevice) return INVALID_DATA_FIELD;
    if (this.#faults.forgetsBootDevice) return 0;
    data.copy(kept, 0, 0, kept.length);
    this.#bootFlagsSetAt = performance.now();
    const { isValid, device, persistent, efi } = decodeBootFlags(kept);
    await this.#handlers.setBootDevice?.(isValid ? { device, persistent, efi } : NO_OVERRIDE);
    return 0;
  }

  getBootOption(parameter: number): Buffer | undefined {
    this.#expireBootFlags();
    return this.#parameters[parameter];
  }

  /** Lets the action under way end, drops those that wait for their slow power. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const [timer, wake] of this.#timers) {
      clearTimeout(timer);
      wake();
    }
    this.#timers.clear();
    await this.#actions;
  }

  /** Flags meant for one boot are void after it. */
  async #useUpBootFlags(): Promise<void> {
    const kept = this.#bootFlags();
    const { isValid, persistent } = decodeBootFlags(kept);
    if (!isValid || persistent) return;
    withoutValidBit(kept).copy(kept);
    await this.#handlers.setBootDevice?.(NO_OVERRIDE);
  }

  #expireBootFlags(): void {
    const kept = this.#bootFlags();
    const { isValid, persistent } = decodeBootFlags(kept);
    const keep = (this.#parameters[BOOT_PARAMETER.validBitClearing]?.[0] ?? 0) & KEEP_VALID_WITHOUT_CONTROL;
    if (!isValid || persistent || keep !== 0) return;
    if (performance.now() - this.#bootFlagsSetAt > VALID_BIT_LIFE_MS) withoutValidBit(kept).copy(kept);
  }

  #bootFlags(): Buffer {
    return this.#parameters[BOOT_PARAMETER.bootFlags] ?? Buffer.alloc(5);
  }

  #wait(ms: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
      }, ms);
      this.#timers.set(timer, resolve);
    });
  }
}
