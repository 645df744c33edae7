// `npm run bench -- ipmi-soak`: everything the client does, over and over against a real ipmi_sim, and no session may be left behind.
import { once } from "node:events";
import { createServer } from "node:net";
import { parseArgs } from "node:util";
import { Bmc, getSessionInfo, type IpmiError, isIpmiError, openSerialConsole, openSession } from "ipmi-js";
import { startIpmiSim } from "../../packages/ipmi-js/test/interop/ipmi-sim.ts";
import { type Figure, figureOf } from "../figure.ts";
import { readArguments, readCount, runGroups, runProgram, say } from "../program.ts";

/** ipmi_sim forgets a session that was not used for so long; one that we left behind without a word is gone after it. */
const SESSION_EXPIRY_MS = 65_000;
const TELL_EVERY_MS = 60_000;
/** Twice the longest deadline of the client's own. */
const STEP_DEADLINE_MS = 60_000;

interface Setting {
  readonly signal: AbortSignal;
  readonly minutes: number;
}

type Sim = Awaited<ReturnType<typeof startIpmiSim>>;

/** A machine's serial port that sends back what it gets. */
async function startEcho() {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return { server, port: typeof address === "object" ? (address?.port ?? 0) : 0 };
}

async function expectRefusal(code: IpmiError["code"], work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (isIpmiError(error, code)) return;
    throw error;
  }
  throw new Error(`expected ${code}`);
}

async function activeSessions(sim: Sim): Promise<number> {
  const session = await openSession(sim);
  try {
    return (await session.execute(getSessionInfo, undefined)).active;
  } finally {
    await session.close();
  }
}

async function withinDeadline(step: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${STEP_DEADLINE_MS} ms`)), STEP_DEADLINE_MS);
  });
  await Promise.race([step, late]).finally(() => clearTimeout(timer));
}

/** What goes on at the same time, by name; each call is one time round. */
function lanesOf(sim: Sim, kept: Bmc): Record<string, () => Promise<unknown>> {
  let isOn = false;
  return {
    "kept session": async () => {
      await kept.setBootDevice({ device: "pxe", persistent: true });
      isOn = !isOn;
      await kept.control(isOn ? "power-up" : "power-down");
      if ((await kept.getPower()) !== isOn) throw new Error(`the machine should be ${isOn ? "on" : "off"}`);
      await kept.getDeviceId();
    },
    "new session": async () => {
      const session = await openSession(sim);
      await session.getChassisStatus();
      await session.close();
    },
    "wrong password": () => expectRefusal("WrongPassword", openSession({ ...sim, password: "wrong" })),
    "no such user": () => expectRefusal("NoSuchUser", openSession({ ...sim, user: "nobody" })),
    "given up": async () => {
      const giveUp = new AbortController();
      const timer = setTimeout(() => giveUp.abort(), Math.random() * 8);
      try {
        const session = await openSession({ ...sim, signal: giveUp.signal });
        await session.close();
      } catch (error) {
        if (!isIpmiError(error, "Aborted")) throw error;
      } finally {
        clearTimeout(timer);
      }
      await new Promise((resolve) => setTimeout(resolve, 2000));
    },
    console: async () => {
      const console = await openSerialConsole({ ...sim, takeOver: true });
      const line = `line ${Math.random()}\r\n`;
      let echoed = "";
      const reading = (async () => {
        for await (const bytes of console.output) {
          echoed += bytes.toString("latin1");
          if (echoed.includes(line)) return;
        }
        throw new Error(`the console ended before "${line.trim()}" came back`);
      })();
      // Trap: ipmi_sim takes a first packet for a repeated one when the console before it ended with the same packet number, 1.
      await console.write("first\r\n");
      await console.write(line);
      await reading;
      await console.close();
    },
  };
}

async function soak({ minutes, signal }: Setting): Promise<Figure[]> {
  const echo = await startEcho();
  const sim = await startIpmiSim(`  sol "tcp:127.0.0.1:${echo.port}" 115200`);
  const kept = new Bmc({ ...sim, keepAliveMs: 20_000 });
  const counts: Record<string, number> = {};
  const endsAt = performance.now() + minutes * 60_000;
  try {
    const lanes = Object.entries(lanesOf(sim, kept)).map(async ([name, step]) => {
      for (counts[name] = 0; performance.now() < endsAt && !signal.aborted; counts[name] = (counts[name] ?? 0) + 1) {
        await withinDeadline(step()).catch((error: unknown) => {
          throw new Error(`${name}, time ${counts[name]}: ${error instanceof Error ? error.message : error}`);
        });
      }
    });
    const teller = setInterval(() => say(`  ${JSON.stringify(counts)}`), TELL_EVERY_MS);
    try {
      await Promise.all(lanes);
    } finally {
      clearInterval(teller);
    }
    signal.throwIfAborted();
    await kept.close();
    say(`  ${JSON.stringify(counts)}; waiting for what was given up to expire`);
    await new Promise((resolve) => setTimeout(resolve, SESSION_EXPIRY_MS));
    const active = await activeSessions(sim);
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const cost = {
      cpuSeconds: process.cpuUsage().user / 1e6,
      rssMiB: process.memoryUsage().rss / 2 ** 20,
      rounds: total,
    };
    const side = { name: "ipmi-js", value: active - 1, ...cost };
    const what = `sessions left open on ipmi_sim after ${minutes} min of everything at once`;
    return [figureOf(what, "sessions", side, undefined, { bar: 0, barIs: "at most" })];
  } finally {
    await kept.close();
    await sim.close();
    echo.server.close();
  }
}

await runProgram(async (signal) => {
  const options = { minutes: { type: "string", default: "10" } } as const;
  const { values } = readArguments(() => parseArgs({ options }));
  return runGroups([{ name: "soak", run: soak }], { signal, minutes: readCount("--minutes", values.minutes) });
});
