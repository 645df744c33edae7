// Every PDU codec of RFC 7143 11: decoding never throws anything untyped, and what was encoded decodes to itself.
import { expect } from "chai";
import fc from "fast-check";
import * as asynchronous from "../../src/pdu/async-message.ts";
import * as data from "../../src/pdu/data.ts";
import { HEADER_BYTES, Opcode, readLun, writeLun } from "../../src/pdu/header.ts";
import * as login from "../../src/pdu/login.ts";
import * as logout from "../../src/pdu/logout.ts";
import * as nop from "../../src/pdu/nop.ts";
import * as scsi from "../../src/pdu/scsi.ts";
import * as management from "../../src/pdu/task-management.ts";
import * as text from "../../src/pdu/text.ts";
import { hostile } from "./mutations.ts";
import { type Property, pureProperty, typedOnly } from "./property.ts";

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u24 = fc.nat(0xffffff);
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const flag = fc.boolean();
const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => Buffer.from(value));
const lun = fc.nat(0x3fff);
const sequence = { statSn: u32, expCmdSn: u32, maxCmdSn: u32 };
const numbers = { cmdSn: u32, expStatSn: u32 };
const tags = { initiatorTaskTag: u32, targetTransferTag: u32 };
const residual = fc.oneof(
  fc.constant(scsi.NO_RESIDUAL),
  fc.record({ kind: fc.constantFrom("underflow" as const, "overflow" as const), bytes: u32 }),
);
const stage = {
  transit: flag,
  continues: flag,
  currentStage: fc.nat(3),
  isid: bytes(6),
  tsih: u16,
  initiatorTaskTag: u32,
};

/** One PDU: values it can carry, and both directions. */
interface Codec<T> {
  readonly name: string;
  readonly opcode: number;
  readonly values: fc.Arbitrary<T>;
  encode(value: T): Buffer;
  decode(header: Buffer): unknown;
  /** What decoding gives, when it is not all of the value. */
  decoded?(value: T): unknown;
}

/** Hides the value's type, so that all codecs go into one list. */
function codec<T extends object>(parts: Codec<T>): Codec<never> {
  return parts as unknown as Codec<never>;
}

