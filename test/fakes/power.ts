// A rack of pretended BMCs for driver tests: power states in memory, faults on demand, every call recorded.
import type { PowerControl, PowerControls, PowerTarget } from "../../driver/power/power-control.ts";
import { BaremetalError } from "../../lib/errors.ts";

/** Fails calls whose name it is told of, until told otherwise. */
export class FakePower implements PowerControls {
  readonly calls: string[] = [];
  readonly on = new Set<number>();
  /** Call name -> error text. `*` fails all. */
  readonly faults = new Map<string, string>();
  /** Runs after a successful power on: a test's ramdisk. */
  onPowerOn: (nodeId: number) => void = () => {};

  for(node: PowerTarget): PowerControl {
    const call = async (name: string, work: () => void = () => {}) => {
      this.calls.push(`${name} ${node.id}`);
      const text = this.faults.get(name) ?? this.faults.get("*");
      if (text !== undefined) throw new BaremetalError("PeerUnreachable", text);
      work();
    };
    return {
      isPowerOn: async () => {
        await call("status");
        return this.on.has(node.id);
      },
      powerOn: () =>
        call("on", () => {
          this.on.add(node.id);
          this.onPowerOn(node.id);
        }),
      powerOff: () => call("off", () => this.on.delete(node.id)),
      setBootDevicePxe: () => call("pxe"),
    };
  }

  forgetOthers(): void {}

  async close(): Promise<void> {}
}
