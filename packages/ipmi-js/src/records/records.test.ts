// Decoders of records. Bytes of ipmi_sim, or by hand from the named tables; texts as ipmitool 1.8.19 prints them.
import { expect } from "chai";
import { sensorsOf } from "../read-sensors.ts";
import { WireError } from "../wire/wire-error.ts";
import { decodeFruBoard, decodeFruHeader, decodeFruProduct } from "./fru-areas.ts";
import { decodeSdr } from "./sdr-record.ts";
import type { SensorRecord } from "./sdr-sensor-record.ts";
import { decodeSelRecord } from "./sel-record.ts";
import { type ConversionFactors, convertReading, rawFromValue, signed } from "./sensor-conversion.ts";
import { sensorTypeName, sensorTypeNumber } from "./sensor-types.ts";
import { unitNumber, unitText } from "./sensor-units.ts";
import { decodeBcdPlus, decodeSixBitAscii } from "./type-length.ts";

const bytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");
const event = (type: string, direction: string, data: string) => {
  const record = decodeSelRecord(bytes(`0100 02 053c9465 2000 04 ${type} 09 ${direction} ${data}`));
  return record.kind === "event" ? record : expect.fail("it is an event");
};

describe("SEL records", () => {
  it("times: real ones, those since the BMC's start, and none (37.1)", () => {
    expect(event("0c", "6f", "00ffff")).to.deep.include({ seconds: 0x65943c05, time: new Date(0x65943c05 * 1000) });
    for (const seconds of ["0fab0000", "ffffff1f", "ffffffff"]) {
      const record = decodeSelRecord(bytes(`0100 02 ${seconds} 2000 04 0c 05 6f 00ffff`));
      expect(record.kind === "event" && record.time, seconds).to.equal(undefined);
    }
    const first = decodeSelRecord(bytes("0100 02 00000020 2000 04 0c 05 6f 00ffff"));
    expect(first.kind === "event" && first.time?.getTime()).to.equal(0x20000000 * 1000);
  });

  it("texts of generic, sensor-specific and vendors' events (tables 42-1 to 42-3)", () => {
    const text = (...[type, direction, data]: [string, string, string]) => event(type, direction, data).text;
    expect(text("01", "01", "59 61 60")).to.equal("Temperature sensor 09h: Upper Critical going high, asserted");
    expect(text("01", "81", "50 61 60")).to.equal("Temperature sensor 09h: Lower Non-critical going low, deasserted");
    expect(text("0c", "6f", "01 ff ff")).to.equal("Memory sensor 09h: Uncorrectable ECC, asserted");
    expect(text("25", "08", "01 ff ff")).to.equal("Entity Presence sensor 09h: Device Present, asserted");
    expect(text("08", "0b", "05 ff ff")).to.equal(
      "Power Supply sensor 09h: Non-Redundant: Insufficient Resources, asserted",
    );
    expect(text("23", "6f", "08 ff ff")).to.equal("Watchdog 2 sensor 09h: Timer interrupt, asserted");
    expect(text("c3", "70", "02 ff ff")).to.equal("OEM sensor type C3h sensor 09h: event type 70h offset 2, asserted");
    expect(text("04", "0d", "00 ff ff")).to.equal("Fan sensor 09h: event type 0Dh offset 0, asserted");
    expect(text("2d", "6f", "0f ff ff")).to.contain("unknown sensor type 2Dh");
  });

  it("the reading and threshold of an event only where its first byte says so (table 29-6)", () => {
    expect(event("01", "01", "59 61 60")).to.include({ triggerReading: 0x61, triggerThreshold: 0x60, offset: 9 });
    expect(event("01", "01", "19 61 60")).to.include({ triggerReading: undefined, triggerThreshold: 0x60 });
    expect(event("01", "01", "89 61 60")).to.include({ triggerReading: undefined, triggerThreshold: undefined });
    expect(event("0c", "6f", "50 61 60")).to.include({ triggerReading: undefined, triggerThreshold: undefined });
  });

  it("sensor types by name", () => {
    expect(sensorTypeNumber("temperature")).to.equal(1);
    expect(sensorTypeNumber("FRU State")).to.equal(0x2c);
    expect([sensorTypeNumber("reserved"), sensorTypeNumber("Temper")]).to.deep.equal([undefined, undefined]);
    expect([0x0f, 0x12, 0x1f, 0x22, 0x28, 0x2b].map(sensorTypeName)).to.deep.equal([
      "System Firmware Progress",
      "System Event",
      "OS Boot",
      "System ACPI Power State",
      "Management Subsystem Health",
      "Version Change",
    ]);
  });
});