const CODECS: readonly Codec<never>[] = [
  codec({
    name: "SCSI Command",
    opcode: Opcode.ScsiCommand,
    values: fc.record({
      ...{ final: flag, read: flag, write: flag, attribute: fc.nat(7), lun, initiatorTaskTag: u32 },
      ...{ expectedDataTransferLength: u32, ...numbers, cdb: bytes(16), dataSegmentLength: u24 },
    }),
    encode: scsi.encodeScsiCommand,
    decode: scsi.decodeScsiCommand,
  }),
  codec({
    name: "SCSI Response",
    opcode: Opcode.ScsiResponse,
    values: fc.record({ response: u8, status: u8, initiatorTaskTag: u32, ...sequence, expDataSn: u32, residual }),
    encode: (pdu) => scsi.encodeScsiResponse(pdu, 0),
    decode: scsi.decodeScsiResponse,
  }),
  codec({
    name: "Data-Out",
    opcode: Opcode.DataOut,
    values: fc.record({
      ...{ final: flag, lun, ...tags, expStatSn: u32, dataSn: u32, bufferOffset: u32, dataSegmentLength: u24 },
    }),
    encode: data.encodeDataOut,
    decode: data.decodeDataOut,
    decoded: ({ lun: _lun, ...rest }) => rest,
  }),
  codec({
    name: "Data-In",
    opcode: Opcode.DataIn,
    values: fc.record({
      ...{ final: flag, status: fc.option(u8, { nil: undefined }), ...tags, ...sequence, dataSn: u32 },
      ...{ bufferOffset: u32, residual, dataSegmentLength: u24 },
    }),
    encode: data.encodeDataIn,
    decode: data.decodeDataIn,
    // RFC 7143 11.7.2: without S neither StatSN nor the residual mean anything.
    decoded: (pdu) => (pdu.status === undefined ? { ...pdu, statSn: 0, residual: scsi.NO_RESIDUAL } : pdu),
  }),
  codec({
    name: "R2T",
    opcode: Opcode.ReadyToTransfer,
    values: fc.record({ ...tags, ...sequence, r2tSn: u32, bufferOffset: u32, desiredLength: u32 }),
    encode: (pdu) => data.encodeReadyToTransfer(pdu, 1),
    decode: data.decodeReadyToTransfer,
  }),
  codec({
    name: "Login Request",
    opcode: Opcode.LoginRequest,
    values: fc.record({ ...stage, nextStage: fc.nat(3), connectionId: u16, ...numbers }),
    encode: (pdu) => login.encodeLoginRequest(pdu, 0),
    decode: login.decodeLoginRequest,
    decoded: (pdu) => (pdu.transit ? pdu : { ...pdu, nextStage: 0 }),
  }),
  codec({
    name: "Login Response",
    opcode: Opcode.LoginResponse,
    values: fc.record({
      ...{ ...stage, nextStage: fc.nat(3), ...sequence, versionActive: u8, statusClass: u8, statusDetail: u8 },
    }),
    encode: (pdu) => login.encodeLoginResponse(pdu, 0),
    decode: login.decodeLoginResponse,
    decoded: (pdu) => (pdu.transit ? pdu : { ...pdu, nextStage: 0 }),
  }),
  codec({
    name: "Logout Request",
    opcode: Opcode.LogoutRequest,
    values: fc.record({ reason: fc.nat(0x7f), initiatorTaskTag: u32, connectionId: u16, ...numbers }),
    encode: logout.encodeLogoutRequest,
    decode: logout.decodeLogoutRequest,
  }),
  codec({
    name: "Logout Response",
    opcode: Opcode.LogoutResponse,
    values: fc.record({ response: u8, initiatorTaskTag: u32, ...sequence, time2Wait: u16, time2Retain: u16 }),
    encode: logout.encodeLogoutResponse,
    decode: logout.decodeLogoutResponse,
  }),
  codec({
    name: "NOP-Out",
    opcode: Opcode.NopOut,
    values: fc.record({ lunField: bytes(8), ...tags, ...numbers }),
    encode: nop.encodeNopOut,
    decode: nop.decodeNopOut,
  }),
  codec({
    name: "NOP-In",
    opcode: Opcode.NopIn,
    values: fc.record({ lunField: bytes(8), ...tags, ...sequence }),
    encode: (pdu) => nop.encodeNopIn(pdu, 0),
    decode: nop.decodeNopIn,
  }),
  codec({
    name: "Task Management Request",
    opcode: Opcode.TaskManagementRequest,
    values: fc.record({
      ...{ function: fc.nat(0x7f), lun, initiatorTaskTag: u32, referencedTaskTag: u32, ...numbers, refCmdSn: u32 },
    }),
    encode: management.encodeTaskManagementRequest,
    decode: management.decodeTaskManagementRequest,
  }),
  codec({
    name: "Task Management Response",
    opcode: Opcode.TaskManagementResponse,
    values: fc.record({ response: u8, initiatorTaskTag: u32, ...sequence }),
    encode: management.encodeTaskManagementResponse,
    decode: management.decodeTaskManagementResponse,
  }),
  codec({
    name: "Text Request",
    opcode: Opcode.TextRequest,
    values: fc.record({ final: flag, continues: flag, ...tags, lunField: bytes(8), ...numbers }),
    encode: (pdu) => text.encodeTextRequest(pdu, 0),
    decode: text.decodeTextRequest,
  }),
  codec({
    name: "Text Response",
    opcode: Opcode.TextResponse,
    values: fc.record({ final: flag, continues: flag, ...tags, lunField: bytes(8), ...sequence }),
    encode: (pdu) => text.encodeTextResponse(pdu, 0),
    decode: text.decodeTextResponse,
  }),
  codec({
    name: "Asynchronous Message",
    opcode: Opcode.AsyncMessage,
    values: fc.record({
      ...{ event: u8, vendorCode: u8, parameter1: u16, parameter2: u16, parameter3: u16, ...sequence },
    }),
    encode: (pdu) => asynchronous.encodeAsyncMessage(pdu),
    decode: asynchronous.decodeAsyncMessage,
  }),
  codec({
    name: "Reject",
    opcode: Opcode.Reject,
    values: fc.record({ reason: u8, ...sequence }),
    encode: (pdu) => asynchronous.encodeReject(pdu, 0),
    decode: asynchronous.decodeReject,
  }),
];

function roundTrip({ name, values, encode, decode, decoded }: Codec<never>): Property {
  return pureProperty(`PDU round trip: ${name}`, values, (value) => {
    const header = encode(value);
    expect(header.length).to.equal(HEADER_BYTES);
    expect(decode(header)).to.deep.equal(decoded === undefined ? value : decoded(value));
  });
}

function hostileHeader({ name, opcode, values, encode, decode }: Codec<never>): Property {
  const [model] = fc.sample(values, { numRuns: 1, seed: 1 });
  const headers = hostile([encode(model as never)], 80);
  return pureProperty(`PDU decoder: ${name}`, fc.tuple(headers, flag), ([header, hasItsOpcode]) => {
    if (hasItsOpcode && header.length > 0) header[0] = opcode;
    typedOnly(() => decode(header));
  });
}

const luns = pureProperty(
  "LUN field: every number comes back, no field is misread",
  fc.tuple(lun, bytes(8)),
  ([number, field]) => {
    const written = Buffer.alloc(8);
    writeLun(written, number, 0);
    expect(readLun(written, 0)).to.equal(number);
    const read = readLun(field, 0);
    if (read !== undefined) expect(read).to.be.within(0, 0x3fff);
  },
);

const parts = pureProperty("SCSI Response and Reject data segments", hostile([Buffer.alloc(50, 0x12)]), (segment) => {
  const sense = scsi.senseBytes(segment);
  if (sense !== undefined) expect(sense.length).to.be.within(1, segment.length - 2);
  const refused = asynchronous.rejectedHeader(segment);
  if (refused !== undefined) expect(refused.length).to.equal(HEADER_BYTES);
  else expect(segment.length).to.be.below(HEADER_BYTES);
});

export const PDU_PROPERTIES: readonly Property[] = [
  ...CODECS.map(roundTrip),
  ...CODECS.map(hostileHeader),
  luns,
  parts,
];
