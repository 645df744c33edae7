// ipmi-js raw: any command by its numbers.
import { completionCodeError } from "../errors.ts";
import { raw as sendRaw } from "../raw.ts";
import type { FleetMember, Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { hexByte } from "./output.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js raw: sends any command by its numbers and prints the answer's bytes.

Usage: ipmi-js raw NETFN CMD [BYTES...] -H BMCS [options]

Numbers are 0 to 255, as 6, 0x06 or 06h; NETFN is even. A completion code other than 0 is a failure. As the command may be
anything, it is asked before it goes to more than one BMC.

  $ ipmi-js raw 0x06 0x01 -U admin -H bmc7
  00 03 09 08 02 9f 91 12 00 02 0f 00 00 00 00`;

/** As many as a message can hold. */
const MOST_BYTES = 255;

/** @throws UsageError */
export function parseByte(text: string): number {
  const hex = /^(?:0x([0-9a-f]{1,2})|([0-9a-f]{1,2})h)$/i.exec(text);
  const value = hex === null ? decimal(text) : Number.parseInt(hex[1] ?? hex[2] ?? "", 16);
  if (!(value <= 255)) throw new UsageError(`raw takes bytes such as 6, 0x06 or 06h, not "${text}"`);
  return value;
}

const decimal = (text: string) => (/^\d{1,3}$/.test(text) ? Number(text) : Number.NaN);

async function send(member: FleetMember, [netFn = 0, command = 0, ...bytes]: readonly number[]): Promise<Report> {
  const { bmc, limits, target } = member;
  const { completionCode, data } = await sendRaw(bmc, netFn, command, Buffer.from(bytes), limits);
  if (completionCode !== 0) {
    const peer = { address: target.address, name: target.name };
    throw completionCodeError(peer, `raw ${hexByte(netFn)} ${hexByte(command)}`, completionCode);
  }
  const text = data.toString("hex").replace(/(..)(?=.)/g, "$1 ");
  return { result: { completionCode, data }, lines: [text === "" ? "done, no data" : text] };
}

export const raw = fleetCommand({
  name: "raw",
  summary: "any command by its numbers",
  help: HELP,
  options: {},
  plan(words) {
    const numbers = words.map(parseByte);
    const [netFn] = numbers;
    if (netFn === undefined || numbers.length < 2) throw new UsageError("raw takes NETFN CMD [BYTES...]");
    if (netFn > 62 || netFn % 2 !== 0)
      throw new UsageError(`the NETFN of a request is even and at most 0x3e, not ${hexByte(netFn)}`);
    if (numbers.length > MOST_BYTES) throw new UsageError(`no command has ${numbers.length - 2} bytes`);
    return { harm: `send "${words.join(" ")}" to`, run: (member) => send(member, numbers) };
  },
});
