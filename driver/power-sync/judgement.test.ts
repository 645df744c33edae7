import { expect } from "chai";
import type { InstancePowerState, NodePower } from "../../db/records.ts";
import { nodeRow } from "../../test/fakes/power-rack.ts";
import { isAmiss, isAtRest, reportOfAnswer, reportOfSilence } from "./judgement.ts";

const node = (patch: Partial<NodePower> = {}) => nodeRow(1, { instanceUuid: "i", taskState: "active", ...patch });
const instance = (patch: Partial<InstancePowerState> = {}): InstancePowerState => ({
  id: 1,
  uuid: "i",
  vmState: "active",
  taskState: null,
  powerState: 1,
  ...patch,
});
const stopped = instance({ vmState: "stopped", powerState: 4 });

describe("driver/power-sync: what a look means", () => {
  const cases: [string, boolean, Partial<NodePower>, InstancePowerState | undefined, boolean][] = [
    ["an active instance whose machine is off", false, {}, instance(), true],
    ["an active instance whose machine is on", true, {}, instance(), false],
    ["a stopped instance whose machine is on", true, {}, stopped, true],
    ["a stopped instance whose machine is off", false, {}, stopped, false],
    ["an active instance whose row says off, but whose machine is on", true, {}, instance({ powerState: 4 }), true],
    ["a failed instance whose row says on", false, {}, instance({ vmState: "error" }), true],
    ["an instance in work", false, {}, instance({ taskState: "rebooting" }), false],
    ["an instance that is being built", false, {}, instance({ vmState: "building", powerState: 0 }), false],
    ["a node that is being deployed", false, { taskState: "deploying" }, instance(), false],
    ["a node whose undo failed", false, { taskState: "error" }, instance(), false],
    ["a node in maintenance", false, { maintenance: true }, instance(), false],
    ["a free node", true, { instanceUuid: null, taskState: "deleted" }, undefined, false],
  ];
  for (const [what, isOn, patch, row, expected] of cases) {
    it(`${what}: ${expected ? "amiss" : "let be"}`, () => {
      expect(isAmiss(node(patch), row, isOn)).to.equal(expected);
    });
  }

  it("takes a node for at rest when no deployment is under way", () => {
    const states = [
      null,
      "deleted",
      "active",
      "error",
      "building",
      "prepared",
      "deploying",
      "deploy complete",
    ] as const;
    expect(states.filter((taskState) => isAtRest(node({ taskState })))).to.deep.equal([
      null,
      "deleted",
      "active",
      "error",
    ]);
  });

  it("writes an answer only if it is news", () => {
    expect(reportOfAnswer(node({ powerState: "power on" }), true)).to.equal(undefined);
    expect(reportOfAnswer(node(), true)).to.deep.equal({ powerState: "power on", targetPowerState: null });
    expect(reportOfAnswer(node({ powerState: "power on" }), false)).to.include({ powerState: "power off" });
    const killed = node({ powerState: "power on", targetPowerState: "power off" });
    expect(reportOfAnswer(killed, true), "a target that a killed process left").to.include({ targetPowerState: null });
  });

  it("clears a power fault with its reason, no other fault, and not the reason of an error", () => {
    const well = { powerState: "power on" } as const;
    expect(reportOfAnswer(node({ ...well, fault: "power failure" }), true)).to.include({
      fault: null,
      lastError: null,
    });
    expect(reportOfAnswer(node({ ...well, fault: "clean failure" }), true)).to.equal(undefined);
    const error = node({ ...well, fault: "power failure", taskState: "error" });
    expect(reportOfAnswer(error, true)).to.include({ fault: null }).and.not.have.property("lastError");
  });

  it("sets a fault once, and leaves another one, and the reason of an error, as they are", () => {
    const error = new Error("no answer from 10.0.0.7");
    expect(reportOfSilence(node(), error)).to.deep.equal({
      fault: "power failure",
      lastError: "no answer from 10.0.0.7",
    });
    expect(reportOfSilence(node({ fault: "clean failure" }), error)).to.equal(undefined);
    expect(reportOfSilence(node({ taskState: "error" }), error)).to.deep.equal({ fault: "power failure" });
  });
});
