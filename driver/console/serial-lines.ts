// What the recorder needs of a machine's serial console, and Serial over LAN as the way to it.
import { isIpmiError, openSerialConsole, type SerialConsole, type SerialConsoleEvent } from "ipmi-js";
import { BaremetalError } from "../../lib/errors.ts";
import { parsePmAddress, powerError } from "../power/ipmi.ts";
import type { PowerTarget } from "../power/power-control.ts";

/** An open console. */
export interface SerialLine {
  /** What the machine writes. Ends when the line is closed, throws when it is lost; `isTaken` in the error's data: another party took it. */
  readonly output: AsyncIterable<Buffer>;
  close(): Promise<void>;
}

export interface SerialLineOptions {
  /** End somebody else's use of the console. */
  readonly takeOver: boolean;
  readonly signal: AbortSignal;
}

/** Opens consoles. @throws BaremetalError; `isUnsupported` in its data: the BMC has no console to give */
export interface SerialLines {
  open(node: PowerTarget, options: SerialLineOptions): Promise<SerialLine>;
}

const OPEN_DEADLINE_MS = 15_000;
/** Lines come at 115200 bits a second: the disk may be slow for 20 seconds. */
const MAX_BUFFERED_BYTES = 256 * 1024;

/** Consoles over IPMI 2.0, each with a session of its own. */
export class IpmiSerialLines implements SerialLines {
  async open(node: PowerTarget, { takeOver, signal }: SerialLineOptions): Promise<SerialLine> {
    const { pmAddress, pmUser, pmPassword } = node;
    if (pmAddress === null || pmUser === null || pmPassword === null || node.pmPasswordError !== undefined) {
      throw new BaremetalError("BadInput", `node ${node.id} has no BMC settings to open a console with`, {
        data: { node: node.id, isUnsupported: true },
      });
    }
    const { address, port } = parsePmAddress(pmAddress);
    const login = { address, port, user: pmUser, password: pmPassword, deadlineMs: OPEN_DEADLINE_MS };
    // The recorder opens again by itself, with the node's settings of then.
    const limits = { maxBufferedBytes: MAX_BUFFERED_BYTES, reconnect: { deadlineMs: 0 } };
    let isTaken = false;
    const onEvent = (event: SerialConsoleEvent): void => {
      if (event.kind === "disconnected") isTaken = event.isTaken;
    };
    try {
      const line = await openSerialConsole({ ...login, ...limits, takeOver, signal, onEvent });
      return { output: outputOf(line, pmAddress, () => isTaken), close: () => line.close() };
    } catch (error) {
      const isUnsupported = isIpmiError(error, "CompletionCode");
      throw powerError(error, "open the serial console", pmAddress, { isUnsupported });
    }
  }
}

async function* outputOf(line: SerialConsole, pmAddress: string, isTaken: () => boolean): AsyncGenerator<Buffer> {
  try {
    yield* line.output;
  } catch (error) {
    throw powerError(error, "read the serial console", pmAddress, { isTaken: isTaken() });
  }
}
