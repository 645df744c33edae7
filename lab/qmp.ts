// QEMU Machine Protocol (docs/interop/qmp-spec) over QEMU's own sockets: one command, or listening until QEMU ends.
import { connect } from "node:net";
import { BaremetalError } from "../lib/errors.ts";

/** A command and, where it has some, its arguments. */
export interface QmpRequest {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, string>>;
}

/**
 * Greets QEMU and runs one command, `{ execute: "system_reset" }` or the like.
 * @throws BaremetalError `PeerUnreachable` if QEMU is not there or silent, `PeerMisbehaved` if it refuses
 */
export async function qmp(socketPath: string, request: QmpRequest, deadlineMs = 3000): Promise<void> {
  const command = request.execute;
  const peer = { peer: socketPath, operation: command };
  await new Promise<void>((resolve, reject) => {
    const socket = connect(socketPath);
    let answers = 0;
    let buffered = "";
    const finish = (error?: BaremetalError) => {
      socket.destroy();
      if (error) reject(error);
      else resolve();
    };
    const unreachable = (text: string, cause?: unknown) =>
      finish(new BaremetalError("PeerUnreachable", `QEMU at ${socketPath} ${text}`, { data: peer, cause }));
    socket.setTimeout(deadlineMs, () => unreachable(`did not answer ${command} within ${deadlineMs} ms`));
    socket.once("error", (cause) => unreachable(`could not be reached for ${command}`, cause));
    socket.once("close", () => unreachable(`hung up during ${command}`));
    socket.setEncoding("utf8").on("data", (text: string) => {
      buffered += text;
      const lines = buffered.split("\n");
      buffered = lines.pop() ?? "";
      for (const line of lines) {
        const message = JSON.parse(line) as Record<string, unknown>;
        if ("QMP" in message) socket.write('{"execute":"qmp_capabilities"}\n');
        else if ("error" in message) {
          finish(new BaremetalError("PeerMisbehaved", `QEMU refused ${command}: ${line}`, { data: peer }));
        } else if ("return" in message && answers++ === 0) socket.write(`${JSON.stringify(request)}\n`);
        else if ("return" in message) finish();
      }
    });
  });
}

const CONNECT_INTERVAL_MS = 20;

/**
 * Listens until QEMU ends, and gives the reason of its SHUTDOWN event (`guest-reset`, `guest-shutdown`,
 * `host-qmp-system-reset`...); undefined if it ended without one, as by a signal. Never rejects.
 * @param ended resolves when the process is gone: the bound of every wait here
 */
export async function shutdownReason(socketPath: string, ended: Promise<void>): Promise<string | undefined> {
  let isGone = false;
  const gone = ended.then(() => {
    isGone = true;
  });
  while (!isGone) {
    const heard = await listen(socketPath);
    if (heard) {
      await gone;
      return heard.reason;
    }
    // QEMU makes the socket some milliseconds after its start.
    await new Promise((resolve) => setTimeout(resolve, CONNECT_INTERVAL_MS));
  }
  return undefined;
}

/** One connection, until QEMU hangs up; undefined if QEMU does not listen. */
function listen(socketPath: string): Promise<{ reason: string | undefined } | undefined> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let isGreeted = false;
    let reason: string | undefined;
    // Errors are followed by "close", and what was heard until then counts.
    socket.on("error", () => {});
    socket.once("close", () => resolve(isGreeted ? { reason } : undefined));
    let buffered = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      const lines = (buffered + text).split("\n");
      buffered = lines.pop() ?? "";
      for (const line of lines) {
        const message = JSON.parse(line) as { QMP?: unknown; event?: string; data?: { reason?: string } };
        if (message.QMP !== undefined) {
          isGreeted = true;
          socket.write('{"execute":"qmp_capabilities"}\n');
        }
        if (message.event === "SHUTDOWN") reason = message.data?.reason;
      }
    });
  });
}
