// `npm run bench -- ipmi-poll`: ipmi-js beside what a user would pick instead, against a rack of simulated BMCs on loopback.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pickGroups, readArguments, readCount, runGroups, runProgram } from "../program.ts";
import { GROUPS } from "./groups.ts";

const USER = "admin";
const PASSWORD = "bench-secret";
const FIRST_PORT = 20_000;
const DEADLINE_MS = 180_000;

function readOptions() {
  const { values } = readArguments(() =>
    parseArgs({
      options: {
        rounds: { type: "string", default: "5" },
        count: { type: "string", default: "1000" },
        many: { type: "string", default: "10000" },
        "idle-seconds": { type: "string", default: "60" },
        only: { type: "string", default: GROUPS.map(({ name }) => name).join(",") },
      },
    }),
  );
  return {
    rounds: readCount("--rounds", values.rounds),
    count: readCount("--count", values.count),
    manyCount: readCount("--many", values.many),
    idleSeconds: readCount("--idle-seconds", values["idle-seconds"]),
    groups: pickGroups(GROUPS, values.only),
  };
}

async function main(signal: AbortSignal): Promise<string[]> {
  const { groups, ...options } = readOptions();
  const folder = await mkdtemp(join(tmpdir(), "bench-"));
  try {
    const passwordFile = join(folder, "password");
    await writeFile(passwordFile, PASSWORD, { mode: 0o600 });
    const freeipmiConfig = join(folder, "freeipmi.conf");
    await writeFile(freeipmiConfig, `username ${USER}\npassword ${PASSWORD}\n`, { mode: 0o600 });
    const plan = { firstPort: FIRST_PORT, user: USER, passwordFile };
    return await runGroups(groups, { ...options, folder, deadlineMs: DEADLINE_MS, signal, freeipmiConfig, plan });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await runProgram(main);
