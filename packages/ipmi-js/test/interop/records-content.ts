// What the simulator holds in the interop tests of its records.
import type { SimulatorContent } from "../../src/simulator/content.ts";

/** Signed and scaled readings, one above a threshold, one missing; two inventories, one with a field of one letter. */
export const RECORDS_CONTENT: SimulatorContent = {
  sel: [
    { sensorType: "Memory", sensorNumber: 9, offset: 0, time: "2024-01-02T03:04:05Z" },
    {
      sensorType: "temperature",
      sensorNumber: 1,
      eventType: 1,
      offset: 9,
      isAssertion: false,
      data: [44, 47],
      time: "2024-01-02T03:05:00Z",
    },
  ],
  sdr: [
    {
      name: "Inlet",
      type: "Temperature",
      unit: "degrees C",
      value: 45,
      entityId: 0x37,
      thresholds: { lowerNonRecoverable: -5, lowerNonCritical: 5, upperNonCritical: 42, upperCritical: 47 },
    },
    { name: "12V", type: 2, unit: "volts", value: 12.1, thresholds: { lowerCritical: 10.8, upperCritical: 13.2 } },
    { name: "Pump", type: "Fan", unit: "RPM", value: null },
    { name: "PSU 1", type: "Power Supply", states: [0, 3], number: 200 },
  ],
  fru: [
    {
      chassis: { type: 0x1c, partNumber: "CP-1", serialNumber: "CS-1" },
      board: {
        manufacturedAt: "2024-03-01T12:30:00Z",
        manufacturer: "Acme",
        productName: "X1",
        serialNumber: "B",
        partNumber: "BP-1",
      },
      product: {
        manufacturer: "Acme",
        productName: "Rocket",
        partNumber: "PM-1",
        version: "2",
        serialNumber: "PS-1",
        assetTag: "A-42",
      },
    },
    { id: 5, name: "Riser", board: { productName: "Riser card" } },
  ],
};
