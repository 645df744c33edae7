// One run of a session against a target that lies: operations side by side, each checked as it settles, and the disk in the end.
import { type BlockDevice, type ConnectOptions, connect, type IscsiError, type IscsiSession } from "node-iscsi";
import { IscsiTarget, type TargetLimits } from "node-iscsi/target";
import { pick, type Random, upTo } from "./lies.ts";
import { COMMAND_DEADLINE_MS, LOGIN_DEADLINE_MS, Operations, type Run, SETTLE_MS, SLOT_BYTES } from "./operations.ts";
import { settled } from "./property.ts";

const SLOTS = 16;
export const DISK_BYTES = SLOT_BYTES * SLOTS;
const TARGET_NAME = "iqn.2026-11.test:lies";
const ROUNDS = 3;

function limitsOf(random: Random): TargetLimits {
  const maxBurstBytes = pick(random, [1024, 4096, 65_536]);
  return {
    maxRecvDataSegmentBytes: pick(random, [512, 1024, 65_536]),
    maxBurstBytes,
    firstBurstBytes: pick(random, [512, maxBurstBytes]),
    initialR2T: random() < 0.5,
    immediateData: random() < 0.7,
    maxOutstandingR2T: pick(random, [1, 4]),
    commandWindow: pick(random, [1, 3, 128]),
  };
}

function optionsOf({ random, digests, lbaOfTag }: Run, port: number): ConnectOptions {
  const digest = () => digests ?? pick(random, ["None", "CRC32C"] as const);
  return {
    ...{ address: "127.0.0.1", port, targetName: TARGET_NAME, lun: 1 },
    ...{ deadlineMs: LOGIN_DEADLINE_MS, commandDeadlineMs: COMMAND_DEADLINE_MS },
    ...{ keepaliveIntervalMs: 50, keepaliveDeadlineMs: 200 },
    recovery: random() < 0.5 ? false : { firstBackoffMs: 1, longestBackoffMs: 10, maxAttempts: 20 },
    wishes: {
      headerDigest: digest(),
      dataDigest: digest(),
      maxRecvDataSegmentBytes: pick(random, [512, 2048, 262_144]),
    },
    hooks: {
      onPdu(direction, header) {
        // READ(16): the address is at byte 2 of the CDB, which is at byte 32.
        if (direction === "sent" && header[0] === 0x01 && header[32] === 0x88)
          lbaOfTag?.set(header.readUInt32BE(16), header.readUInt32BE(38));
      },
    },
  };
}

/** A machine that is busy may be too slow for our short deadlines; a target that cannot be opened for so long is a failure. */
const OPENS_WITHIN_MS = 15_000;

/** Runs it. Resolves with the number of operations. @throws when a property does not hold */
export async function runSession(run: Run): Promise<number> {
  const target = await IscsiTarget.listen({
    ...{ address: "127.0.0.1", targetName: TARGET_NAME, backing: { memoryBytes: DISK_BYTES } },
    limits: limitsOf(run.random),
  });
  try {
    target.faults.separateReadStatus = run.random() < 0.4;
    const options = optionsOf(run, run.through === undefined ? target.port : await run.through(target.port));
    if (run.startsBeforeLogin === true) run.start(target);
    const opensBy = performance.now() + OPENS_WITHIN_MS;
    for (;;) {
      const opened = await open(run.name, options);
      if ("device" in opened) {
        if (run.startsBeforeLogin !== true) run.start(target);
        return 2 + (await operate(run, target, opened.session, opened.device));
      }
      if (run.startsBeforeLogin === true) return 1;
      if (performance.now() > opensBy) throw new Error("the session cannot be opened", { cause: opened.error });
    }
  } finally {
    await target.close();
  }
}

type Opened = { readonly session: IscsiSession; readonly device: BlockDevice } | { readonly error: IscsiError };

async function open(name: string, options: ConnectOptions): Promise<Opened> {
  const connected = await settled(name, "connect", SETTLE_MS, connect(options));
  if (connected.error !== undefined) return connected;
  const session = connected.value;
  const described = await settled(name, "blockDevice", 4 * SETTLE_MS, session.blockDevice());
  if (described.error === undefined) return { session, device: described.value };
  session.destroy();
  return described;
}

async function operate(run: Run, target: IscsiTarget, session: IscsiSession, device: BlockDevice): Promise<number> {
  const { random } = run;
  const operations = new Operations(run, target, session, device);
  let count = 0;
  for (let round = 0; round < ROUNDS && !session.isClosed; round += 1) {
    const first = upTo(random, SLOTS - 1);
    const slots = Array.from({ length: 1 + upTo(random, 5) }, (_, index) => (first + index) % SLOTS);
    await Promise.all(slots.map((slot) => operations.run(slot * SLOT_BYTES)));
    count += slots.length;
  }
  if (random() < 0.5) await settled(run.name, "logout", SETTLE_MS, session.logout());
  session.destroy();
  if (target.faults.stalls?.stopsReading !== true) await gone(target);
  await operations.checkEnd();
  return count;
}

/** When no connection is left, no write can land any more. Trap: a target that has stopped reading does not see the end of one. */
async function gone(target: IscsiTarget): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (target.connectionCount > 0) {
    if (performance.now() > deadline) throw new Error("the target still has a connection");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
