// Codecs against captured PDUs. All hex without another remark: libiscsi 1.19 (iscsi-ls, iscsi-readcapacity16, qemu-io 7.2)
// talking to tgtd 1.0.85 over loopback, recorded by a proxy on 2026-11-21. Pairs not captured are laid out by hand from RFC 7143.
import { expect } from "chai";
import { ProtocolError } from "../errors.ts";
import { decodeSense } from "../scsi/sense.ts";
import {
  decodeAsyncMessage,
  decodeReject,
  encodeAsyncMessage,
  encodeReject,
  rejectReasonText,
} from "./async-message.ts";
import {
  decodeDataIn,
  decodeDataOut,
  decodeReadyToTransfer,
  encodeDataIn,
  encodeDataOut,
  encodeReadyToTransfer,
} from "./data.ts";
import { dataSegmentLength, newHeader, RESERVED_TAG, readLun, writeLun } from "./header.ts";
import { decodeLoginRequest, decodeLoginResponse, encodeLoginRequest, encodeLoginResponse } from "./login.ts";
import { decodeLogoutRequest, decodeLogoutResponse, encodeLogoutRequest, encodeLogoutResponse } from "./logout.ts";
import { decodeNopIn, decodeNopOut, encodeNopIn, encodeNopOut } from "./nop.ts";
import { decodeScsiCommand, decodeScsiResponse, encodeScsiCommand, encodeScsiResponse, senseBytes } from "./scsi.ts";
import {
  decodeTaskManagementRequest,
  decodeTaskManagementResponse,
  encodeTaskManagementRequest,
  encodeTaskManagementResponse,
} from "./task-management.ts";
import { decodeTextRequest, decodeTextResponse, encodeTextRequest, encodeTextResponse } from "./text.ts";
import { decodeBinaryValue, decodeTextPairs, encodeTextPairs, textPairsToMap } from "./text-keys.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

const LOGIN_REQUEST = hex(
  "438700000000018b 80e5c3b60000 0000 36ccf72e 0000 0000 26220417 00000001 00000000000000000000000000000000",
);
const LOGIN_RESPONSE = hex(
  "238700000000012c 80e5c3b60000 0100 36ccf72e 00000000 00000000 26220417 26220418 000000000000000000000000",
);
const TEXT_REQUEST = hex(
  "4480000000000010 0000000000000000 36ccf72f ffffffff 26220417 00000001 00000000000000000000000000000000",
);
const TEXT_RESPONSE = hex(
  "2480000000000041 0000000000000000 36ccf72f ffffffff 00000001 26220417 26220418 000000000000000000000000",
);
const LOGOUT_REQUEST = hex(
  "4680000000000000 0000000000000000 36ccf730 00000000 26220417 00000002 00000000000000000000000000000000",
);
const LOGOUT_RESPONSE = hex(
  "2680000000000000 0000000000000000 36ccf730 00000000 00000002 26220417 26220418 000000000000000000000000",
);
const TEST_UNIT_READY = hex(
  "0181000000000000 0001000000000000 53952eab 00000000 355436f1 00000001 00000000000000000000000000000000",
);
const CHECK_CONDITION = hex(
  "2180000200000014 0000000000000000 53952eab 00000000 00000001 355436f2 35543772 000000000000000000000000",
);
const DATA_IN = hex(
  "2581000000000020 0000000000000000 53952ead ffffffff 00000003 355436f4 35543774 000000000000000000000000",
);
const R2T = hex(
  "3180000000000000 0001000000000000 798cd7f9 b0aa3ed4 0000000c 61e5f2bc 61e5f33c 00000000 00002000 00040000",
);
const DATA_OUT = hex(
  "0500000000002000 0001000000000000 798cd7f9 b0aa3ed4 00000000 0000000d 00000000 00000001 00004000 00000000",
);

