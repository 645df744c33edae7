// QEMU Machine Protocol (docs/interop/qmp-spec): one command over QEMU's own socket, then hang up.
import { connect } from "node:net";
import { BaremetalError } from "../lib/errors.ts";

/**
 * Greets QEMU and runs one command.
 * @throws BaremetalError `PeerUnreachable` if QEMU is not there or silent, `PeerMisbehaved` if it refuses
 */
export async function qmp(socketPath: string, command: string, deadlineMs = 3000): Promise<void> {
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
        } else if ("return" in message && answers++ === 0) socket.write(`${JSON.stringify({ execute: command })}\n`);
        else if ("return" in message) finish();
      }
    });
  });
}
