// Consoles that record nothing: what the driver asked of them, in order.
import type { NodeRecord } from "../../db/records.ts";
import type { Consoles } from "../../driver/console/console-recorder.ts";

export class FakeConsoles implements Consoles {
  readonly calls: string[] = [];
  /** Told to the driver at each start. */
  problem: string | undefined;

  async start(node: NodeRecord, instanceUuid: string, note: (text: string) => Promise<void>): Promise<void> {
    this.calls.push(`start ${node.id} ${instanceUuid}`);
    if (this.problem !== undefined) await note(this.problem);
  }

  async stop(instanceUuid: string): Promise<void> {
    this.calls.push(`stop ${instanceUuid}`);
  }

  async remove(instanceUuid: string): Promise<void> {
    this.calls.push(`remove ${instanceUuid}`);
  }

  async read(instanceUuid: string, lines: number | undefined): Promise<string> {
    return `${lines ?? "all"} of ${instanceUuid}`;
  }
}
