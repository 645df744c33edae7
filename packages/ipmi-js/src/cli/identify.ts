// ipmi-js identify: the lamp that shows which machine it is.
import { type ChassisIdentifyRequest, chassisIdentify } from "../commands/chassis-identify.ts";
import { fleetCommand } from "./fleet-command.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js identify: lets a machine show which one it is, by a lamp mostly.

Usage: ipmi-js identify [SECONDS|on|off] -H BMCS [options]

  SECONDS   1 to 255
  on        until it is put out; not every BMC can
  off       put it out
  Without a word: as long as the BMC likes, mostly 15 seconds.`;

const MAX_SECONDS = 255;

function requestOf(words: readonly string[]): ChassisIdentifyRequest {
  const [word, ...more] = words;
  if (word === undefined) return {};
  if (word === "on") return { forceOn: true };
  if (word === "off") return { intervalSeconds: 0 };
  const seconds = /^\d{1,3}$/.test(word) ? Number(word) : 0;
  if (more.length > 0 || seconds < 1 || seconds > MAX_SECONDS)
    throw new UsageError(`identify takes 1 to ${MAX_SECONDS} seconds, on or off, not "${words.join(" ")}"`);
  return { intervalSeconds: seconds };
}

function describe({ intervalSeconds, forceOn }: ChassisIdentifyRequest): string {
  if (forceOn === true) return "on, until it is put out";
  if (intervalSeconds === undefined) return "on, as long as the BMC likes";
  return intervalSeconds === 0 ? "off" : `on for ${intervalSeconds} s`;
}

export const identify = fleetCommand({
  name: "identify",
  summary: "the lamp that shows which machine it is",
  help: HELP,
  options: {},
  plan(words) {
    const request = requestOf(words);
    return {
      async run({ bmc, limits }) {
        await bmc.execute(chassisIdentify, request, limits);
        return { result: { identify: describe(request) }, lines: [describe(request)] };
      },
    };
  },
});
