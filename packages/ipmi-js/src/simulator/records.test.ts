// The content of a simulated BMC: what is refused, how scales are chosen, what its owner may change.
import { expect } from "chai";
import { IpmiError } from "../errors.ts";
import { convertReading } from "../records/sensor-conversion.ts";
import type { SimulatorContent } from "./content.ts";
import { SimulatedRecords } from "./records.ts";
import { SimulatedSel } from "./sel.ts";
import { chooseFactors } from "./sensor-scale.ts";

const ADDRESS = "127.0.0.1";
const records = (content: unknown) => new SimulatedRecords(content as SimulatorContent, ADDRESS);
const fan = { name: "Fan", type: "Fan", unit: "RPM", value: 7200 };

describe("content of a simulated BMC", () => {
  const wrong: [string, unknown, string][] = [
    ["no object", [], "content must be an object"],
    ["an unknown part", { sensors: [] }, "content has no sensors; it may have sel, sdr, fru"],
    ["a part that is no list", { sdr: {} }, "sdr must be a list"],
    ["an unknown field", { sdr: [fan, { ...fan, units: "RPM" }] }, "sdr[1] has no units"],
    ["a missing field", { sdr: [{ type: "Fan", value: 1 }] }, "sdr[0] lacks name"],
    ["a long name", { sdr: [{ ...fan, name: "x".repeat(17) }] }, "sdr[0].name must be a text of at most 16 characters"],
    ["a name outside Latin 1", { sdr: [{ ...fan, name: "风扇" }] }, "Latin 1"],
    ["an unknown type", { sdr: [{ ...fan, type: "Fam" }] }, "sdr[0].type must be a sensor type"],
    ["an unknown unit", { sdr: [{ ...fan, unit: "rps" }] }, "sdr[0].unit must be a unit"],
    ["a reading that is no number", { sdr: [{ ...fan, value: "fast" }] }, "sdr[0].value must be a number"],
    ["neither reading nor states", { sdr: [{ name: "Fan", type: "Fan" }] }, "either a value or states"],
    ["reading and states", { sdr: [{ ...fan, states: [0] }] }, "either a value or states"],
    [
      "a state that cannot be",
      { sdr: [{ name: "P", type: 8, states: [15] }] },
      "sdr[0].states[0] must be a whole number",
    ],
    ["an unknown threshold", { sdr: [{ ...fan, thresholds: { low: 1 } }] }, "sdr[0].thresholds has no low"],
    ["a name twice", { sdr: [fan, fan] }, "sdr has name Fan twice"],
    ["a number twice", { sdr: [fan, { ...fan, name: "Fan 2", number: 1 }] }, "sdr has number 1 twice"],
    ["a device twice", { fru: [{}, { id: 0 }] }, "fru has id 0 twice"],
    [
      "a time that is none",
      { fru: [{ board: { manufacturedAt: "soon" } }] },
      "fru[0].board.manufacturedAt must be a time",
    ],
    ["an event without offset", { sel: [{ sensorType: 1, sensorNumber: 1 }] }, "sel[0] lacks offset"],
    [
      "one byte of event data",
      { sel: [{ sensorType: 1, sensorNumber: 1, offset: 1, data: [1] }] },
      "sel[0].data must have 2",
    ],
  ];
  for (const [what, content, text] of wrong) {
    it(`refuses ${what}`, () => {
      expect(() => records(content))
        .to.throw(IpmiError, text)
        .with.property("code", "InvalidArgument");
    });
  }

  it("keeps the defaults of the parts that are not given", () => {
    const few = records({ sdr: [fan], fru: undefined });
    expect(few.sdrs).to.have.length(2);
    expect([...few.frus.keys()]).to.deep.equal([0]);
    expect(records({}).sdrs).to.have.length(5);
    expect(records({ sdr: [], fru: [] }).sdrs).to.have.length(1);
    expect(records({}).sel.info.entryCount).to.equal(0);
  });

  it("chooses a scale on which the value is exact", () => {
    const near = (value: number, thresholds = {}) => {
      const factors = chooseFactors({ name: "x", type: 1, value, thresholds });
      const { raw } = records({ sdr: [{ name: "x", type: 1, value, thresholds }] }).reading(1) ?? expect.fail();
      return [factors.m, factors.rExponent, convertReading(raw, factors)];
    };
    expect(near(23)).to.deep.equal([1, 0, 23]);
    expect(near(-40)).to.deep.equal([1, 0, -40]);
    expect(near(7200)).to.deep.equal([5, 1, 7200]);
    expect(near(3.3)).to.deep.equal([2, -2, 3.3]);
    expect(near(12.1, { lowerCritical: 10.8, upperCritical: 13.2 })).to.deep.equal([10, -2, 12.1]);
    expect(near(-12.2)).to.deep.equal([2, -1, -12.2]);
    expect(near(0)).to.deep.equal([1, 0, 0]);
    const given = chooseFactors({ name: "x", type: 1, value: 1, m: 3, b: 2, bExponent: 1, rExponent: -2 });
    expect(given).to.include({ m: 3, b: 2, bExponent: 1, rExponent: -2, format: "unsigned" });
  });

  it("readings change; crossed thresholds are told", () => {
    const thresholds = { lowerCritical: 1200, lowerNonCritical: 2000, upperNonCritical: 8000 };
    const live = records({
      sdr: [
        { ...fan, thresholds },
        { name: "PSU", type: 8, states: [0] },
      ],
    });
    const states = () => live.reading(1)?.states;
    expect(states()).to.equal(0);
    live.setReading("Fan", 2000);
    expect(states()).to.equal(0b000001);
    live.setReading("Fan", 0);
    expect(states()).to.equal(0b000011);
    live.setReading("Fan", 1e9);
    expect(live.reading(1)).to.include({ raw: 255, states: 0b001000 });
    live.setReading("Fan", null);
    expect(live.reading(1)).to.include({ isUnavailable: true, states: 0 });
    live.setStates("PSU", [1, 3]);
    expect(live.reading(2)?.states).to.equal(0b1010);
    live.setStates("PSU", null);
    expect(live.reading(2)?.isUnavailable).to.equal(true);
    expect([live.reading(3), live.thresholds(2)]).to.deep.equal([undefined, undefined]);
    expect(() => live.setReading("Fam", 1)).to.throw(IpmiError, 'no sensor "Fam"');
    expect(() => live.setReading("PSU", 1)).to.throw(IpmiError, "has states");
    expect(() => live.setReading("Fan", Number.NaN)).to.throw(IpmiError, "must be a number");
    expect(() => live.setStates("Fan", [1])).to.throw(IpmiError, "has a reading");
    expect(() => live.setStates("PSU", [15])).to.throw(IpmiError, "from 0 to 14");
    expect(() => live.addEvent({ sensorType: "Fam", sensorNumber: 1, offset: 0 })).to.throw(IpmiError, "sensor type");
  });
});

