// What must hold of the state table as a whole, whatever its rows.
import { expect } from "chai";
import {
  FINAL_DEPLOYMENT_STATES,
  NODE_TRANSITIONS,
  type NodeTransition,
  type NodeTransitionName,
  nextDeploymentState,
  UNFINISHED_DEPLOYMENT_STATES,
} from "./node-states.ts";
import type { DeploymentState, TaskState } from "./records.ts";

const rows = Object.entries(NODE_TRANSITIONS) as [NodeTransitionName, NodeTransition][];
const STATES = [...UNFINISHED_DEPLOYMENT_STATES, ...FINAL_DEPLOYMENT_STATES] as DeploymentState[];

describe("NODE_TRANSITIONS", () => {
  it("takes only free nodes, and frees only taken ones", () => {
    for (const [name, row] of rows) {
      const isFree = (state: TaskState | null) => state === null || state === "deleted";
      expect(row.from.every(isFree), name).to.equal(name === "associate");
      expect(row.from.some(isFree), name).to.equal(name === "associate");
      expect(row.taskState === "deleted", name).to.equal(name === "release");
      expect(row.provisionState === "available", name).to.equal(name === "release");
    }
  });

  it("can release from every state that a transition leads to", () => {
    for (const [name, row] of rows) {
      if (name === "release") continue;
      if (row.taskState !== "unchanged") expect(NODE_TRANSITIONS.release.from, name).to.include(row.taskState);
      expect(NODE_TRANSITIONS.release.provisionFrom, name).to.include(row.provisionState);
    }
  });

  it("leads nowhere that no other transition goes on from", () => {
    for (const [name, row] of rows) {
      const next = rows.filter(
        ([, other]) =>
          (row.taskState === "unchanged" || other.from.includes(row.taskState)) &&
          other.provisionFrom.includes(row.provisionState),
      );
      expect(next, name).to.not.have.length(0);
    }
  });

  it("never brings an ended deployment back to life", () => {
    for (const [name] of rows) {
      for (const state of FINAL_DEPLOYMENT_STATES) {
        const next = nextDeploymentState(name, state);
        expect([undefined, state], `${name} from ${state}`).to.include(next);
      }
    }
  });

  it("is active only after a complete deployment", () => {
    const reaches = rows.filter(
      ([, row]) => row.deploymentState === "active" && !row.deploymentFrom.every((s) => s === "active"),
    );
    expect(reaches.map(([name]) => name)).to.deep.equal(["activate"]);
    expect(STATES.filter((state) => nextDeploymentState("activate", state) === "active")).to.deep.equal([
      "deploy complete",
    ]);
  });
});
