// BMCs that make reading their records hard: small buffers, reservations that go, circles, busy devices, endless erasure, silence.
import { expect } from "chai";
import { readFru } from "../../src/read-fru.ts";
import { clearSel, readSel } from "../../src/read-sel.ts";
import { readSensors } from "../../src/read-sensors.ts";
import { walkSdr } from "../../src/walk-sdr.ts";
import { failure } from "../failure.ts";
import { type Answer, ScriptedBmc } from "../scripted-bmc.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const refusal = (completionCode: number) => Buffer.from([completionCode]);
const ok = (...parts: (Buffer | string)[]) =>
  Buffer.concat([Buffer.from([0]), ...parts.map((part) => (typeof part === "string" ? hex(part) : part))]);

/** The sensor record of ipmi_sim's example, as it keeps it. */
const SDR = hex(
  "0100510130200001030167880101c00fc07f3838000100000100000000000360b000b000a090700000000000000000c5444a746d70",
);
/** An event record of ipmi_sim. */
const SEL = hex("010002 0fab0000 2000 04 01 01 01 596160");

/** What Get SDR asks for: which record, and which part of it. */
const asksFor = (data: Buffer) => ({ recordId: data.readUInt16LE(2), offset: data[4] ?? 0, count: data[5] ?? 0 });

/** Its records have the ids 0, 1 and so on. `answer` may answer otherwise, to Get SDR and to all other commands. */
function repository(records: readonly Buffer[], answer: (name: string, data: Buffer) => Answer = () => undefined) {
  return new ScriptedBmc((name, data) => {
    const other = answer(name, data);
    if (other !== undefined) return other;
    if (name === "Reserve SDR Repository") return ok("0700");
    if (name !== "Get SDR") return refusal(0xc1);
    const { recordId, offset, count } = asksFor(data);
    const next = Buffer.from(recordId + 1 === records.length ? [0xff, 0xff] : [recordId + 1, 0]);
    return ok(next, records[recordId]?.subarray(offset, offset + count) ?? "");
  });
}

/** One record, read by pieces of at most `most` bytes. */
const inPieces = (most: number) =>
  repository([SDR], (name, data) => (name === "Get SDR" && asksFor(data).count > most ? refusal(0xca) : undefined));

