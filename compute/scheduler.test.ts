// Unit tests of node choice.
import { expect } from "chai";
import type { ComputeNodeRecord, FlavorSnapshot, ServiceRecord } from "../db/records.ts";
import { isBaremetalError } from "../lib/errors.ts";
import { chooseNode, type PlacementRequest, type PlacementView } from "./scheduler.ts";

const NOW = 1_700_000_000_000;
const flavor: FlavorSnapshot = {
  id: "1",
  name: "f",
  ram: 512,
  vcpus: 1,
  disk: 4,
  ephemeral: 0,
  swap: 0,
  extraSpecs: {},
};

function node(id: number, patch: Partial<ComputeNodeRecord> = {}): ComputeNodeRecord {
  const memoryMb = patch.memoryMb ?? 512;
  const localGb = patch.localGb ?? 10;
  return {
    id,
    host: "h1",
    hypervisorHostname: `node-${id}`,
    hypervisorType: "baremetal",
    hypervisorVersion: 1,
    cpuInfo: "baremetal cpu",
    vcpus: 1,
    vcpusUsed: 0,
    memoryMb,
    memoryMbUsed: 0,
    localGb,
    localGbUsed: 0,
    freeRamMb: memoryMb,
    freeDiskGb: localGb,
    runningVms: 0,
    stats: { cpu_arch: "x86_64" },
    supportedInstances: [],
    createdAt: new Date(NOW),
    updatedAt: new Date(NOW),
    ...patch,
  };
}

function service(host: string, ageMs = 0, disabled = false): ServiceRecord {
  return { id: 1, host, binary: "nova-compute", disabled, createdAt: new Date(NOW), lastSeenUp: new Date(NOW - ageMs) };
}

function view(nodes: ComputeNodeRecord[], services = [service("h1")]): PlacementView {
  return { nodes, services, now: NOW, serviceDownMs: 60_000 };
}

const ask = (patch: Partial<PlacementRequest> = {}): PlacementRequest => ({ flavor, excluded: new Set(), ...patch });

function refusal(request: PlacementRequest, nodes: PlacementView): string {
  try {
    chooseNode(request, nodes);
  } catch (error) {
    expect(isBaremetalError(error, "Conflict")).to.equal(true);
    return (error as Error).message;
  }
  throw new Error("a node was chosen");
}

describe("compute/scheduler", () => {
  it("prefers the exact fit over a bigger node", () => {
    const chosen = chooseNode(ask(), view([node(1, { memoryMb: 65536, vcpus: 32 }), node(2), node(3)]));
    expect(chosen.hypervisorHostname).to.equal("node-2");
  });

  it("passes over nodes in use, too small, tried, on dead and disabled hosts, and says so", () => {
    const nodes = [
      node(1, { vcpusUsed: 1 }),
      node(2, { memoryMb: 256 }),
      node(3, { localGb: 3 }),
      node(4),
      node(5, { host: "dead" }),
      node(6, { host: "off" }),
      node(7, { vcpus: 0 }),
    ];
    const services = [service("h1"), service("dead", 60_001), service("off", 0, true)];
    const text = refusal(ask({ excluded: new Set(["node-4"]) }), view(nodes, services));
    expect(text).to.match(/^No valid host was found\. Of 7 node/);
    for (const part of [
      "1 in use",
      "less RAM",
      "less disk",
      "1 tried already",
      "host that is down",
      "disabled host",
      "fewer CPUs",
    ]) {
      expect(text).to.include(part);
    }
  });

  it("counts ephemeral and swap as disk", () => {
    const big = { ...flavor, ephemeral: 5, swap: 1025 };
    expect(refusal(ask({ flavor: big }), view([node(1)]))).to.include("less disk than 11 GB");
    expect(chooseNode(ask({ flavor: { ...big, swap: 1024 } }), view([node(1)])).id).to.equal(1);
  });

  it("checks extra specs against the node's statistics", () => {
    const specs = { ...flavor, extraSpecs: { cpu_arch: "i386" } };
    expect(refusal(ask({ flavor: specs }), view([node(1)]))).to.include("cpu_arch i386 (the node has x86_64)");
  });

  it("honours a forced host and node", () => {
    const nodes = [node(1), node(2, { host: "h2" })];
    const services = [service("h1"), service("h2")];
    expect(chooseNode(ask({ forcedHost: "h2" }), view(nodes, services)).id).to.equal(2);
    expect(chooseNode(ask({ forcedNode: "node-2" }), view(nodes, services)).id).to.equal(2);
    expect(refusal(ask({ forcedHost: "h1", forcedNode: "node-2" }), view(nodes, services))).to.include(
      "not the forced",
    );
  });

  it("says so when nothing is enrolled", () => {
    expect(refusal(ask(), view([]))).to.equal("No valid host was found. No node is enrolled.");
  });
});
