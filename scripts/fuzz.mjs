// `npm run fuzz`: the fuzz properties of node-iscsi with fresh seeds until FUZZ_MINUTES (default 10) are over.
// FUZZ_SEED=n FUZZ_ONLY='part of a name': one round of these from that seed on, to repeat a failure.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A property that says nothing for so long is in a loop. */
const HANG_MS = 120_000;
const say = (line) => process.stdout.write(`${line}\n`);

if (process.send === undefined) watch();
else await fuzz();

/** Runs the properties in a process of its own: only from outside can an endless loop be ended, and named. */
function watch() {
  const child = fork(fileURLToPath(import.meta.url), {
    execArgv: ["--import", "tsx", "--conditions=source", "--expose-gc"],
  });
  let running = "start-up";
  const expire = () => {
    say(`FAILED: nothing for ${HANG_MS / 1000} s in ${running}`);
    child.kill("SIGKILL");
  };
  let timer = setTimeout(expire, HANG_MS);
  child.on("message", (message) => {
    running = message;
    clearTimeout(timer);
    timer = setTimeout(expire, HANG_MS);
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => {
    clearTimeout(timer);
    process.exit(code ?? 1);
  });
}

async function fuzz() {
  const { roundRobin } = await import("../packages/node-iscsi/test/fuzz/round-robin.ts");
  const { FUZZ_SEED, FUZZ_ONLY, FUZZ_MINUTES } = process.env;
  const firstSeed = FUZZ_SEED === undefined ? Date.now() % 2 ** 31 : Number(FUZZ_SEED);
  const minutes = Number(FUZZ_MINUTES ?? (FUZZ_SEED === undefined ? 10 : 0));
  say(`first seed ${firstSeed}, ${minutes} minutes`);
  const onStart = (name, seed) => process.send(`${name}, FUZZ_SEED=${seed}`);
  const failures = await roundRobin({ minutes, firstSeed, only: FUZZ_ONLY, onStart, say });
  process.exit(failures === 0 ? 0 : 1);
}
