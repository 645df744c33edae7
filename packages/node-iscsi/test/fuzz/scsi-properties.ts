// Every SCSI decoder (SPC-4, SBC-4, SAM-5): answers of any content and length give a result or an error of this package, in bounded time.
import { expect } from "chai";
import fc from "fast-check";
import {
  decodeBlockDeviceCharacteristics,
  decodeBlockLimits,
  decodeDeviceIdentification,
  decodeLogicalBlockProvisioning,
  decodeSupportedPages,
  decodeUnitSerialNumber,
  formatDesignator,
  getLbaStatus,
  inquiry,
  inquiryVpd,
  modeSense6,
  modeSense10,
  readCapacity10,
  readCapacity16,
  readFullReservationStatus,
  readReservation,
  readReservationKeys,
  reportLuns,
  reportReservationCapabilities,
  reportSupportedOperationCode,
  requestSense,
  type ScsiCommand,
  ScsiError,
} from "node-iscsi";
import { decodeLun } from "../../src/scsi/report-luns.ts";
import { decodeSense, describeSense, encodeFixedSense } from "../../src/scsi/sense.ts";
import { hostile } from "./mutations.ts";
import { type Property, pureProperty, typedOnly } from "./property.ts";

const hex = (...parts: string[]) => Buffer.from(parts.join("").replaceAll(" ", ""), "hex");
const zeros = (bytes: number) => "00".repeat(bytes);

/** Plausible answers by hand, to be spoiled: what they say does not matter, how long their parts claim to be does. */
const INQUIRY_DATA = hex("00 00 06 12 5b 00 00 02", "49455420 20202020", "20".repeat(16), "30303031", zeros(60));
/** SPC-4 7.8.6: a T10 vendor designator, an NAA one, a SCSI name, a relative port, a UUID. */
const DESIGNATORS = hex(
  ...["02010008 4945542030303031", "01030008 6001405000000001", "03280008 69716e2e78000000", "61940004 00000001"],
  ...["010a0012 1000 00112233445566778899aabbccddeeff"],
);
const CAPACITY_16 = hex("00000000000fffff 00000200 00 03 c0 00", zeros(16));
const BLOCK_LIMITS = hex("01 08 0008", "00000800 00000080 00000000", "00010000 00000010 00000008 80000004", zeros(28));
/** Caching page with 18 more bytes, control page with 10 more, a page with subpages. */
const MODE_PAGES = hex("0812 04", zeros(17), "0a0a 02000000000000000000", "4a01 0004 00000000");
const MODE_6 = Buffer.concat([hex("2e 00 10 00"), MODE_PAGES]);
const MODE_10 = Buffer.concat([hex("0032 00 10 00 00 0008", zeros(8)), MODE_PAGES]);
const LUN_LIST = hex("00000018 00000000", "0001000000000000 4102000000000000 d200010000000000");
const LBA_STATUS = hex(
  "00000024 00000000",
  "0000000000000000 00000010 00 000000",
  "0000000000000010 00000020 01 000000",
);
const KEYS = hex("00000003 00000010", "0000000000000abc 0000000000000def");
const RESERVATION = hex("00000003 00000010", "0000000000000abc 00000000 00 01 0000");
const TRANSPORT_ID = hex("05000014", Buffer.from("iqn.2026-11.t:i\0\0\0\0\0").toString("hex"));
const FULL_STATUS = Buffer.concat([
  hex("00000003 00000030", "0000000000000abc 00000000 01 01 00000000 0001 00000018"),
  TRANSPORT_ID,
]);
const CAPABILITIES = hex("0008 1d 81 ea01 0000");
const OPERATION_CODE = hex("00 03 0010", "ff".repeat(16));
/** Fixed with a field pointer; descriptor with INFORMATION and sense key specific. */
const FIXED_SENSE = hex("f0 00 05 00000007 0a 00000000 24 00 00 c0 0002");
const DESCRIPTOR_SENSE = hex("72 05 24 00 000000 14", "000a 8000 0000000000000007", "0206 0000 c80002 00");
const SENSE = [FIXED_SENSE, DESCRIPTOR_SENSE, encodeFixedSense(6, 0x29, 0)];

const COMMANDS: readonly [ScsiCommand<unknown>, Buffer][] = [
  [inquiry(), INQUIRY_DATA],
  [inquiryVpd(0x83), Buffer.concat([hex("0083 0045"), DESIGNATORS])],
  [readCapacity10(), hex("000fffff 00000200")],
  [readCapacity16(), CAPACITY_16],
  [modeSense6(), MODE_6],
  [modeSense10(), MODE_10],
  [reportLuns(), LUN_LIST],
  [getLbaStatus(0), LBA_STATUS],
  [readReservationKeys(), KEYS],
  [readReservation(), RESERVATION],
  [reportReservationCapabilities(), CAPABILITIES],
  [readFullReservationStatus(), FULL_STATUS],
  [reportSupportedOperationCode(0x88), OPERATION_CODE],
  [requestSense(), FIXED_SENSE],
];

