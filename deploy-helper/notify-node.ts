// Tells the deploy ramdisk that it may reboot: TCP to its port 10000, the word `done`, close (nova-baremetal.md 5.3).
import { connect } from "node:net";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";

const ATTEMPT_MS = 5000;
const PAUSE_MS = 200;
/** The ramdisk closes when it has read; one that does not must not hold us up. */
const CLOSE_MS = 1000;

export interface NotifyOptions {
  readonly address: string;
  readonly port: number;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Sends `done`, again and again until the node accepts a connection: its listener starts only after our answer to its call.
 * @throws BaremetalError `PeerUnreachable` at the deadline
 */
export async function notifyNode(options: NotifyOptions): Promise<void> {
  const { address, port, deadlineMs, clock, signal } = options;
  const end = clock.now() + deadlineMs;
  for (;;) {
    try {
      return await sendDone(address, port, signal);
    } catch (cause) {
      signal.throwIfAborted();
      if (clock.now() + PAUSE_MS >= end) {
        throw new BaremetalError(
          "PeerUnreachable",
          `the node at ${address}:${port} could not be told that its deployment is done, within ${deadlineMs} ms (${describeError(cause)}); look at its console`,
          { data: { peer: `${address}:${port}`, operation: "done", deadlineMs }, cause },
        );
      }
    }
    await clock.sleep(PAUSE_MS, signal);
  }
}

function sendDone(address: string, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let isSent = false;
    const socket = connect({ host: address, port, signal });
    // Whatever a ramdisk says back is not read for its meaning, but read it must be, or the close never comes.
    socket.resume();
    socket.setTimeout(ATTEMPT_MS, () =>
      socket.destroy(isSent ? undefined : new Error(`no answer within ${ATTEMPT_MS} ms`)),
    );
    socket.once("connect", () =>
      socket.end("done", () => {
        isSent = true;
        socket.setTimeout(CLOSE_MS);
      }),
    );
    socket.once("error", (error) => (isSent ? resolve() : reject(error)));
    socket.once("close", () => (isSent ? resolve() : reject(new Error("the node closed the connection at once"))));
  });
}
