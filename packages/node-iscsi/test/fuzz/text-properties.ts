// Text of strangers: login keys, CHAP, SendTargets lists, TargetAddress, target URLs (RFC 7143 6.1, 12.1.3, 13.8, appendix C).
import { expect } from "chai";
import fc from "fast-check";
import { InvalidArgumentError, parseTargetUrl } from "node-iscsi";
import {
  answerChapChallenge,
  ChapInitiator,
  challengePairs,
  chapResponsePairs,
  newChapChallenge,
  readChapChallenge,
  verifyChapResponse,
} from "../../src/chap.ts";
import { parseSendTargets } from "../../src/discovery.ts";
import { answerKey, DEFAULT_WISHES, settleParameters } from "../../src/negotiation.ts";
import { decodeBinaryValue, decodeTextPairs, encodeTextPairs, textPairsToMap } from "../../src/pdu/text-keys.ts";
import { parseTargetAddress } from "../../src/target-address.ts";
import { hostile } from "./mutations.ts";
import { type Property, pureProperty, typedOnly } from "./property.ts";

const KEYS = [
  ...["InitialR2T", "ImmediateData", "MaxRecvDataSegmentLength", "MaxBurstLength", "FirstBurstLength", "HeaderDigest"],
  ...[
    "MaxOutstandingR2T",
    "DataDigest",
    "DefaultTime2Wait",
    "DefaultTime2Retain",
    "ErrorRecoveryLevel",
    "MaxConnections",
  ],
  ...[
    "DataPDUInOrder",
    "DataSequenceInOrder",
    "TargetPortalGroupTag",
    "TargetAlias",
    "AuthMethod",
    "X-com.example.key",
  ],
  ...["IFMarker", "OFMarker", "TaskReporting", "iSCSIProtocolLevel", "__proto__", "constructor"],
];
const VALUES = ["Yes", "No", "None", "CRC32C", "None,CRC32C", "Reject", "Irrelevant", "NotUnderstood", "", "-1", "0"];
const NUMBERS = [
  "512",
  "511",
  "16777215",
  "16777216",
  "0x200",
  "0X1ffffffff",
  "1e9",
  "99999999999999999999",
  "NaN",
  " 8192",
];

const keyName = fc.oneof({ arbitrary: fc.constantFrom(...KEYS), weight: 4 }, fc.string({ maxLength: 70 }));
const keyValue = fc.oneof(
  fc.constantFrom(...VALUES, ...NUMBERS),
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 300 }),
);
const pairs = fc.array(fc.tuple(keyName, keyValue), { maxLength: 12 });

const text = pureProperty(
  "text keys: any bytes",
  hostile([encodeTextPairs([["HeaderDigest", "None"]]), encodeTextPairs(KEYS.map((key) => [key, "Yes"]))]),
  (bytes) => typedOnly(() => textPairsToMap(decodeTextPairs(bytes))),
);

const plain = fc.string({ minLength: 1, maxLength: 63 }).filter((key) => !/[=\0]/.test(key));
const plainValue = fc.string({ unit: "grapheme", maxLength: 100 }).filter((value) => !value.includes("\0"));
const textRoundTrip = pureProperty("text keys: round trip", fc.array(fc.tuple(plain, plainValue)), (list) => {
  expect(decodeTextPairs(encodeTextPairs(list))).to.deep.equal(list);
});

const binary = pureProperty(
  "binary values: both forms come back",
  fc.uint8Array({ minLength: 1, maxLength: 300 }),
  (array) => {
    const bytes = Buffer.from(array);
    expect(decodeBinaryValue(`0x${bytes.toString("hex")}`)).to.deep.equal(bytes);
    expect(decodeBinaryValue(`0b${bytes.toString("base64")}`)).to.deep.equal(bytes);
  },
);

const binaryNoise = pureProperty(
  "binary values: any text",
  fc.tuple(fc.constantFrom("0x", "0b", ""), fc.string()),
  ([form, rest]) => typedOnly(() => decodeBinaryValue(form + rest)),
);

const negotiation = pureProperty(
  "negotiation: what is settled is legal",
  fc.tuple(pairs, fc.boolean()),
  ([list, isTarget]) =>
    typedOnly(() => {
      const parameters = settleParameters(new Map(list), DEFAULT_WISHES, isTarget ? "target" : "initiator");
      expect(parameters.maxSendDataSegmentBytes).to.be.within(512, 0xffffff);
      expect(parameters.maxBurstBytes).to.be.within(512, 0xffffff);
      expect(parameters.firstBurstBytes).to.be.within(512, parameters.maxBurstBytes);
      expect(parameters.maxOutstandingR2T).to.be.within(1, 65_535);
      expect(parameters.time2WaitSeconds).to.be.within(0, 3600);
      expect(parameters.time2RetainSeconds).to.be.within(0, 3600);
      expect(parameters.headerDigest).to.equal(isTarget ? parameters.headerDigest : false);
    }),
);

const answers = pureProperty("negotiation: any offer is answered", pairs, (list) => {
  const received = new Map(list);
  for (const [key, value] of received)
    typedOnly(() => {
      const answer = answerKey(key, value, DEFAULT_WISHES, received);
      if (answer !== undefined) expect(Buffer.byteLength(answer)).to.be.at.most(8192);
    });
});

