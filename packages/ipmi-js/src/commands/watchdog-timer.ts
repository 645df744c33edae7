// Reset, Set and Get Watchdog Timer (IPMI 2.0, 27.5 to 27.7).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";

const USES = ["unspecified", "bios-frb2", "bios-post", "os-load", "sms-os", "oem"] as const;
const ACTIONS = ["none", "hard-reset", "power-down", "power-cycle"] as const;
const PRETIMEOUTS = ["none", "smi", "nmi", "messaging"] as const;
/** The countdown's unit on the wire, 100 ms; 16 bits of it. */
const TICK_MS = 100;
const MAX_TICKS = 0xffff;
const DONT_LOG = 0x80;
const RUNNING = 0x40;

/** Who uses the timer; the expiration flags are by use. */
export type WatchdogUse = (typeof USES)[number];
/** What happens at the end. */
export type WatchdogAction = (typeof ACTIONS)[number];
/** The interrupt before the end. */
export type WatchdogPretimeout = (typeof PRETIMEOUTS)[number];

export interface SetWatchdogTimerRequest {
  readonly use: WatchdogUse;
  readonly action: WatchdogAction;
  /** Countdown in milliseconds, in steps of 100, up to 6553500. */
  readonly countdownMs: number;
  /** Default `none`. */
  readonly pretimeout?: WatchdogPretimeout;
  /** Seconds before the end, 0 to 255. Default 0. */
  readonly pretimeoutSeconds?: number;
  /** No event when it expires. Default false. */
  readonly dontLog?: boolean;
  /** A timer that runs goes on, with the new countdown. Default false: Set stops it, Reset starts it. */
  readonly dontStop?: boolean;
  /** The expiration flags of these uses are cleared. Default none. */
  readonly clearExpirations?: readonly WatchdogUse[];
}

export interface WatchdogTimer {
  readonly use: WatchdogUse;
  readonly action: WatchdogAction;
  readonly isRunning: boolean;
  readonly dontLog: boolean;
  readonly pretimeout: WatchdogPretimeout;
  readonly pretimeoutSeconds: number;
  /** The uses it has expired for. */
  readonly expirations: readonly WatchdogUse[];
  readonly countdownMs: number;
  /** What is left of it; undefined if the BMC does not say (ipmi_sim). */
  readonly presentCountdownMs: number | undefined;
}

/** The timer was not set before. */
export const WATCHDOG_NOT_SET = 0x80;

export const resetWatchdogTimer: Command<void, void> = {
  name: "Reset Watchdog Timer",
  netFn: NET_FN.application,
  code: 0x22,
  privilege: PRIVILEGE_LEVEL.operator,
  completionCodes: { [WATCHDOG_NOT_SET]: "the watchdog timer was not set before" },
  ...NO_REQUEST_DATA,
  ...NO_RESPONSE_DATA,
};

export const setWatchdogTimer: Command<SetWatchdogTimerRequest, void> = {
  name: "Set Watchdog Timer",
  netFn: NET_FN.application,
  code: 0x24,
  privilege: PRIVILEGE_LEVEL.operator,
  encodeRequest(request) {
    const flags = (request.dontLog ? DONT_LOG : 0) | (request.dontStop ? RUNNING : 0);
    const bytes = Buffer.alloc(6);
    writeTimer(bytes, flags, request);
    bytes[3] = expirationBits(request.clearExpirations ?? []);
    bytes.writeUInt16LE(ticks(request.countdownMs), 4);
    return bytes;
  },
  decodeRequest(data) {
    requireLength(data, 6, "a Set Watchdog Timer request");
    const flags = data.readUInt8(0);
    return {
      ...readTimer(data),
      dontStop: (flags & RUNNING) !== 0,
      clearExpirations: expirationUses(data.readUInt8(3)),
      countdownMs: data.readUInt16LE(4) * TICK_MS,
    };
  },
  // ipmi_sim adds bytes of its memory: whatever comes is not looked at.
  ...NO_RESPONSE_DATA,
};

export const getWatchdogTimer: Command<void, WatchdogTimer> = {
  name: "Get Watchdog Timer",
  netFn: NET_FN.application,
  code: 0x25,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse(timer) {
    const flags = (timer.dontLog ? DONT_LOG : 0) | (timer.isRunning ? RUNNING : 0);
    const hasPresent = timer.presentCountdownMs !== undefined;
    const bytes = Buffer.alloc(hasPresent ? 8 : 6);
    writeTimer(bytes, flags, timer);
    bytes[3] = expirationBits(timer.expirations);
    bytes.writeUInt16LE(ticks(timer.countdownMs), 4);
    if (hasPresent) bytes.writeUInt16LE(ticks(timer.presentCountdownMs ?? 0), 6);
    return bytes;
  },
  decodeResponse(data) {
    requireLength(data, 6, "a Get Watchdog Timer response");
    return {
      ...readTimer(data),
      isRunning: (data.readUInt8(0) & RUNNING) !== 0,
      expirations: expirationUses(data.readUInt8(3)),
      countdownMs: data.readUInt16LE(4) * TICK_MS,
      presentCountdownMs: data.length < 8 ? undefined : data.readUInt16LE(6) * TICK_MS,
    };
  },
};

function writeTimer(
  bytes: Buffer,
  flags: number,
  timer: Pick<SetWatchdogTimerRequest, "use" | "action" | "pretimeout" | "pretimeoutSeconds">,
): void {
  bytes[0] = flags | USES.indexOf(timer.use);
  bytes[1] = (PRETIMEOUTS.indexOf(timer.pretimeout ?? "none") << 4) | ACTIONS.indexOf(timer.action);
  bytes[2] = timer.pretimeoutSeconds ?? 0;
}

function readTimer(data: Buffer) {
  const [flags, actions] = [data.readUInt8(0), data.readUInt8(1)];
  return {
    use: USES[flags & 0x07] ?? "unspecified",
    action: ACTIONS[actions & 0x07] ?? "none",
    dontLog: (flags & DONT_LOG) !== 0,
    pretimeout: PRETIMEOUTS[(actions >> 4) & 0x07] ?? "none",
    pretimeoutSeconds: data.readUInt8(2),
  };
}

function expirationBits(uses: readonly WatchdogUse[]): number {
  return uses.reduce((bits, use) => bits | (1 << USES.indexOf(use)), 0);
}

function expirationUses(bits: number): WatchdogUse[] {
  // Bit 0 is reserved.
  return USES.filter((use, bit) => use !== "unspecified" && (bits & (1 << bit)) !== 0);
}

function ticks(ms: number): number {
  return Math.min(MAX_TICKS, Math.max(0, Math.round(ms / TICK_MS)));
}