describe("sensor data records", () => {
  const compact = (share: string, instance: string) => {
    const body = `20 00 30 0b 01 67 00 04 03 0300 0300 0300 c0 00 00 ${share} ${instance} 000000000000 c3 46616e`;
    const record = decodeSdr(bytes(`0900 51 02 1e ${body}`));
    return record.kind === "sensor" ? record : expect.fail(JSON.stringify(record));
  };

  it("a shared compact record stands for several sensors (table 43-2)", () => {
    const names = (record: SensorRecord) => sensorsOf(record).map(({ name, sensorNumber }) => [name, sensorNumber]);
    expect(names(compact("01", "00"))).to.deep.equal([["Fan", 0x30]]);
    expect(names(compact("03", "01"))).to.deep.equal([
      ["Fan1", 0x30],
      ["Fan2", 0x31],
      ["Fan3", 0x32],
    ]);
    expect(names(compact("12", "19")).map(([name]) => name)).to.deep.equal(["FanZ", "FanAA"]);
    expect(sensorsOf(compact("02", "80")).map(({ entityInstance }) => entityInstance)).to.deep.equal([1, 2]);
    expect(sensorsOf(compact("02", "00")).map(({ entityInstance }) => entityInstance)).to.deep.equal([1, 1]);
  });

  it("names in 6-bit ASCII, BCD plus and Unicode, and cut off ones (43.15)", () => {
    const named = (typeLength: string, text: string) => {
      const record = decodeSdr(bytes(`0100 51 12 10 20 00 00 9f 000000 07 01 00 ${typeLength} ${text}`));
      return record.kind === "controller" ? record.name : record.kind;
    };
    // "IPMI" in 6-bit ASCII is 29h DCh A6h: the example of the FRU definition, 13.3.
    expect(named("83", "29dca6")).to.equal("IPMI");
    expect(named("43", "12b34c")).to.equal("12-34.");
    expect(named("04", "42004300")).to.equal("BC");
    expect(named("05", "4200430044")).to.equal("BC");
    expect(named("c5", "424d43")).to.equal("BMC");
    expect(named("c0", "")).to.equal("");
  });

  it("signs of M, B and the exponents (table 43-1, bytes 25 to 30)", () => {
    const record = decodeSdr(
      bytes(
        "0100 51 01 2f 20 00 01 07 01 67 0c 02 01 000000000000 81 04 05 00 fe c0 01 80 00 d3 0000000000000000000000000000000000 c4 56636f72",
      ),
    );
    expect(record.kind === "sensor" && record.factors).to.deep.equal({
      format: "twos-complement",
      linearization: 0,
      m: -2,
      b: -511,
      rExponent: -3,
      bExponent: 3,
    });
    expect(record.kind === "sensor" && unitText(record.units)).to.equal("% Volts");
    expect([signed(0x1ff, 10), signed(0x200, 10), signed(7, 4), signed(8, 4)]).to.deep.equal([511, -512, 7, -8]);
  });

  it("units with rates and modifiers (table 43-15)", () => {
    const none = { isPercentage: false, rate: 0, modifier: "none", baseUnit: 1, modifierUnit: 0 } as const;
    expect(unitText(none)).to.equal("degrees C");
    expect(unitText({ ...none, baseUnit: 0 })).to.equal("");
    expect(unitText({ ...none, baseUnit: 89, rate: 5 })).to.equal("correctable error per hour");
    expect(unitText({ ...none, baseUnit: 16, modifier: "multiply", modifierUnit: 34 })).to.equal("Newton * m");
    expect(unitText({ ...none, baseUnit: 70, modifier: "divide", modifierUnit: 22 })).to.equal("byte / second");
    expect(unitText({ ...none, baseUnit: 200 })).to.equal("unit 200");
    expect([18, 22, 60, 92].map((baseUnit) => unitText({ ...none, baseUnit }))).to.deep.equal([
      "RPM",
      "second",
      "Decibels",
      "grams",
    ]);
    expect([unitNumber("rpm"), unitNumber("parsec")]).to.deep.equal([18, undefined]);
  });
});