const PAGES: readonly [string, (page: Buffer) => unknown, Buffer][] = [
  ["00h", decodeSupportedPages, hex("00 80 83 b0 b2")],
  ["80h", decodeUnitSerialNumber, hex("20203030303100")],
  ["83h", (page) => decodeDeviceIdentification(page).map(formatDesignator), DESIGNATORS],
  ["B0h", decodeBlockLimits, BLOCK_LIMITS],
  ["B1h", decodeBlockDeviceCharacteristics, hex("0001 00 05 02", zeros(55))],
  ["B2h", decodeLogicalBlockProvisioning, hex("00 e4 02 00")],
];

/** No more results than bytes could have said: a decoder that makes more of an answer has no bound. */
function sizeOf(value: unknown): number {
  if (Buffer.isBuffer(value)) return value.length;
  if (value instanceof Set || value instanceof Map) return value.size;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + 1 + sizeOf(item), 0);
  if (typeof value === "object" && value !== null)
    return Object.values(value).reduce((sum, item) => sum + sizeOf(item), 0);
  return 0;
}

const commands = COMMANDS.map(([command, valid]) => {
  expect(() => command.decode(valid), command.name).not.to.throw();
  const room = command.dataIn?.length ?? 0;
  return pureProperty(`SCSI decoder: ${command.name}`, hostile([valid]), (bytes) => {
    // The session never hands over more than there is room for.
    const data = bytes.subarray(0, room);
    typedOnly(() => expect(sizeOf(command.decode(data))).to.be.at.most(3 * data.length));
  });
});

const pages = PAGES.map(([name, decode, valid]) => {
  expect(() => decode(valid), name).not.to.throw();
  return pureProperty(`VPD page ${name}`, hostile([valid]), (bytes) => typedOnly(() => decode(bytes)));
});

const capacity = pureProperty("READ CAPACITY(16): what is taken for a size is one", hostile([CAPACITY_16]), (bytes) =>
  typedOnly(() => {
    const { blocks, blockSize } = readCapacity16().decode(bytes);
    expect(blocks).to.be.within(1, Number.MAX_SAFE_INTEGER);
    expect(blockSize).to.be.within(256, 65_536);
  }),
);

const runs = pureProperty("GET LBA STATUS: runs follow each other", hostile([LBA_STATUS]), (bytes) =>
  typedOnly(() => {
    let next = 0;
    for (const run of getLbaStatus(0).decode(bytes)) {
      expect(run.lba).to.equal(next);
      expect(run.blocks).to.be.above(0);
      next += run.blocks;
    }
    expect(next).to.be.above(0);
  }),
);

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not come through.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

const designators = pureProperty("page 83h: text for terminals", hostile([DESIGNATORS]), (bytes) =>
  typedOnly(() => {
    for (const designator of decodeDeviceIdentification(bytes))
      expect(formatDesignator(designator)).not.to.match(CONTROL);
  }),
);

// Not `typedOnly`: it runs while an error is being made, so that no error at all may come out.
const sense = pureProperty("sense data: never throws", fc.tuple(hostile(SENSE), fc.nat(0xff)), ([bytes, status]) => {
  const decoded = decodeSense(bytes);
  const error = new ScsiError(status, decoded, { operation: "test" });
  expect(error.message).not.to.match(CONTROL);
  if (decoded !== undefined)
    expect(describeSense(decoded)).to.match(/key [0-9a-f]h, ASC [0-9a-f]{2}h, ASCQ [0-9a-f]{2}h/);
});

const fields = fc.tuple(fc.nat(15), fc.nat(255), fc.nat(255));
const senseRoundTrip = pureProperty("sense data: fixed format round trip", fields, ([senseKey, asc, ascq]) => {
  expect(decodeSense(encodeFixedSense(senseKey, asc, ascq))).to.include({ senseKey, asc, ascq, isDeferred: false });
});

const luns = pureProperty("LUN entries", hostile([LUN_LIST.subarray(8, 16)], 16), (bytes) =>
  typedOnly(() => decodeLun(bytes)),
);

export const SCSI_PROPERTIES: readonly Property[] = [
  ...commands,
  ...pages,
  capacity,
  runs,
  designators,
  sense,
  senseRoundTrip,
  luns,
];
