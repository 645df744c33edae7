// Hostile records: decoders throw WireError and nothing else, walks end with a result or an IpmiError, the simulator survives.
import { expect } from "chai";
import fc from "fast-check";
import { addSelEntry } from "../../src/commands/add-sel-entry.ts";
import { clearSel } from "../../src/commands/clear-sel.ts";
import type { Command } from "../../src/commands/command.ts";
import { getFruInventoryAreaInfo, readFruData, writeFruData } from "../../src/commands/fru-inventory.ts";
import { getSdr, getSelEntry } from "../../src/commands/get-record.ts";
import { getSdrRepositoryInfo } from "../../src/commands/get-sdr-repository-info.ts";
import { getSelInfo } from "../../src/commands/get-sel-info.ts";
import { getSensorReading } from "../../src/commands/get-sensor-reading.ts";
import { getSensorThresholds } from "../../src/commands/get-sensor-thresholds.ts";
import { reserveSdrRepository, reserveSel } from "../../src/commands/reservation.ts";
import { getSelTime, setSelTime } from "../../src/commands/sel-time.ts";
import { isIpmiError } from "../../src/errors.ts";
import { readFru } from "../../src/read-fru.ts";
import { readSel } from "../../src/read-sel.ts";
import { readSensors, sensorsOf } from "../../src/read-sensors.ts";
import {
  decodeFruBoard,
  decodeFruChassis,
  decodeFruHeader,
  decodeFruProduct,
  encodeFruArea,
  fruAreaLength,
} from "../../src/records/fru-areas.ts";
import { decodeSdr } from "../../src/records/sdr-record.ts";
import { decodeSelRecord, encodeSystemEvent } from "../../src/records/sel-record.ts";
import { convertReading, rawFromValue } from "../../src/records/sensor-conversion.ts";
import type { SimulatorContent } from "../../src/simulator/content.ts";
import { SimulatedRecords } from "../../src/simulator/records.ts";
import { ScriptedBmc } from "../scripted-bmc.ts";
import { anyBytes, itThrowsOnlyWireErrors, RUNS } from "./decoders.ts";

const COMMANDS = [
  addSelEntry,
  clearSel,
  getFruInventoryAreaInfo,
  readFruData,
  writeFruData,
  getSdr,
  getSelEntry,
  getSdrRepositoryInfo,
  getSelInfo,
  getSensorReading,
  getSensorThresholds,
  reserveSdrRepository,
  reserveSel,
  getSelTime,
  setSelTime,
] as unknown as readonly Command<unknown, unknown>[];

/** A sensor data record of one of our types, so that more than the header is looked at. */
const sdrBytes = fc.tuple(fc.constantFrom(1, 2, 0x11, 0x12), anyBytes).map(([type, body]) => {
  return Buffer.concat([Buffer.from([1, 0, 0x51, type, body.length & 0xff]), body]);
});

