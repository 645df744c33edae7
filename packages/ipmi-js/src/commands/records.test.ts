// Codecs of SEL, SDR, sensor and FRU commands. Bytes of `ipmitool raw` to ipmi_sim and its answers, or by hand from the named tables.
import { expect } from "chai";
import { WireError } from "../wire/wire-error.ts";
import { addSelEntry } from "./add-sel-entry.ts";
import { clearSel } from "./clear-sel.ts";
import { getFruInventoryAreaInfo, readFruData, writeFruData } from "./fru-inventory.ts";
import { getSdr, getSelEntry } from "./get-record.ts";
import { getSdrRepositoryInfo } from "./get-sdr-repository-info.ts";
import { getSelInfo } from "./get-sel-info.ts";
import { getSensorReading } from "./get-sensor-reading.ts";
import { getSensorThresholds } from "./get-sensor-thresholds.ts";
import { reserveSdrRepository, reserveSel } from "./reservation.ts";
import { getSelTime, setSelTime } from "./sel-time.ts";

const bytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");

describe("record command codecs", () => {
  it("Get SEL Info: ipmi_sim's answer; ipmitool says 4 entries, 15936 bytes free, last addition 12:09:51 after the start", () => {
    const answer = bytes("51 04 00 40 3e 0f ab 00 00 00 00 00 00 0a");
    const info = getSelInfo.decodeResponse(answer);
    expect(info).to.deep.equal({
      version: "1.5",
      entryCount: 4,
      freeBytes: 15936,
      lastAdditionSeconds: (12 * 60 + 9) * 60 + 51,
      lastEraseSeconds: 0,
      hasOverflowed: false,
      canDelete: true,
      canReserve: true,
    });
    expect(getSelInfo.encodeResponse(info)).to.deep.equal(answer);
    expect(getSelInfo.decodeResponse(bytes("51 0000 0000 00000000 00000000 80")).hasOverflowed).to.equal(true);
    expect(() => getSelInfo.decodeResponse(answer.subarray(1))).to.throw(WireError);
  });

  it("Get SDR Repository Info: ipmi_sim's answer", () => {
    const answer = bytes("51 01 00 fe ff 0f ab 00 00 00 00 00 00 02");
    const info = getSdrRepositoryInfo.decodeResponse(answer);
    expect(info).to.include({ version: "1.5", recordCount: 1, freeBytes: 0xfffe, canReserve: true });
    expect(getSdrRepositoryInfo.encodeResponse(info)).to.deep.equal(answer);
  });

  it("reservations: ipmi_sim's answer", () => {
    expect(reserveSel.decodeResponse(bytes("02 00"))).to.deep.equal({ reservationId: 2 });
    expect(reserveSel.encodeResponse({ reservationId: 0x1234 })).to.deep.equal(bytes("34 12"));
    expect([reserveSel.code, reserveSdrRepository.code]).to.deep.equal([0x42, 0x22]);
    expect(() => reserveSdrRepository.decodeResponse(bytes("02"))).to.throw(WireError, "Reserve SDR Repository");
  });

  it("Get SEL Entry and Get SDR: `raw 0x0a 0x43 0 0 0 0 0 0xff` and ipmi_sim's answer", () => {
    const request = { reservationId: 0, recordId: 0, offset: 0, byteCount: 0xff };
    expect(getSelEntry.encodeRequest(request)).to.deep.equal(bytes("00 00 00 00 00 ff"));
    const answer = getSelEntry.decodeResponse(bytes("02 00 01 00 02 0f ab 00 00 20 00 04 01 01 01 59 61 60"));
    expect(answer.nextRecordId).to.equal(2);
    expect(answer.data.toString("hex")).to.equal("0100020fab0000200004010101596160");
    const piece = { reservationId: 0x1234, recordId: 0x5678, offset: 5, byteCount: 16 };
    expect(getSdr.encodeRequest(piece)).to.deep.equal(bytes("34 12 78 56 05 10"));
    expect(getSdr.decodeRequest(bytes("34 12 78 56 05 10"))).to.deep.equal(piece);
    expect([getSelEntry.code, getSdr.code]).to.deep.equal([0x43, 0x23]);
  });

  it("Add SEL Entry: 16 bytes, no more and no fewer (31.6)", () => {
    const record = bytes("00 00 02 00 00 00 00 20 00 04 0c 53 6f 01 ff ff");
    expect(addSelEntry.encodeRequest({ record: Buffer.concat([record, record]) })).to.deep.equal(record);
    expect(addSelEntry.decodeRequest(record)).to.deep.equal({ record });
    expect(() => addSelEntry.decodeRequest(record.subarray(1))).to.throw(WireError);
    expect(addSelEntry.decodeResponse(bytes("03 00"))).to.deep.equal({ recordId: 3 });
  });

  it("Clear SEL: CLR, AAh to begin, 00h to ask (31.9)", () => {
    expect(clearSel.encodeRequest({ reservationId: 2, action: "initiate-erase" })).to.deep.equal(
      bytes("02 00 43 4c 52 aa"),
    );
    expect(clearSel.encodeRequest({ reservationId: 2, action: "get-status" })).to.deep.equal(
      bytes("02 00 43 4c 52 00"),
    );
    expect(clearSel.decodeResponse(bytes("01"))).to.deep.equal({ isErased: true });
    expect(clearSel.decodeResponse(bytes("00"))).to.deep.equal({ isErased: false });
    expect(() => clearSel.decodeRequest(bytes("02 00 43 4c 58 aa"))).to.throw(WireError, "CLR");
    expect(() => clearSel.decodeRequest(bytes("02 00 43 4c 52 bb"))).to.throw(WireError);
  });

  it("SEL time: four bytes, the least significant first (31.10, 31.11)", () => {
    expect(getSelTime.decodeResponse(bytes("05 3c 94 65"))).to.deep.equal({ seconds: 0x65943c05 });
    expect(setSelTime.encodeRequest({ seconds: 0x65943c05 })).to.deep.equal(bytes("05 3c 94 65"));
  });

  it("Get Sensor Reading: ipmi_sim's answer, with and without the optional bytes", () => {
    const reading = getSensorReading.decodeResponse(bytes("60 c0 00 00"));
    const expected = { raw: 0x60, hasEventMessages: true, isScanning: true, isUnavailable: false, states: 0 };
    expect(reading).to.deep.equal(expected);
    expect(getSensorReading.decodeResponse(bytes("60 c0"))).to.deep.equal(expected);
    expect(getSensorReading.decodeResponse(bytes("00 20 09 81"))).to.include({ isUnavailable: true, states: 0x109 });
    expect(getSensorReading.encodeResponse({ ...expected, states: 0x109 })).to.deep.equal(bytes("60 c0 09 81"));
    expect(() => getSensorReading.decodeResponse(bytes("60"))).to.throw(WireError);
  });

  it("Get Sensor Thresholds: ipmi_sim's answer; ipmitool says 112, 144, 160 upper and no lower ones", () => {
    const answer = bytes("38 00 00 00 70 90 a0");
    const thresholds = getSensorThresholds.decodeResponse(answer);
    expect(thresholds).to.deep.equal({ upperNonCritical: 112, upperCritical: 144, upperNonRecoverable: 160 });
    expect(getSensorThresholds.encodeResponse(thresholds)).to.deep.equal(answer);
    expect(getSensorThresholds.encodeResponse({ lowerCritical: 7 })).to.deep.equal(bytes("02 00 07 00 00 00 00"));
  });

  it("FRU: `raw 0x0a 0x10 0`, `raw 0x0a 0x11 0 0 0 8` and ipmi_sim's answers", () => {
    const info = getFruInventoryAreaInfo.decodeResponse(bytes("78 00 00"));
    expect(info).to.deep.equal({ sizeBytes: 120, isAccessedByWords: false });
    expect(getFruInventoryAreaInfo.encodeResponse(info)).to.deep.equal(bytes("78 00 00"));
    const request = { fruDeviceId: 0, offset: 0x102, count: 8 };
    expect(readFruData.encodeRequest(request)).to.deep.equal(bytes("00 02 01 08"));
    const header = bytes("01 00 01 04 09 00 00 f1");
    expect(readFruData.decodeResponse(bytes("08 01 00 01 04 09 00 00 f1"))).to.deep.equal({ data: header });
    expect(readFruData.encodeResponse({ data: header })).to.deep.equal(bytes("08 01 00 01 04 09 00 00 f1"));
    expect(() => readFruData.decodeResponse(bytes("08"))).to.throw(WireError, "lacks its data");
    const write = { fruDeviceId: 1, offset: 0x10, data: bytes("aa bb") };
    expect(writeFruData.encodeRequest(write)).to.deep.equal(bytes("01 10 00 aa bb"));
    expect(writeFruData.decodeRequest(bytes("01 10 00 aa bb"))).to.deep.equal(write);
    expect(writeFruData.decodeResponse(bytes("02"))).to.deep.equal({ count: 2 });
  });
});
