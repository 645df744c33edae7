// Logins and discoveries at a target that lies (RFC 7143 6.3, 12.1.3, appendix C): they end in time and typed, and never believe a wrong proof.
import { type ConnectOptions, connect, discover } from "node-iscsi";
import { IscsiTarget, type TargetFaults } from "node-iscsi/target";
import { Opcode, opcodeOf } from "../../src/pdu/header.ts";
import { decodeTextPairs, encodeTextPairs } from "../../src/pdu/text-keys.ts";
import { seededRandom } from "../../src/target/fault-triggers.ts";
import { anyLie, headerLie, type Lie, pick, type Random, upTo } from "./lies.ts";
import { type Property, settled } from "./property.ts";

const DEADLINE_MS = 400;
/** After the list came, discovery waits at most a second for the answer to its logout; the rest is for a busy machine. */
const SETTLE_MS = DEADLINE_MS + 1000 + 3000;
const TARGET_NAME = "iqn.2026-11.test:login-lies";
const CHAP = {
  user: "initiator",
  secret: "initiator's secret",
  target: { user: "target", secret: "target's own secret" },
};

const KEYS = [
  ...["HeaderDigest", "DataDigest", "MaxRecvDataSegmentLength", "MaxBurstLength", "FirstBurstLength", "InitialR2T"],
  ...["ImmediateData", "MaxOutstandingR2T", "MaxConnections", "DataPDUInOrder", "ErrorRecoveryLevel", "AuthMethod"],
  ...["TargetPortalGroupTag", "DefaultTime2Wait", "CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R", "TargetAddress"],
  ...["TargetName", "X-a", "", "A".repeat(64)],
];
const VALUES = [
  ...["", "Yes", "No", "None", "CHAP", "CRC32C", "Reject", "NotUnderstood", "Irrelevant", "0", "1", "2", "-1", "511"],
  ...[
    "512",
    "16777216",
    "99999999999",
    "0x",
    "0xff",
    "0bAA==",
    "5",
    "7",
    "SRP",
    "127.0.0.1:1,1",
    "[::1]",
    "\u0000\u001b[2J",
  ],
  "v".repeat(9000),
];

/** Login and text answers with keys added, dropped, doubled and changed. */
function textLie(random: Random, turns: ReadonlySet<number>): Lie {
  let turn = 0;
  return (pdu) => {
    turn += 1;
    const opcode = opcodeOf(pdu.header);
    if (!turns.has(turn) || (opcode !== Opcode.LoginResponse && opcode !== Opcode.TextResponse)) return pdu;
    let pairs = decodeTextPairs(pdu.data ?? Buffer.alloc(0));
    const at = upTo(random, pairs.length);
    const pair: [string, string] = [pick(random, KEYS), pick(random, VALUES)];
    switch (upTo(random, 4)) {
      case 0:
        pairs = pairs.toSpliced(at, 0, pair);
        break;
      case 1:
        pairs = pairs.toSpliced(at, 1);
        break;
      case 2:
        pairs = [...pairs, ...pairs];
        break;
      case 3:
        pairs = pairs.map(([key, value], index) => [key, index === at ? pair[1] : value]);
        break;
      default:
        pairs = Array.from({ length: upTo(random, 200) }, () => [pick(random, KEYS), pick(random, VALUES)]);
    }
    const data = encodeTextPairs(pairs).subarray(0, 0xffffff);
    const header = Buffer.from(pdu.header);
    header.writeUIntBE(data.length, 5, 3);
    // C and T bits, stages, status.
    if (random() < 0.2) header[1] = (header[1] ?? 0) ^ (1 << upTo(random, 7));
    if (random() < 0.1) header[36] = upTo(random, 4);
    return { header, data };
  };
}

function spoil(faults: TargetFaults, random: Random): void {
  const turns = new Set(Array.from({ length: 1 + upTo(random, 2) }, () => 1 + upTo(random, 5)));
  const alterSent = pick(random, [
    textLie(random, turns),
    textLie(random, turns),
    headerLie(random, turns),
    anyLie(random, 0.3),
  ]);
  Object.assign(faults, { alterSent });
  if (random() < 0.1) faults.garbage = { after: upTo(random, 4) };
  if (random() < 0.1) faults.dropsInsidePdu = { after: upTo(random, 4), atByte: upTo(random, 200) };
  if (random() < 0.2) faults.login = { splitsTextAtBytes: 1 + upTo(random, 40), emptyAnswers: upTo(random, 6) };
}