describe("sensor readings", () => {
  const linear: ConversionFactors = { format: "unsigned", linearization: 0, m: 1, b: 0, bExponent: 0, rExponent: 0 };

  it("y = L[(M x + B 10^Bexp) 10^Rexp] (36.3)", () => {
    expect(convertReading(205, { ...linear, m: 59, rExponent: -3 })).to.equal(12.095);
    expect(convertReading(50, { ...linear, m: 4, b: 20, bExponent: 1, rExponent: -1 })).to.equal(40);
    const values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((linearization) =>
      convertReading(8, { ...linear, linearization }),
    );
    const expected = [8, 2.07944154168, 0.903089986992, 3, 2980.95798704, 1e8, 256, 0.125, 64, 512, 2.82842712475, 2];
    expect(values).to.deep.equal(expected);
  });

  it("signs of raw bytes", () => {
    const read = (raw: number, format: ConversionFactors["format"]) => convertReading(raw, { ...linear, format });
    expect([read(0xfe, "unsigned"), read(0xfe, "twos-complement"), read(0xfe, "ones-complement")]).to.deep.equal([
      254, -2, -1,
    ]);
    expect([read(0x80, "twos-complement"), read(0x80, "ones-complement"), read(1, "none")]).to.deep.equal([
      -128,
      -127,
      undefined,
    ]);
  });

  it("is undefined where the specification has no number for it", () => {
    expect(convertReading(1, { ...linear, linearization: 0x70 })).to.equal(undefined);
    expect(convertReading(0, { ...linear, linearization: 7 })).to.equal(undefined);
    expect(convertReading(0, { ...linear, linearization: 1 })).to.equal(undefined);
  });

  it("values beyond the scale stop at its end", () => {
    expect([rawFromValue(300, linear), rawFromValue(-5, linear)]).to.deep.equal([255, 0]);
    const celsius = { ...linear, format: "twos-complement" } as const;
    expect([rawFromValue(-200, celsius), rawFromValue(-1, celsius), rawFromValue(200, celsius)]).to.deep.equal([
      0x80, 0xff, 0x7f,
    ]);
  });
});

describe("FRU areas", () => {
  /** Of the image that ipmi_sim and ipmitool took in test/interop/records-ipmi-sim.test.ts. */
  const board = bytes("010519e0b6e0c441636d65c8583120626f61726486a24c42101485420042c0c57265762042c100e0");

  it("the common header: offsets in blocks of 8, checked (FRU definition, 8)", () => {
    expect(decodeFruHeader(bytes("01000104090000f1"))).to.deep.equal({ chassis: 8, board: 32, product: 72 });
    expect(decodeFruHeader(bytes("01000000000000ff"))).to.deep.equal({
      chassis: undefined,
      board: undefined,
      product: undefined,
    });
    expect(() => decodeFruHeader(bytes("01000104090000f2"))).to.throw(WireError, "checksum");
    expect(() => decodeFruHeader(bytes("00000000000000ff"))).to.throw(WireError, "format");
    expect(() => decodeFruHeader(bytes("010001040900"))).to.throw(WireError);
  });

  it("a board: what ipmitool prints of these bytes", () => {
    expect(decodeFruBoard(board)).to.deep.equal({
      manufacturedAt: new Date("2024-01-01T00:00:00Z"),
      manufacturer: "Acme",
      productName: "X1 board",
      serialNumber: "BRD0001A",
      partNumber: "0042",
      fruFileId: "",
      custom: ["rev B"],
      isChecksumValid: true,
    });
    const bent = Buffer.from(board);
    bent[8] = 0x42;
    expect(decodeFruBoard(bent)).to.include({ isChecksumValid: false, manufacturer: "ABme" });
  });

  it("fields that lie about their length end with the area", () => {
    const area = bytes("0101 00 ff 41 42 43 44");
    expect(decodeFruProduct(area)).to.include({ manufacturer: "ABC", productName: "", isChecksumValid: false });
    expect(decodeFruProduct(bytes("0101 00"))).to.include({ manufacturer: "" });
  });

  it("Unicode under a language that is not English; type 0 as hex", () => {
    const area = bytes("0102 07 c4 e400fc00 02 0aff c1 00000000 00");
    expect(decodeFruProduct(area)).to.include({ manufacturer: "äü", productName: "0aff" });
    expect([decodeBcdPlus(bytes("12 3a b4 c5")), decodeSixBitAscii(bytes("29dca6"))]).to.deep.equal([
      "123 -4.5",
      "IPMI",
    ]);
  });
});
