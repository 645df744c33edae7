// A rack of simulated BMCs in a process of its own: one UDP port of 127.0.0.1 each. One argument, a plan as JSON; one line of JSON with what
// it has opened. Each line on standard input is answered with a line of its counts; it ends when standard input does.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { BmcSimulator } from "ipmi-js";
import { isDead, isLossy } from "./fate.mjs";

const LISTENING_AT_ONCE = 200;

const plan = JSON.parse(process.argv[2] ?? "{}");
const { count, firstPort, user, passwordFile, dropRate = 0 } = plan;
const password = (await readFile(passwordFile, "utf8")).trim();
const machine = { getPower: () => true, setPower: () => {} };

function listen(index) {
  if (isDead(plan, index)) return undefined;
  const faults = isLossy(plan, index) ? { dropRate, seed: index + 1 } : {};
  return BmcSimulator.listen({
    address: "127.0.0.1",
    port: firstPort + index,
    user,
    password,
    handlers: machine,
    faults,
  });
}

const bmcs = [];
for (let index = 0; index < count; index += LISTENING_AT_ONCE) {
  const some = Array.from({ length: Math.min(LISTENING_AT_ONCE, count - index) }, (_, at) => listen(index + at));
  bmcs.push(...(await Promise.all(some)).filter((bmc) => bmc !== undefined));
}
const total = (name) => bmcs.reduce((sum, bmc) => sum + bmc.counters[name], 0);

function counts() {
  const { user: userMicros, system } = process.cpuUsage();
  return {
    sessionsOpened: total("sessionsOpened"),
    commands: total("commands"),
    cpuSeconds: (userMicros + system) / 1e6,
  };
}

const tell = () => process.stdout.write(`${JSON.stringify(counts())}\n`);
tell();
const lines = createInterface(process.stdin);
lines.on("line", tell);
lines.once("close", async () => {
  await Promise.all(bmcs.map((bmc) => bmc.close()));
});
