// Our side of the IPMI figures, in a process of its own and without a TypeScript loader: what is measured is ipmi-js as it is installed.
// One argument, a job as JSON; one line of JSON with the result on standard output.
import { readFile } from "node:fs/promises";
import { Bmc, openSession, SharedSockets } from "ipmi-js";

const job = JSON.parse(process.argv[2] ?? "{}");
const tasks = { kept, cold, once, idle };
const network = new SharedSockets();

function optionsOf(index, password) {
  const address = "127.0.0.1";
  return {
    address,
    port: job.firstPort + index,
    user: job.user,
    password,
    privilege: "user",
    cipherSuites: [3],
    network,
  };
}

/** Runs `work(index)` for all BMCs, `parallel` at a time; gives the seconds it took. @throws the first failure */
async function overAll(work) {
  let next = 0;
  const lane = async () => {
    while (next < job.count) {
      const index = next;
      next += 1;
      await work(index);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: job.parallel }, lane));
  return (performance.now() - startedAt) / 1000;
}

function expectOn(isOn) {
  if (isOn !== true) throw new Error("a machine that is on was seen off");
}

function bmcs(password) {
  return Array.from(
    { length: job.count },
    (_, index) => new Bmc({ ...optionsOf(index, password), keepAliveMs: 45_000, quirks: false }),
  );
}

async function closeAll(all) {
  await Promise.all(all.map((bmc) => bmc.close()));
}

/** The looks and seconds of `job.passes` times `pass`. One more goes before them: for the sessions, and for the compiler as in a daemon. */
async function timed(pass) {
  await pass();
  let seconds = 0;
  for (let done = 0; done < job.passes; done += 1) seconds += await pass();
  return { looks: job.count * job.passes, seconds };
}

/** Looks through kept sessions. */
async function kept(password) {
  const all = bmcs(password);
  const result = await timed(() => overAll(async (index) => expectOn(await all[index].getPower())));
  await closeAll(all);
  return result;
}

/** A new session for each look. */
function cold(password) {
  return timed(() =>
    overAll(async (index) => {
      const session = await openSession(optionsOf(index, password));
      expectOn((await session.getChassisStatus()).isPowerOn);
      await session.close();
    }),
  );
}

/** All BMCs once, sessions opened on the way and kept. */
async function once(password) {
  const all = bmcs(password);
  const seconds = await overAll(async (index) => expectOn(await all[index].getPower()));
  await closeAll(all);
  return { looks: job.count, seconds };
}

/** What it costs to keep sessions that nobody uses. */
async function idle(password) {
  const all = bmcs(password);
  await overAll(async (index) => expectOn(await all[index].getPower()));
  const before = process.cpuUsage();
  const startedAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, job.idleSeconds * 1000));
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - startedAt) / 1000;
  // They must still be there: a look without a new session.
  await overAll(async (index) => expectOn(await all[index].getPower()));
  await closeAll(all);
  return { looks: job.count, seconds, cpuSeconds: (user + system) / 1e6 };
}

try {
  const password = (await readFile(job.passwordFile, "utf8")).trim();
  const result = await tasks[job.task](password);
  await network.close();
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  // Sessions may be open: they would keep the process alive.
  process.exit(1);
}