describe("captured PDUs", () => {
  it("Login Request and Response", () => {
    const request = decodeLoginRequest(LOGIN_REQUEST);
    expect(request).to.deep.include({
      transit: true,
      currentStage: 1,
      nextStage: 3,
      tsih: 0,
      cmdSn: 0x26220417,
      expStatSn: 1,
    });
    expect(encodeLoginRequest(request, 0x18b).equals(LOGIN_REQUEST)).to.equal(true);
    const response = decodeLoginResponse(LOGIN_RESPONSE);
    expect(response).to.deep.include({ transit: true, tsih: 0x100, statusClass: 0, maxCmdSn: 0x26220418, statSn: 0 });
    expect(encodeLoginResponse(response, 0x12c).equals(LOGIN_RESPONSE)).to.equal(true);
  });

  it("Text Request and Response", () => {
    const request = decodeTextRequest(TEXT_REQUEST);
    expect(request).to.deep.include({ final: true, initiatorTaskTag: 0x36ccf72f, targetTransferTag: RESERVED_TAG });
    // libiscsi sends it as immediate; we do not, so the first byte differs by design.
    expect(encodeTextRequest(request, 16).subarray(1).equals(TEXT_REQUEST.subarray(1))).to.equal(true);
    expect(encodeTextResponse(decodeTextResponse(TEXT_RESPONSE), 0x41).equals(TEXT_RESPONSE)).to.equal(true);
    expect(encodeTextPairs([["SendTargets", "All"]])).to.deep.equal(hex("53656e64546172676574733d416c6c00"));
  });

  it("Logout Request and Response", () => {
    expect(encodeLogoutRequest(decodeLogoutRequest(LOGOUT_REQUEST)).equals(LOGOUT_REQUEST)).to.equal(true);
    expect(encodeLogoutResponse(decodeLogoutResponse(LOGOUT_RESPONSE)).equals(LOGOUT_RESPONSE)).to.equal(true);
    expect(decodeLogoutResponse(LOGOUT_RESPONSE).response).to.equal(0);
  });

  it("SCSI Command and Response with sense", () => {
    const command = decodeScsiCommand(TEST_UNIT_READY);
    expect(command).to.deep.include({
      final: true,
      read: false,
      write: false,
      attribute: 1,
      lun: 1,
      cmdSn: 0x355436f1,
    });
    expect(encodeScsiCommand({ ...command, lun: command.lun ?? -1 }).equals(TEST_UNIT_READY)).to.equal(true);
    const response = decodeScsiResponse(CHECK_CONDITION);
    expect(response).to.deep.include({ response: 0, status: 2, initiatorTaskTag: 0x53952eab, statSn: 1 });
    expect(encodeScsiResponse(response, 0x14).equals(CHECK_CONDITION)).to.equal(true);
    const sense = senseBytes(hex("0012700006000000000a00000000290000000000"));
    expect(sense && decodeSense(sense)).to.deep.include({ senseKey: 6, asc: 0x29, ascq: 0 });
  });

  it("Data-In with status, R2T, Data-Out", () => {
    const dataIn = decodeDataIn(DATA_IN);
    expect(dataIn).to.deep.include({ final: true, status: 0, dataSn: 0, bufferOffset: 0, dataSegmentLength: 32 });
    expect(encodeDataIn(dataIn).equals(DATA_IN)).to.equal(true);
    const r2t = decodeReadyToTransfer(R2T);
    expect(r2t).to.deep.include({
      bufferOffset: 0x2000,
      desiredLength: 0x40000,
      r2tSn: 0,
      targetTransferTag: 0xb0aa3ed4,
    });
    expect(encodeReadyToTransfer(r2t, 1).equals(R2T)).to.equal(true);
    const dataOut = decodeDataOut(DATA_OUT);
    expect(dataOut).to.deep.include({ final: false, dataSn: 1, bufferOffset: 0x4000, expStatSn: 13 });
    expect(encodeDataOut({ ...dataOut, lun: 1 }).equals(DATA_OUT)).to.equal(true);
  });
});

