// Our client reads the records of OpenIPMI's ipmi_sim; `ipmitool` reads the same, and what it prints is what is expected.
import { expect } from "chai";
import { getSdr } from "../../src/commands/get-record.ts";
import { openSession } from "../../src/open-session.ts";
import { readFru } from "../../src/read-fru.ts";
import { clearSel, readSel, readSelInfo } from "../../src/read-sel.ts";
import { readSensors } from "../../src/read-sensors.ts";
import type { IpmiSession } from "../../src/session.ts";
import { walkSdr } from "../../src/walk-sdr.ts";
import { closeAfterEach } from "../close-after-each.ts";
import type { BmcUnderTest } from "../contract/bmc-contract.ts";
import { failure } from "../failure.ts";
import { startIpmiSim } from "./ipmi-sim.ts";
import { fieldsOf, ipmitool, tableOf } from "./peer-tool.ts";

/** A FRU image made by hand from the FRU definition: BCD plus, 6-bit ASCII, 8-bit and binary fields, own fields, empty ones. */
const FRU_HEX =
  "01000104090000f10103174412b34c5686b34b49b8de5cc67261636b2037c1fc010519e0b6e0c441636d65c8583120626f61726486a24c42101485420042c0c57265762042c100e0010600c941636d6520436f7270c6526f636b6574c5504e2d3737422c10c5532f4e2039c0030102ffc1000000000000e8";

const line = (hex: string) => hex.replaceAll(/\s+/g, "").replaceAll(/../g, "0x$& ").trim();
const zeroes = (bytes: number) => "00".repeat(bytes);
const text = (name: string) => Buffer.from([0xc0 | name.length]).toString("hex") + Buffer.from(name).toString("hex");

/** A sensor record by hand (tables 43-1, 43-2): ipmi_sim takes it as it is. */
function sdr(type: number, body: string): string {
  const length = body.replaceAll(/\s+/g, "").length / 2;
  return `main_sdr_add 0x20 ${line(`000051${Buffer.from([type, length]).toString("hex")}${body}`)}\n`;
}

const full = (number: string, type: string, units: string, unit: string, factors: string, name: string) =>
  sdr(1, `2000${number}0701 670c ${type}01 ${zeroes(6)} ${units}${unit}00 ${factors} ${zeroes(17)}${text(name)}`);

/** Without it ipmi_sim does not scan the sensor: flags C0h instead of 00h. */
const scan = (number: number) =>
  `sensor_set_event_support 0x20 0 ${number} enable scanning per-state ${`${"0".repeat(15)} `.repeat(4).trim()}\n`;

const RECORDS = [
  "sensor_add 0x20 0 1 0x01 0x01\n",
  full("01", "01", "00", "01", "00 0100 0000 00 00", "Inlet"),
  "sensor_set_threshold 0x20 0 1 settable 111000 0xa0 0x50 0x40 00 00 00\n",
  // Two's complement, M 59, Rexp -3: -30 is -1.77 V.
  "sensor_add 0x20 0 2 0x02 0x01\n",
  full("02", "02", "80", "04", "00 3b00 0000 00 d0", "Minus rail"),
  "sensor_set_value 0x20 0 2 0xe2 0\n",
  // 1/x, M 2, Rexp -6: 80 is 6250 RPM.
  "sensor_add 0x20 0 3 0x04 0x01\n",
  full("03", "04", "00", "12", "07 0200 0000 00 a0", "Fan"),
  "sensor_set_value 0x20 0 3 80 0\n",
  // M 4, B 20 * 10^1, Rexp -1: 50 is 40 W.
  "sensor_add 0x20 0 4 0x0b 0x01\n",
  full("04", "0b", "00", "06", "00 0400 1400 00 f1", "Power"),
  "sensor_set_value 0x20 0 4 50 0\n",
  ...[1, 2, 3, 4].map(scan),
  // After its thresholds: they are compared with when a value is set.
  "sensor_set_value 0x20 0 1 0x60 0\n",
  "sensor_add 0x20 0 6 0x01 0x01\n",
  full("06", "01", "00", "01", "00 0100 0000 00 00", "Idle"),
  // A full record whose sensor nobody added: the BMC refuses the reading.
  full("09", "01", "00", "01", "00 0100 0000 00 00", "Ghost"),
  "sensor_add 0x20 0 5 0x08 0x6f\n",
  sdr(2, `20000 50a01 6700 086f ff00ff00ff00 c00000 0100 ${zeroes(6)} ${text("PSU")}`),
  "sensor_set_bit 0x20 0 5 0 1 0\n",
  "sensor_set_bit 0x20 0 5 3 1 0\n",
  scan(5),
  sdr(0x11, `20 01 80 00 00 10 00 07 01 00 ${text("Riser")}`),
  sdr(0x12, `20 00 00 9f 00 00 00 07 01 00 ${text("BMC")}`),
  sdr(0xc0, "57 01 00 01 02 03"),
  `mc_add_fru_data 0x20 0 ${FRU_HEX.length / 2} data ${line(FRU_HEX)}\n`,
  `mc_add_fru_data 0x20 1 ${FRU_HEX.length / 2} data ${line(`${FRU_HEX.slice(0, -2)}e9`)}\n`,
  "sel_add 0x20 2 0 0 0 0 0x20 0 0x04 0x01 0x01 0x01 0x59 0x61 0x60\n",
  "sel_add 0x20 2 0 0 0 0 0x20 0 0x04 0x0c 0x05 0x6f 0x00 0xff 0xff\n",
  "sel_add 0x20 2 0 0 0 0 0x20 0 0x04 0x08 0x05 0xef 0x03 0xff 0xff\n",
  "sel_add 0x20 2 0 0 0 0 0x41 0 0x04 0x25 0x07 0x08 0x01 0xff 0xff\n",
  "sel_add 0x20 0xc5 0 0 0 0 0x57 0x01 0x00 1 2 3 4 5 6\n",
  "sel_add 0x20 0xe1 1 2 3 4 5 6 7 8 9 10 11 12 13\n",
].join("");