describe("the log of a simulated BMC", () => {
  const record = Buffer.from("000002000000002000040c536f01ffff", "hex");
  const refusalOf = (outcome: object) => ("refusal" in outcome ? outcome.refusal : undefined);

  it("a full one loses events and says so", () => {
    const sel = new SimulatedSel();
    for (let n = 0; n < 512; n += 1) expect(sel.add(record)).to.deep.equal({ response: { recordId: n + 1 } });
    expect(sel.add(record)).to.deep.equal({ refusal: 0xc4 });
    expect(sel.info).to.include({ entryCount: 512, freeBytes: 0, hasOverflowed: true });
    expect(sel.clear(sel.reservations.reserve())).to.equal(0);
    expect(sel.info).to.include({ entryCount: 0, freeBytes: 8192, hasOverflowed: false });
    // Ids go on, so that a record of before is not taken for one of now.
    expect(sel.add(record)).to.deep.equal({ response: { recordId: 513 } });
  });

  it("an event, a newer reservation and an erasure take a reservation back (31.4)", () => {
    const sel = new SimulatedSel();
    const first = sel.reservations.reserve();
    const second = sel.reservations.reserve();
    expect([sel.clear(first), sel.clear(second), sel.clear(second)]).to.deep.equal([0xc5, 0, 0xc5]);
    const third = sel.reservations.reserve();
    sel.add(record);
    expect(sel.clear(third)).to.equal(0xc5);
  });

  it("records by id, the first, the last, and in pieces", () => {
    const sel = new SimulatedSel();
    for (let n = 0; n < 3; n += 1) sel.add(record);
    const get = (recordId: number, offset = 0, byteCount = 0xff, reservationId = 0) =>
      sel.get({ recordId, offset, byteCount, reservationId });
    const ids = [0, 0xffff, 2].map((id) => {
      const outcome = get(id);
      return "response" in outcome && [outcome.response.data.readUInt16LE(0), outcome.response.nextRecordId];
    });
    expect(ids).to.deep.equal([
      [1, 2],
      [3, 0xffff],
      [2, 3],
    ]);
    expect(refusalOf(get(4))).to.equal(0xcb);
    expect(refusalOf(get(1, 4, 4))).to.equal(0xc5);
    const reservationId = sel.reservations.reserve();
    expect(refusalOf(get(1, 16, 1, reservationId))).to.equal(0xc9);
    const piece = get(1, 10, 3, reservationId);
    expect("response" in piece && piece.response.data.toString("hex")).to.equal("0c536f");
  });
});
