import { expect } from "chai";
import type { NodeRecord } from "../db/records.ts";
import { nodeResources, parseExtraSpecs } from "./resources.ts";

const NODE = {
  id: 1,
  uuid: "0a3f",
  cpus: 4,
  memoryMb: 4096,
  localGb: 100,
  instanceUuid: null,
  provisionState: "available",
  maintenance: false,
  fault: null,
} as unknown as NodeRecord;

describe("driver: what the scheduler is told", () => {
  it("splits flavor_extra_specs at the first colon, the wiki's literal included", () => {
    expect(parseExtraSpecs(["cpu_arch:{i386|x86_64}", " rack : a:b ", "junk"])).to.deep.equal({
      cpu_arch: "{i386|x86_64}",
      rack: "a:b",
    });
  });

  it("offers a free node whole", () => {
    const view = nodeResources(NODE, { cpu_arch: "x86_64" });
    expect(view).to.include({ vcpus: 4, vcpusUsed: 0, freeRamMb: 4096, freeDiskGb: 100, cpuInfo: "baremetal cpu" });
    expect(view.supportedInstances).to.deep.equal([["x86_64", "baremetal", "hvm"]]);
  });

  const taken: [string, Partial<NodeRecord>][] = [
    ["with an instance", { instanceUuid: "b" }],
    ["in maintenance", { maintenance: true }],
    ["with a power fault", { fault: "power failure" }],
    ["in error", { provisionState: "error" }],
  ];
  for (const [what, patch] of taken) {
    it(`offers nothing of a node ${what}`, () => {
      const view = nodeResources({ ...NODE, ...patch }, {});
      expect(view).to.include({
        vcpus: 4,
        vcpusUsed: 4,
        memoryMbUsed: 4096,
        localGbUsed: 100,
        freeRamMb: 0,
        freeDiskGb: 0,
      });
    });
  }
});