const SECRET = "correct horse battery";
const CREDENTIALS = { user: "me", secret: SECRET, target: { user: "them", secret: "another secret here" } };
const chapValue = fc.oneof(
  fc.constantFrom(
    "5",
    "7",
    "5,7",
    "0",
    "255",
    "256",
    "0x10",
    "0x",
    "0b",
    "0bAA==",
    `0x${"ab".repeat(1025)}`,
    "me",
    "them",
  ),
  fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => `0x${Buffer.from(bytes).toString("hex")}`),
  fc.string({ unit: "binary", maxLength: 300 }),
);
const chapKeys = fc.array(fc.tuple(fc.constantFrom("CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R"), chapValue));

const chap = pureProperty("CHAP: any keys, and no secret in what comes out", chapKeys, (list) => {
  const keys = new Map(list);
  const initiator = new ChapInitiator(CREDENTIALS, "7,5", { operation: "login" });
  const steps = [
    () => answerChapChallenge(keys, CREDENTIALS),
    () => readChapChallenge(keys, "5"),
    () => initiator.answer(keys),
    () => initiator.verifyTarget(keys),
  ];
  for (const step of steps)
    typedOnly(() => {
      try {
        step();
        // Nobody here knows the target's secret.
        expect(step).not.to.equal(steps[3]);
      } catch (error) {
        expect(String(error)).not.to.include(SECRET).and.not.to.include(CREDENTIALS.target.secret);
        throw error;
      }
    });
});

const proof = pureProperty(
  "CHAP: the right response is taken, a changed one is not",
  fc.tuple(fc.constantFrom("5", "6", "7"), fc.nat(15), fc.integer({ min: 1, max: 255 })),
  ([algorithm, at, flip]) => {
    const expected = { ...newChapChallenge(algorithm), credentials: CREDENTIALS };
    expect(readChapChallenge(new Map(challengePairs(expected)), algorithm).challenge).to.deep.equal(expected.challenge);
    const keys = new Map(chapResponsePairs(expected, CREDENTIALS));
    expect(verifyChapResponse(keys, expected)).to.equal(true);
    const response = decodeBinaryValue(keys.get("CHAP_R") ?? "");
    response[at] = (response[at] ?? 0) ^ flip;
    expect(verifyChapResponse(new Map([...keys, ["CHAP_R", `0x${response.toString("hex")}`]]), expected)).to.equal(
      false,
    );
  },
);

const TARGETS = encodeTextPairs([
  ["TargetName", "iqn.2026-11.test:a"],
  ["TargetAddress", "10.0.0.7:3260,1"],
  ["TargetAddress", "[fd00::7]:3260,1"],
  ["TargetName", "iqn.2026-11.test:b"],
]);
const targets = pureProperty("SendTargets: any list", hostile([TARGETS]), (bytes) =>
  typedOnly(() => {
    for (const { portals } of parseSendTargets(decodeTextPairs(bytes)))
      for (const { port } of portals) expect(port).to.be.within(1, 65_535);
  }),
);

const port = fc.integer({ min: 1, max: 65_535 });
const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
const bracketed = (name: string) => (name.includes(":") ? `[${name}]` : name);
const address = pureProperty(
  "TargetAddress: round trip",
  fc.tuple(host, port, fc.nat(0xffff)),
  ([name, number, tpgt]) => {
    expect(parseTargetAddress(`${bracketed(name)}:${number},${tpgt}`)).to.deep.equal({
      address: name,
      port: number,
      tpgt,
    });
  },
);

const junk = fc.array(fc.constantFrom(..."0123456789.:,[]%-_azAZ@/?#=& \0\u00e9", "65535", "::1", "iscsi://"), {
  maxLength: 24,
});
const addressNoise = pureProperty("TargetAddress: any text", junk, (parts) =>
  typedOnly(() => parseTargetAddress(parts.join(""))),
);

const iqn = fc.stringMatching(/^iqn\.2026-11\.[a-z]{1,8}:[a-z0-9.-]{1,20}$/);
const url = pureProperty(
  "URL: round trip",
  fc.tuple(host, port, iqn, fc.nat(16_383)),
  ([name, number, targetName, lun]) => {
    const parsed = parseTargetUrl(`iscsi://${bracketed(name)}:${number}/${targetName}/${lun}`);
    expect(parsed).to.deep.equal({ address: name, port: number, targetName, lun });
  },
);

const PASSWORD = "Tr0ub4dor";
const urlNoise = pureProperty(
  "URL: any text; a refusal repeats no password",
  fc.tuple(junk, junk),
  ([before, after]) => {
    const attempt = `iscsi://${before.join("")}:${PASSWORD}@${after.join("")}`;
    for (const candidate of [attempt, `iscsi://${before.join("")}`, after.join("")])
      try {
        parseTargetUrl(candidate);
      } catch (error) {
        if (!(error instanceof InvalidArgumentError)) throw error;
        expect(error.message).not.to.include(PASSWORD);
      }
  },
);

export const TEXT_PROPERTIES: readonly Property[] = [
  ...[
    text,
    textRoundTrip,
    binary,
    binaryNoise,
    negotiation,
    answers,
    chap,
    proof,
    targets,
    address,
    addressNoise,
    url,
    urlNoise,
  ],
];