async function attempt(name: string, random: Random, isDiscovery: boolean): Promise<number> {
  const hasChap = random() < 0.5;
  const chap = hasChap ? CHAP : undefined;
  const target = await IscsiTarget.listen({
    ...{ address: "127.0.0.1", targetName: TARGET_NAME, backing: { memoryBytes: 65_536 } },
    chap,
  });
  spoil(target.faults, random);
  const digest = pick(random, ["None", "CRC32C,None", "None,CRC32C", "CRC32C"] as const);
  const options: ConnectOptions = {
    ...{ address: "127.0.0.1", port: target.port, targetName: TARGET_NAME, lun: 1, chap },
    ...{ deadlineMs: DEADLINE_MS, commandDeadlineMs: 200, keepaliveIntervalMs: 50, keepaliveDeadlineMs: 200 },
    wishes: { headerDigest: digest, dataDigest: digest },
  };
  try {
    if (isDiscovery) {
      const outcome = await settled(name, "discover", SETTLE_MS, discover({ ...options, targetName: undefined }));
      if (outcome.error !== undefined) refuseSecrets(outcome.error);
      return 1;
    }
    const outcome = await settled(name, "connect", SETTLE_MS, connect(options));
    if (outcome.error !== undefined) refuseSecrets(outcome.error);
    else await settled(name, "logout", SETTLE_MS, outcome.value.logout());
    return 1;
  } finally {
    await target.close();
  }
}

/** @throws when an error or its causes tell a secret */
function refuseSecrets(error: Error): void {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    for (const { secret } of [CHAP, CHAP.target])
      if (`${cause.message}${cause.stack}`.includes(secret)) throw new Error(`a secret in an error: ${cause.message}`);
}

/** A target that does not know its own secret, whatever it says instead of a proof, is never logged in to. */
async function impostor(name: string, random: Random): Promise<number> {
  const target = await IscsiTarget.listen({
    ...{ address: "127.0.0.1", targetName: TARGET_NAME, backing: { memoryBytes: 65_536 } },
    chap: { ...CHAP, target: { user: "target", secret: "what an impostor guesses" } },
  });
  const values = [...VALUES, "target", "initiator"];
  target.faults.login = {
    choosesNone: random() < 0.1,
    alterChap: (pairs) =>
      random() < 0.4
        ? pairs
        : pairs
            .filter(() => random() < 0.9)
            .map(([key, value]) => [
              random() < 0.1 ? pick(random, KEYS) : key,
              random() < 0.3 ? pick(random, values) : value,
            ]),
  };
  try {
    const outcome = await settled(
      name,
      "connect",
      SETTLE_MS,
      connect({
        address: "127.0.0.1",
        port: target.port,
        targetName: TARGET_NAME,
        lun: 1,
        chap: CHAP,
        deadlineMs: DEADLINE_MS,
      }),
    );
    if (outcome.error === undefined) {
      outcome.value.destroy();
      throw new Error("a target was believed that cannot have proved itself");
    }
    refuseSecrets(outcome.error);
    return 1;
  } finally {
    await target.close();
  }
}

function loginProperty(
  name: string,
  effort: number,
  body: (name: string, random: Random) => Promise<number>,
): Property {
  return {
    name,
    effort,
    async run(seed, runs) {
      for (let index = 0; index < runs; index += 1)
        try {
          await body(name, seededRandom(seed + index));
        } catch (error) {
          throw new Error(`with FUZZ_SEED=${seed + index}: ${(error as Error).message}`, { cause: error });
        }
      return runs;
    },
  };
}

export const LOGIN_PROPERTIES: readonly Property[] = [
  loginProperty("login: altered answers", 20, (name, random) => attempt(name, random, false)),
  loginProperty("discovery: altered answers", 20, (name, random) => attempt(name, random, true)),
  loginProperty("login: an impostor is never believed", 12, impostor),
];