describe("walking the records of difficult BMCs", () => {
  it("asks for smaller pieces when the BMC cannot return so many bytes, and keeps to them", async () => {
    const bmc = inPieces(10);
    const [record] = await walkSdr(bmc);
    expect(record).to.deep.include({ kind: "sensor", name: "DJtmp", raw: SDR });
    const counts = bmc.asked.filter(({ name }) => name === "Get SDR").map(({ data }) => data[5]);
    expect(counts).to.deep.equal([5, 32, 16, 8, 8, 8, 8, 8, 8]);
    expect((await failure(walkSdr(inPieces(4)))).completionCode).to.equal(0xca);
  });

  it("begins the walk again when its reservation is lost, five times at most", async () => {
    const flaky = (losses: number) => {
      let lost = 0;
      return repository([SDR], (name, data) => {
        if (name !== "Get SDR" || asksFor(data).offset === 0 || lost === losses) return undefined;
        lost += 1;
        return refusal(0xc5);
      });
    };
    const patient = flaky(4);
    expect(await walkSdr(patient)).to.have.length(1);
    expect(patient.count("Reserve SDR Repository")).to.equal(5);
    const hopeless = flaky(1000);
    expect((await failure(walkSdr(hopeless))).completionCode).to.equal(0xc5);
    expect(hopeless.count("Reserve SDR Repository")).to.equal(5);
  });

  it("records that lead in a circle are an error", async () => {
    for (const next of ["0000", "0100", "0200"]) {
      const bmc = repository([], (name, data) => {
        if (name !== "Get SDR") return undefined;
        const { offset, count } = asksFor(data);
        return ok(next, SDR.subarray(offset, offset + count));
      });
      const error = await failure(walkSdr(bmc));
      expect(error).to.include({ code: "Protocol", operation: "Get SDR" });
      expect(error.message).to.contain("in a circle");
    }
    let id = 0;
    const log = new ScriptedBmc(() => {
      id = id === 3 ? 1 : id + 1;
      return ok(Buffer.from([id, 0]), SEL);
    });
    const error = await failure(readSel(log));
    expect(error).to.include({ code: "Protocol", address: "192.0.2.1" });
    expect(error.message).to.contain("in a circle");
    expect(log.asked.length).to.be.below(6);
  });

  it("a record of the log that is too short, and a piece without data, are errors", async () => {
    const short = new ScriptedBmc(() => ok("ffff", SEL.subarray(0, 15)));
    expect((await failure(readSel(short))).code).to.equal("Protocol");
    const empty = repository([SDR.subarray(0, 5)]);
    expect((await failure(walkSdr(empty))).message).to.contain("no data");
  });

  it("a sensor record that ends too soon does not hide the others", async () => {
    const cut = Buffer.concat([hex("0100510110"), SDR.subarray(5, 21)]);
    const [first, second] = await walkSdr(repository([cut, SDR]));
    expect(first).to.include({ kind: "other", recordType: 1 });
    expect(first?.kind === "other" && first.problem).to.contain("a full sensor record needs 48 bytes");
    expect(second).to.include({ kind: "sensor", name: "DJtmp" });
  });

  it("sensors of other controllers and without a reading are told with the reason", async () => {
    const foreign = Buffer.from(SDR);
    foreign[5] = 0x2c;
    let reading = ok("60e00000");
    const bmc = repository([foreign, SDR], (name) => (name === "Get Sensor Reading" ? reading : undefined));
    const [other, silent] = await readSensors(bmc);
    expect(other?.unavailable).to.contain("another controller");
    expect(silent).to.include({ unavailable: "the BMC has no reading of it now", value: undefined });
    // A reading without the optional bytes of states, and no thresholds to be had.
    reading = ok("60c0");
    expect((await readSensors(bmc))[1]).to.deep.include({ value: 96, health: "ok", thresholds: {} });
  });

  it("clearing waits for the end of the erasure, and reserves again when others came between", async () => {
    let polls = 0;
    let refusals = 2;
    const bmc = new ScriptedBmc((name, data) => {
      if (name === "Reserve SEL") return ok("0900");
      if (data[5] === 0xaa && refusals > 0) {
        refusals -= 1;
        return refusal(0xc5);
      }
      polls += 1;
      return ok(polls < 4 ? "00" : "01");
    });
    await clearSel(bmc);
    expect(bmc.asked.map(({ data }) => data.toString("hex"))).to.deep.equal([
      "",
      "0900434c52aa",
      "",
      "0900434c52aa",
      "",
      "0900434c52aa",
      "0900434c5200",
      "0900434c5200",
      "0900434c5200",
    ]);
  });

  it("an erasure that never ends is a timeout of the whole operation, as are records without end", async () => {
    const erasing = new ScriptedBmc((name) => (name === "Reserve SEL" ? ok("0900") : ok("00")));
    const error = await failure(clearSel(erasing, { deadlineMs: 250 }));
    expect(error).to.include({ code: "Timeout", operation: "clear the SEL", address: "192.0.2.1" });
    expect(error.message).to.contain("not done within 250 ms");
    expect(erasing.asked.length).to.be.below(10);
    const silent = new ScriptedBmc(() => undefined);
    expect(await failure(readSel(silent, { deadlineMs: 300 }))).to.include({
      code: "Timeout",
      operation: "read the SEL",
    });
  });

  it("the deadline is one for the walk, and the signal ends it", async () => {
    const bmc = inPieces(8);
    await walkSdr(bmc, { deadlineMs: 5000 });
    const deadlines = bmc.asked.map(({ deadlineMs }) => deadlineMs);
    expect([...deadlines].sort((a, b) => b - a)).to.deep.equal(deadlines);
    expect(deadlines[0]).to.be.at.most(5000);
    expect((await failure(walkSdr(bmc, { signal: AbortSignal.abort() }))).code).to.equal("Aborted");
  });

  it("a busy FRU device is asked again; one accessed by words is asked for words", async () => {
    const image = hex("01000001000000fe 010319000000 c441636d65 c25831 c0c0c0c1 000000000000".replaceAll(" ", ""));
    image[image.length - 1] = -image.subarray(8, 31).reduce((sum, byte) => sum + byte, 0) & 0xff;
    let busy = 3;
    const bmc = new ScriptedBmc((name, data) => {
      if (name === "Get FRU Inventory Area Info") return ok(Buffer.from([image.length, 0, 1]));
      busy -= 1;
      if (busy >= 0) return refusal(0x81);
      // Half a word at the end: it cannot be used, as the next read begins at a whole one.
      const piece = image.subarray(2 * data.readUInt16LE(1)).subarray(0, Math.min(5, 2 * (data[3] ?? 0)));
      return ok(Buffer.from([piece.length / 2]), piece);
    });
    const { board, problems } = await readFru(bmc);
    expect(board).to.include({ manufacturer: "Acme", isChecksumValid: true });
    expect(problems).to.deep.equal([]);
    const reads = bmc.asked.filter(({ name }) => name === "Read FRU Data").map(({ data }) => data.toString("hex"));
    expect(reads.slice(3)).to.deep.equal([
      "00000004",
      "00020002",
      "00040004",
      "00060002",
      "00080008",
      "000a0006",
      "000c0004",
      "000e0002",
    ]);
  });
});