describe("hostile records", () => {
  itThrowsOnlyWireErrors(
    [
      ["decodeSelRecord", decodeSelRecord],
      ["decodeSdr", decodeSdr],
      ["decodeFruHeader", decodeFruHeader],
      ["fruAreaLength", fruAreaLength],
      ["decodeFruChassis", decodeFruChassis],
      ["decodeFruBoard", decodeFruBoard],
      ["decodeFruProduct", decodeFruProduct],
    ],
    COMMANDS,
  );

  it("sensor data records never throw, however they are cut, and their readings are numbers or undefined", () => {
    fc.assert(
      fc.property(sdrBytes, fc.nat(255), (bytes, raw) => {
        const record = decodeSdr(bytes);
        if (record.kind !== "sensor") return;
        expect(sensorsOf(record).length).to.be.within(1, 15);
        const value = record.factors && convertReading(raw, record.factors);
        if (value !== undefined) expect(Number.isFinite(value)).to.equal(true);
      }),
      RUNS,
    );
  });

  it("events and FRU areas round-trip", () => {
    const byte = fc.nat(255);
    const event = fc.record({
      id: fc.nat(0xffff),
      seconds: fc.nat(0x7fffffff),
      generatorId: fc.nat(0xffff),
      sensorType: byte,
      sensorNumber: byte,
      eventType: fc.nat(0x7f),
      isAssertion: fc.boolean(),
      eventData: fc.uint8Array({ minLength: 3, maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
    });
    fc.assert(
      fc.property(event, (one) => {
        expect(decodeSelRecord(encodeSystemEvent(one))).to.deep.include(one);
      }),
      RUNS,
    );
    const text = fc.string({ unit: fc.constantFrom(..."abc XYZ-019."), maxLength: 63 }).map((one) => one.trim());
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), ([partNumber = "", serialNumber = "", ...custom]) => {
        const area = encodeFruArea(Buffer.from([0x17]), [partNumber, serialNumber, ...custom]);
        const decoded = { chassisType: 0x17, partNumber, serialNumber, custom, isChecksumValid: true };
        expect(decodeFruChassis(area)).to.deep.equal(decoded);
        expect(fruAreaLength(area)).to.equal(area.length);
      }),
      RUNS,
    );
  });

  it("raw readings come back from their values", () => {
    const factors = fc.record({
      format: fc.constantFrom("unsigned" as const, "twos-complement" as const),
      linearization: fc.constant(0),
      m: fc.integer({ min: 1, max: 511 }),
      b: fc.integer({ min: -512, max: 511 }),
      bExponent: fc.integer({ min: -3, max: 2 }),
      rExponent: fc.integer({ min: -4, max: 4 }),
    });
    fc.assert(
      fc.property(factors, fc.nat(255), (one, raw) => {
        expect(rawFromValue(convertReading(raw, one) ?? Number.NaN, one)).to.equal(raw);
      }),
      RUNS,
    );
  });

  it("walks over a BMC that answers anything end, with a result or an IpmiError", async () => {
    const code = fc.constantFrom(0, 0, 0, 0, 0, 0, 0xc5, 0xca, 0xcb, 0xff);
    const answer = fc
      .tuple(code, fc.uint8Array({ maxLength: 40 }))
      .map(([first, rest]) => Buffer.from([first, ...rest]));
    const walk = fc.constantFrom<(bmc: ScriptedBmc) => Promise<unknown>>(
      (bmc) => readSel(bmc),
      (bmc) => readSensors(bmc),
      (bmc) => readFru(bmc),
    );
    await fc.assert(
      fc.asyncProperty(walk, fc.array(answer, { minLength: 1, maxLength: 40 }), async (run, answers) => {
        // The same answers over and over: a walk that goes on with them would never end.
        let next = -1;
        const bmc = new ScriptedBmc(() => {
          next += 1;
          if (next > 20_000) throw new Error("the walk does not end");
          return answers[next % answers.length];
        });
        await run(bmc).catch((error: unknown) => {
          if (!isIpmiError(error)) throw error;
        });
      }),
      RUNS,
    );
  });

  it("content that is anything is refused as InvalidArgument, or simulated", () => {
    const keys = fc.constantFrom(
      "name",
      "type",
      "value",
      "states",
      "unit",
      "number",
      "thresholds",
      "offset",
      "m",
      "id",
    );
    const value = fc.oneof(
      fc.string(),
      fc.double(),
      fc.integer(),
      fc.constantFrom(null, "Fan", "RPM", [0], {}),
      fc.boolean(),
    );
    const item = fc.dictionary(keys, value, { maxKeys: 5 });
    const content = fc.record({ sel: fc.array(item), sdr: fc.array(item), fru: fc.array(item) }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.oneof(content, fc.anything()), (one) => {
        try {
          new SimulatedRecords(one as SimulatorContent, "127.0.0.1");
        } catch (error) {
          if (!isIpmiError(error, "InvalidArgument")) throw error;
        }
      }),
      RUNS,
    );
  });
});
