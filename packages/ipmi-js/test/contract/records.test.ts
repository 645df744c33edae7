// Our client against our simulator: what the content says is what the client reads, through `Bmc` and by two consoles at once.
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import { addSelEntry } from "../../src/commands/add-sel-entry.ts";
import { writeFruData } from "../../src/commands/fru-inventory.ts";
import { getSelTime, setSelTime } from "../../src/commands/sel-time.ts";
import { readFru } from "../../src/read-fru.ts";
import { clearSel, readSel, readSelInfo } from "../../src/read-sel.ts";
import { readSensors } from "../../src/read-sensors.ts";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import { walkSdr } from "../../src/walk-sdr.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { failure } from "../failure.ts";
import { RECORDS_CONTENT } from "../interop/records-content.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";

describe("records of our simulator, read by our client", () => {
  const closing = closeAfterEach();
  let simulator: BmcSimulator;
  const console_ = () => closing(new Bmc({ address: "127.0.0.1", port: simulator.port, ...CREDENTIALS }));

  beforeEach(async () => {
    ({ simulator } = await startSimulator({ content: RECORDS_CONTENT }));
    closing(simulator);
  });

  it("the event log", async () => {
    const bmc = console_();
    expect((await readSel(bmc)).map(({ id, text }) => [id, text])).to.deep.equal([
      [1, "Memory sensor 09h: Correctable ECC, asserted"],
      [2, "Temperature sensor 01h: Upper Critical going high, deasserted"],
    ]);
    await bmc.execute(setSelTime, { seconds: 1_700_000_000 });
    expect((await bmc.execute(getSelTime, undefined)).seconds).to.be.within(1_700_000_000, 1_700_000_060);
    await clearSel(bmc);
    expect((await readSelInfo(bmc)).lastEraseSeconds).to.be.within(1_700_000_000, 1_700_000_060);
    const [first] = await readSel(bmc);
    expect(first).to.equal(undefined);
    const record = Buffer.from("000002000000002000040c536f01ffff", "hex");
    expect(await bmc.execute(addSelEntry, { record })).to.deep.equal({ recordId: 3 });
    expect(await readSel(bmc)).to.have.length(1);
  });

  it("sensors, before and after they change", async () => {
    const bmc = console_();
    const [inlet, rail, pump, psu] = await readSensors(bmc);
    expect(inlet).to.deep.include({
      name: "Inlet",
      value: 45,
      unit: "degrees C",
      health: "non-critical",
      entityId: 0x37,
      thresholds: { lowerNonRecoverable: -5, lowerNonCritical: 5, upperNonCritical: 42, upperCritical: 47 },
    });
    expect(rail).to.deep.include({
      value: 12.1,
      thresholds: { lowerCritical: 10.8, upperCritical: 13.2 },
      health: "ok",
    });
    expect(pump).to.include({ unavailable: "the BMC has no reading of it now", value: undefined, health: undefined });
    expect(psu).to.deep.include({ sensorNumber: 200, states: ["Presence detected", "Power Supply AC lost"], unit: "" });
    simulator.records.setReading("Inlet", -6);
    simulator.records.setStates("PSU 1", []);
    const again = await readSensors(bmc);
    expect(again[0]).to.include({ value: -6, health: "non-recoverable" });
    expect(again[3]?.states).to.deep.equal([]);
  });

  it("inventories, and a part that is written", async () => {
    const bmc = console_();
    const fru = await readFru(bmc);
    expect(fru.problems).to.deep.equal([]);
    expect(fru.chassis).to.include({ chassisType: 0x1c, partNumber: "CP-1", serialNumber: "CS-1" });
    expect(fru.board).to.deep.include({ serialNumber: "B", manufacturedAt: new Date("2024-03-01T12:30:00Z") });
    expect(fru.product).to.include({ productName: "Rocket", version: "2", assetTag: "A-42", fruFileId: "" });
    expect(await bmc.execute(writeFruData, { fruDeviceId: 5, offset: 0, data: Buffer.of(9) })).to.deep.equal({
      count: 1,
    });
    const bent = await readFru(bmc, { fruDeviceId: 5 });
    expect(bent).to.deep.include({
      board: undefined,
      problems: ["common header: the FRU common header has an unknown format"],
    });
    expect((await failure(readFru(bmc, { fruDeviceId: 9 }))).completionCode).to.equal(0xcb);
  });

  it("two consoles walk the repository at once", async () => {
    const [one, two] = await Promise.all([walkSdr(console_()), walkSdr(console_())]);
    expect(one).to.deep.equal(two);
    expect(one?.map(({ kind }) => kind)).to.deep.equal(["controller", "sensor", "sensor", "sensor", "sensor", "fru"]);
  });

  it("Get Device ID says what the BMC has", async () => {
    expect(await console_().getDeviceId()).to.include({ hasSdrs: false, additionalSupport: 0x8f });
  });
});