describe("records of ipmi_sim", () => {
  const closing = closeAfterEach();
  let peer: BmcUnderTest;
  let session: IpmiSession;
  const tool = async (...words: string[]) => {
    const run = await ipmitool(peer.port, 3, ...words);
    expect(run.stderr).to.equal("");
    return run.stdout;
  };

  beforeEach(async () => {
    peer = closing(await startIpmiSim("", RECORDS));
    const { address, port, user, password } = peer;
    session = closing(await openSession({ address, port, user, password, cipherSuites: [3] }));
  });

  it("the event log: every record, as `ipmitool sel list` tells it", async () => {
    const info = await readSelInfo(session);
    const theirInfo = fieldsOf(await tool("sel", "info"));
    expect(theirInfo.get("Entries")).to.equal(String(info.entryCount));
    expect(theirInfo.get("Free Space")).to.equal(`${info.freeBytes} bytes`);
    expect(info).to.include({ version: "1.5", hasOverflowed: false, canDelete: true, canReserve: true });

    const records = await readSel(session);
    const theirs = tableOf(await tool("sel", "list"));
    expect(records).to.have.length(info.entryCount);
    expect(theirs.map(([id]) => Number(`0x${id}`))).to.deep.equal(records.map(({ id }) => id));
    const events = records.filter((record) => record.kind === "event");
    const told = events.map(({ sensorTypeName, sensorNumber, text: ours, isAssertion }) => [
      `${sensorTypeName} #0x${sensorNumber.toString(16).padStart(2, "0")}`,
      ours.replace(/^.*: (.*), .*$/, "$1"),
      isAssertion ? "Asserted" : "Deasserted",
    ]);
    // The clock of ipmi_sim has no date: the second cell is "Pre-Init", the third the seconds since its start.
    expect(theirs.slice(0, events.length).map((cells) => cells.slice(3))).to.deep.equal(told);
    expect(theirs.slice(0, 5).map((cells) => Number(cells[2]))).to.deep.equal(
      records.slice(0, 5).map((record) => (record.kind === "event" ? record.seconds : record.timestamp?.seconds)),
    );
    expect(events.every(({ time }) => time === undefined)).to.equal(true);
    expect(
      records.slice(4).map((record) => record.kind === "oem" && [record.manufacturerId, record.data.toString("hex")]),
    ).to.deep.equal([
      [0x157, theirs[4]?.[5]],
      [undefined, theirs[5]?.[2]],
    ]);
    expect(events[0]).to.include({ triggerReading: 0x61, triggerThreshold: 0x60 });
    expect(await readSel(session, { maxRecords: 2 })).to.deep.equal(records.slice(0, 2));
  });

  it("is cleared, and an empty log is an empty list", async () => {
    await clearSel(session);
    expect((await tool("sel", "info")).match(/Entries +: 0/)).to.not.equal(null);
    expect(await readSel(session)).to.deep.equal([]);
  });

  it("sensors: values, thresholds and states as `ipmitool sensor` and `sdr elist` print them", async () => {
    const sensors = await readSensors(session);
    expect(sensors.map(({ name }) => name)).to.deep.equal([
      "Inlet",
      "Minus rail",
      "Fan",
      "Power",
      "Idle",
      "Ghost",
      "PSU",
    ]);
    const theirs = tableOf(await tool("sensor"));
    const read = ["Inlet", "Minus rail", "Fan", "Power"];
    expect(theirs.map(([name]) => name)).to.include.members(read);
    for (const [name, value, unit, , , , , nonCritical, critical, nonRecoverable] of theirs) {
      const ours = sensors.find((sensor) => sensor.name === name);
      if (!read.includes(name ?? "")) continue;
      expect(ours?.value?.toFixed(3), name).to.equal(value);
      expect(ours?.unit, name).to.equal(unit);
      const { upperNonCritical, upperCritical, upperNonRecoverable } = ours?.thresholds ?? {};
      const limits = [upperNonCritical, upperCritical, upperNonRecoverable].map((limit) => limit?.toFixed(3) ?? "na");
      expect(limits, name).to.deep.equal([nonCritical, critical, nonRecoverable]);
    }
    const none = [undefined, undefined, undefined];
    expect(sensors.map(({ value }) => value)).to.deep.equal([96, -1.77, 6250, 40, ...none]);
    const listed = new Map(tableOf(await tool("sdr", "elist")).map((cells) => [cells[0], cells]));
    expect(listed.get("PSU")?.[4]).to.equal(sensors[6]?.states.join(", "));
    expect(sensors[6]?.states).to.deep.equal(["Presence detected", "Power Supply AC lost"]);
    expect(listed.get("Inlet")?.[2]).to.equal("ucr");
    expect(sensors[0]?.health).to.equal("critical");
    expect(sensors[4]?.unavailable).to.equal("the BMC does not scan it");
    expect(listed.get("Idle")?.[4]).to.equal("Disabled");
    expect(sensors[5]?.unavailable).to.contain("Get Sensor Reading refused");
    expect(sensors[5]?.value).to.equal(undefined);
  });

  it("locators and vendors' records; ipmi_sim refuses pieces that are too large", async () => {
    const whole = { reservationId: 0, recordId: 0, offset: 0, byteCount: 0xff };
    expect((await failure(session.execute(getSdr, whole))).completionCode).to.equal(0xca);
    const records = await walkSdr(session);
    const rest = records.slice(7).map(({ raw, recordId, ...record }) => record);
    expect(rest).to.deep.equal([
      {
        kind: "fru",
        recordType: 0x11,
        deviceAccessAddress: 0x20,
        fruDeviceId: 1,
        isLogical: true,
        entityId: 7,
        entityInstance: 1,
        name: "Riser",
      },
      {
        kind: "controller",
        recordType: 0x12,
        slaveAddress: 0x20,
        channel: 0,
        capabilities: 0x9f,
        entityId: 7,
        entityInstance: 1,
        name: "BMC",
      },
      { kind: "other", recordType: 0xc0, problem: undefined },
    ]);
    const listed = tableOf(await tool("sdr", "elist", "all"));
    expect(listed.map(([name]) => name)).to.include.members(["Riser", "BMC"]);
  });

  it("the FRU: every text as `ipmitool fru print` has it; no device is a refusal", async () => {
    const fru = await readFru(session);
    const theirs = fieldsOf(await tool("fru", "print", "0"));
    expect(fru.problems).to.deep.equal([]);
    expect([...theirs].filter(([name]) => name.startsWith("Chassis")).map(([, value]) => value)).to.deep.equal([
      "Rack Mount Chassis",
      fru.chassis?.partNumber,
      fru.chassis?.serialNumber,
      fru.chassis?.custom[0],
    ]);
    const { board, product } = fru;
    expect(Date.parse(theirs.get("Board Mfg Date") ?? "")).to.equal(board?.manufacturedAt?.getTime());
    expect(
      ["Mfg", "Product", "Serial", "Part Number", "Extra"].map((name) => theirs.get(`Board ${name}`)),
    ).to.deep.equal([
      board?.manufacturer,
      board?.productName,
      board?.serialNumber,
      board?.partNumber,
      board?.custom[0],
    ]);
    const names = ["Manufacturer", "Name", "Part Number", "Version", "Serial"];
    expect(names.map((name) => theirs.get(`Product ${name}`))).to.deep.equal([
      product?.manufacturer,
      product?.productName,
      product?.partNumber,
      product?.version,
      product?.serialNumber,
    ]);
    expect([board?.fruFileId, product?.assetTag, product?.fruFileId]).to.deep.equal(["", "", "0102ff"]);
    const error = await failure(readFru(session, { fruDeviceId: 7 }));
    expect(error).to.include({ code: "CompletionCode", operation: "Get FRU Inventory Area Info" });
  });

  it("a FRU area with a wrong checksum is read and reported", async () => {
    const fru = await readFru(session, { fruDeviceId: 1 });
    expect(fru.product).to.include({ isChecksumValid: false, productName: "Rocket" });
    expect(fru.board?.isChecksumValid).to.equal(true);
    expect(fru.problems).to.deep.equal(["product area: its checksum is wrong"]);
  });
});
