// From observations to steps.
import { expect } from "chai";
import type { Observation } from "./observation.ts";
import { MachineTimeline } from "./timeline.ts";

const tftp = (file: string, bytes = 1000): Observation => ({ kind: "tftp", file, bytes, durationMs: 1 });
const marker: Observation = {
  kind: "marker",
  marker: { hostname: "h", key: "k", root: "r", uuid: "u", instance: "i", line: "TENANT-MARKER" },
};

/** One boot as the lab sees it, with the second of each observation. */
const BOOT: [number, Observation][] = [
  [0, { kind: "power", isOn: true }],
  [1, { kind: "firmware" }],
  [5, { kind: "dhcp", ip: "192.168.250.10" }],
  [6, tftp("pxelinux.0")],
  [7, tftp("uuid/deploy_kernel", 5000)],
  [8, tftp("uuid/deploy_ramdisk")],
  [9, { kind: "ramdisk", text: "init started" }],
  [10, { kind: "ramdisk", text: "called http://192.168.250.1:10000/" }],
  [13, { kind: "ramdisk", text: "told done, rebooting" }],
  [14, { kind: "firmware" }],
  [17, { kind: "dhcp", ip: "192.168.250.10" }],
  [19, tftp("uuid/ramdisk")],
  [22, marker],
  [23, { kind: "dhcp", ip: "192.168.250.10" }],
];

function fill(boot: readonly [number, Observation][]): MachineTimeline {
  const timeline = new MachineTimeline();
  for (const [second, observation] of boot) timeline.add(observation, 1_000_000 + second * 1000);
  return timeline;
}

describe("lab: MachineTimeline", () => {
  it("names the steps of a boot and how long each took", () => {
    const timeline = fill(BOOT);
    expect(timeline.steps()).to.deep.equal({
      firmware: 5000,
      loadDeployRamdisk: 3000,
      startDeployRamdisk: 2000,
      writeImage: 3000,
      rebootFirmware: 4000,
      loadTenant: 2000,
      startTenant: 3000,
    });
    expect(timeline.totalMs).to.equal(22_000);
    expect(timeline.transferredBytes).to.equal(8000);
    expect(timeline.marker?.line).to.equal("TENANT-MARKER");
  });

  it("knows how far a boot came that was broken off", () => {
    const timeline = fill(BOOT.slice(0, 8));
    expect(timeline.last).to.equal("helperCalled");
    expect(timeline.marker).to.equal(undefined);
    expect(Object.keys(timeline.steps())).to.deep.equal(["firmware", "loadDeployRamdisk", "startDeployRamdisk"]);
  });

  it("counts nothing before the power is on, and each milestone once", () => {
    const timeline = fill([[0, { kind: "dhcp", ip: "x" }], ...BOOT.slice(0, 3)]);
    expect(timeline.steps()).to.deep.equal({ firmware: 5000 });
    expect(timeline.add({ kind: "dhcp", ip: "x" }, 1_099_000)).to.equal(undefined);
    expect(timeline.steps()).to.deep.equal({ firmware: 5000 });
  });
});
