// Sessions against a target that lies (RFC 7143 as the target breaks it): every promise settles in time and typed, and no data is made up.
import type { IscsiTarget } from "node-iscsi/target";
import { seededRandom } from "../../src/target/fault-triggers.ts";
import { anyLie, headerLie, losingLie, payloadLie, pick, type Random, reorderingLie, upTo } from "./lies.ts";
import { DISK_BYTES, runSession } from "./lying-session.ts";
import { NoisyWire } from "./noisy-wire.ts";
import type { Run } from "./operations.ts";
import type { Property } from "./property.ts";

/** Sessions that run side by side: they wait most of the time. */
const SIDE_BY_SIDE = 4;

/** A property whose runs are sessions; run `n` of seed `s` is run 0 of seed `s + n`. */
function sessionProperty(name: string, effort: number, run: (random: Random) => Promise<number>): Property {
  return {
    name,
    effort,
    async run(seed, sessions) {
      let executions = 0;
      let next = 0;
      const worker = async () => {
        for (let index = next++; index < sessions; index = next++) {
          try {
            const count = await run(seededRandom(seed + index));
            executions += count;
          } catch (error) {
            throw new Error(`with FUZZ_SEED=${seed + index}: ${(error as Error).message}`, { cause: error });
          }
        }
      };
      await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
      return executions;
    },
  };
}

/** One to three PDUs of the first thirty. */
function someTurns(random: Random): Set<number> {
  return new Set(Array.from({ length: 1 + upTo(random, 2) }, () => 1 + upTo(random, 29)));
}

const lying = (name: string, effort: number, parts: (random: Random) => Omit<Run, "name" | "random">) =>
  sessionProperty(name, effort, (random) => runSession({ name, random, ...parts(random) }));

const headers = lying("session: headers altered; no read is wrong, no write is claimed", 12, (random) => ({
  isExact: true,
  start: (target) => {
    target.faults.alterSent = headerLie(random, someTurns(random));
  },
}));

const lost = lying("session: PDUs lost, repeated, cut; no read is wrong, no write is claimed", 12, (random) => ({
  isExact: true,
  start(target) {
    const after = upTo(random, 20);
    const slow = upTo(random, 9);
    // One that runs into its deadline and is aborted.
    if (random() < 0.3) target.faults.delayMs = (_cdb, number) => (number % 10 === slow ? 400 : 0);
    switch (upTo(random, 5)) {
      case 0:
        target.faults.alterSent = losingLie(someTurns(random));
        break;
      case 1:
        target.faults.repeatsPdu = { after, times: 1 + upTo(random, 20) };
        break;
      case 2:
        target.faults.dropsInsidePdu = { after, times: 2, atByte: upTo(random, 100) };
        break;
      case 3:
        target.faults.dropAfterBytesSent = { after: { from: 100, to: 40_000, seed: upTo(random, 1e6) }, times: 3 };
        break;
      case 4:
        target.faults.dropAfterBytes = { after: { from: 100, to: 40_000, seed: upTo(random, 1e6) }, times: 3 };
        break;
      default:
        target.faults.stalls = { after: upTo(random, 8), times: 1 + upTo(random, 1), stopsReading: random() < 0.5 };
    }
  },
}));

const reordered = lying("session: PDUs in another order; no read is wrong, no write is claimed", 8, (random) => ({
  isExact: true,
  start: (target) => {
    target.faults.alterSent = reorderingLie(random, 1 + upTo(random, 2));
  },
}));

const payload = lying("session: payload altered before digests; reads give exactly that", 6, (random) => {
  const changes = new Map(Array.from({ length: 500 }, () => [upTo(random, DISK_BYTES - 1), 1 + upTo(random, 254)]));
  const lie = (at: number, byte: number) => byte ^ (changes.get(at) ?? 0);
  const lbaOfTag = new Map<number, number>();
  return {
    isExact: true,
    lbaOfTag,
    seen: lie,
    start: (target: IscsiTarget) => {
      target.faults.alterSent = payloadLie(lbaOfTag, lie);
    },
  };
});

const anything = (startsBeforeLogin: boolean) =>
  lying(`session: anything goes ${startsBeforeLogin ? "from the first PDU on" : "once it is open"}`, 12, (random) => ({
    isExact: false,
    startsBeforeLogin,
    start(target) {
      target.faults.alterSent = anyLie(random, pick(random, [0.02, 0.1, 0.5]));
      if (random() < 0.2) target.faults.garbage = { after: upTo(random, 20) };
      if (random() < 0.2) target.faults.stalls = { after: upTo(random, 8) };
      if (random() < 0.2) target.faults.dropAfterBytesSent = { after: upTo(random, 20_000), times: 3 };
      if (random() < 0.2) target.faults.extraR2ts = 2;
      if (random() < 0.2) target.faults.r2tBytes = pick(random, [1, 4, 512]);
      if (random() < 0.2) target.faults.unitAttentionCount = upTo(random, 12);
      if (random() < 0.2) target.faults.busyCount = upTo(random, 12);
      if (random() < 0.1) target.faults.ignoresTaskManagement = true;
      if (random() < 0.2)
        target.faults.asyncMessage = { after: upTo(random, 6), event: upTo(random, 5), parameter2: upTo(random, 3) };
    },
  }));

const noise = sessionProperty(
  "session: flipped bytes on the wire, digests on; all data is right",
  10,
  async (random) => {
    const wire = new NoisyWire(random);
    try {
      return await runSession({
        name: "session: flipped bytes on the wire, digests on; all data is right",
        random,
        digests: "CRC32C",
        isExact: true,
        through: (port) => wire.listen(port),
        start: () => wire.start(),
      });
    } finally {
      await wire.close();
    }
  },
);

export const SESSION_PROPERTIES: readonly Property[] = [
  ...[headers, lost, reordered, payload, noise, anything(false), anything(true)],
];