describe("PDUs laid out from RFC 7143", () => {
  it("NOP-Out answer (11.18) and NOP-In (11.19)", () => {
    const nopIn = hex(
      "2080000000000000 0001000000000000 ffffffff 00000abc 00000005 00000010 00000020 000000000000000000000000",
    );
    const ping = decodeNopIn(nopIn);
    expect(ping).to.deep.include({ initiatorTaskTag: RESERVED_TAG, targetTransferTag: 0xabc, statSn: 5 });
    expect(encodeNopIn(ping, 0).equals(nopIn)).to.equal(true);
    const nopOut = hex(
      "4080000000000000 0001000000000000 ffffffff 00000abc 00000011 00000005 00000000000000000000000000000000",
    );
    expect(encodeNopOut({ ...ping, cmdSn: 0x11, expStatSn: 5 }).equals(nopOut)).to.equal(true);
    expect(decodeNopOut(nopOut).targetTransferTag).to.equal(0xabc);
  });

  it("Task Management Function (11.5, 11.6)", () => {
    const request = hex(
      "4281000000000000 0001000000000000 00000009 00000007 00000011 00000005 0000000f 000000000000000000000000",
    );
    const fields = {
      function: 1,
      lun: 1,
      initiatorTaskTag: 9,
      referencedTaskTag: 7,
      cmdSn: 17,
      expStatSn: 5,
      refCmdSn: 15,
    };
    expect(encodeTaskManagementRequest(fields).equals(request)).to.equal(true);
    expect(decodeTaskManagementRequest(request)).to.deep.equal(fields);
    const response = hex(
      "2280ff0000000000 0000000000000000 00000009 00000000 00000005 00000010 00000020 000000000000000000000000",
    );
    expect(decodeTaskManagementResponse(response).response).to.equal(255);
    expect(encodeTaskManagementResponse(decodeTaskManagementResponse(response)).equals(response)).to.equal(true);
  });

  it("Asynchronous Message (11.9) and Reject (11.17)", () => {
    const message = hex(
      "3280000000000000 0000000000000000 ffffffff 00000000 00000005 00000010 00000020 0100 0001 0002 0003 00000000",
    );
    expect(decodeAsyncMessage(message)).to.deep.include({ event: 1, parameter1: 1, parameter2: 2, parameter3: 3 });
    expect(encodeAsyncMessage(decodeAsyncMessage(message)).equals(message)).to.equal(true);
    const reject = hex(
      "3f80090000000030 0000000000000000 ffffffff 00000000 00000005 00000010 00000020 000000000000000000000000",
    );
    expect(encodeReject(decodeReject(reject), 48).equals(reject)).to.equal(true);
    expect(rejectReasonText(decodeReject(reject).reason)).to.equal("invalid PDU field");
  });

  it("SCSI Command flags of a write that unsolicited data follows (11.3), and residuals (11.4.5)", () => {
    const header = encodeScsiCommand({
      final: false,
      read: false,
      write: true,
      attribute: 1,
      lun: 300,
      initiatorTaskTag: 1,
      expectedDataTransferLength: 512,
      cmdSn: 2,
      expStatSn: 3,
      cdb: hex("8a"),
      dataSegmentLength: 512,
    });
    expect(header.toString("hex", 0, 24)).to.equal("0121000000000200412c0000000000000000000100000200");
    const underflow = hex(
      "2182000000000000 0000000000000000 00000001 00000000 00000001 00000001 00000001 00000000 00000000 00000200",
    );
    expect(decodeScsiResponse(underflow).residual).to.deep.equal({ kind: "underflow", bytes: 512 });
  });
});

describe("header fields", () => {
  it("DataSegmentLength shares its word with TotalAHSLength", () => {
    expect(dataSegmentLength(hex("0000000005000010"))).to.equal(16);
    expect(() => decodeDataIn(newHeader(0x21, 0))).to.throw(ProtocolError, "expected DataIn, got ScsiResponse");
  });

  it("single-level LUNs", () => {
    for (const lun of [0, 255, 256, 16383]) {
      const field = Buffer.alloc(8);
      writeLun(field, lun, 0);
      expect(readLun(field, 0)).to.equal(lun);
    }
    expect(() => writeLun(Buffer.alloc(8), 16384, 0)).to.throw(ProtocolError);
    expect(readLun(hex("c101000000000000"), 0)).to.equal(undefined);
  });
});

describe("text keys", () => {
  it("keeps order and repetition, refuses what is no pair, refuses repetition where it is an error", () => {
    const pairs = decodeTextPairs(Buffer.from("A=1\0B=x=y\0A=2\0"));
    expect(pairs).to.deep.equal([
      ["A", "1"],
      ["B", "x=y"],
      ["A", "2"],
    ]);
    expect(() => textPairsToMap(pairs)).to.throw(ProtocolError, "twice");
    expect(() => decodeTextPairs(Buffer.from("nonsense\0"))).to.throw(ProtocolError);
  });

  it("reads hexadecimal and base64 values", () => {
    expect(decodeBinaryValue("0xDEADbeef")).to.deep.equal(hex("deadbeef"));
    expect(decodeBinaryValue("0b3q2+7w==")).to.deep.equal(hex("deadbeef"));
    expect(() => decodeBinaryValue("deadbeef")).to.throw(ProtocolError);
  });
});
