// All BMCs seen again and again by the schedule of the power sync, and how old what is known of them gets. One argument, a job as JSON; one
// line of JSON with the result.
import { readFile } from "node:fs/promises";
import { Bmc, SharedSockets } from "ipmi-js";
import { LookSchedule } from "../../dist/driver/power-sync/look-schedule.js";
import { isDead, isLossy } from "./fate.mjs";

const TICK_MS = 50;
const job = JSON.parse(process.argv[2] ?? "{}");
const { count, firstPort, user, passwordFile, intervalMs, intervals, maxInFlight, lookDeadlineMs } = job;

const isHealthy = (index) => !isDead(job, index) && !isLossy(job, index);

/** The age that what is known of a BMC is below for 99% of the time, over all of them: `gaps` are the times between two looks, in ms. */
function age99(gaps) {
  const all = gaps.reduce((sum, gap) => sum + gap, 0);
  let below = 0;
  let above = Math.max(...gaps);
  while (above - below > 1) {
    const age = (below + above) / 2;
    const older = gaps.reduce((sum, gap) => sum + Math.max(0, gap - age), 0);
    if (older > all / 100) below = age;
    else above = age;
  }
  return above;
}

const password = (await readFile(passwordFile, "utf8")).trim();
const network = new SharedSockets();
const bmcs = Array.from({ length: count }, (_, index) => {
  const options = { address: "127.0.0.1", port: firstPort + index, user, password, network };
  return new Bmc({ ...options, privilege: "user", cipherSuites: [3], keepAliveMs: 45_000, quirks: false });
});
const schedule = new LookSchedule({ intervalMs, maxInFlight, maxFailures: 3 });
const startedAt = performance.now();
for (let index = 0; index < count; index += 1) schedule.add(index, startedAt);
// The first interval opens the sessions.
const measuredFrom = startedAt + intervalMs * 1.5;
const endsAt = measuredFrom + intervals * intervalMs;
const lastSeen = new Float64Array(count);
const gaps = [];
const underWay = new Set();

async function look(turn) {
  const index = turn.nodeId;
  let end = "failed";
  try {
    await bmcs[index].getPower({ deadlineMs: lookDeadlineMs });
    end = "answered";
    const now = performance.now();
    if (isHealthy(index) && now > measuredFrom && lastSeen[index] > 0) gaps.push(now - lastSeen[index]);
    lastSeen[index] = now;
  } catch {
    // What did not answer gets older: that is what is measured.
  }
  schedule.end(turn, performance.now(), end);
}

while (performance.now() < endsAt) {
  for (const turn of schedule.take(performance.now())) {
    const done = look(turn).finally(() => underWay.delete(done));
    underWay.add(done);
  }
  await new Promise((resolve) => setTimeout(resolve, TICK_MS));
}
// What was not seen again until the end counts with the age it has got.
for (let index = 0; index < count; index += 1) if (isHealthy(index)) gaps.push(endsAt - lastSeen[index]);
await Promise.all(underWay);
await Promise.all(bmcs.map((bmc) => bmc.close()));
await network.close();
const healthy = Array.from({ length: count }, (_, index) => index).filter(isHealthy).length;
process.stdout.write(`${JSON.stringify({ age99Ms: age99(gaps), healthy, looks: gaps.length - healthy })}\n`);
