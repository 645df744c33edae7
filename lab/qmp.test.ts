// What QEMU 7.2 says on its QMP socket as it ends, and what we make of it. The lines are as captured from it.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { shutdownReason } from "./qmp.ts";

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2+dfsg-7+deb12u18+b3"}, "capabilities": ["oob"]}}\r\n';
const RETURN = '{"return": {}}\r\n';
const RESET =
  '{"timestamp": {"seconds": 1795242812, "microseconds": 22491}, "event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-system-reset"}}\r\n';

describe("shutdownReason", () => {
  let folder: string;
  let path: string;
  let server: Server | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "qmp-"));
    path = join(folder, "events");
  });

  afterEach(async () => {
    await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
    server = undefined;
    await rm(folder, { recursive: true });
  });

  /** Answers the capabilities with `last`, hangs up, and has the process end. */
  function qemuThatSays(last: string): Promise<void> {
    return new Promise((ended) => {
      server = createServer((socket) => {
        socket.write(GREETING);
        socket.once("data", () => socket.end(last, () => ended()));
      }).listen(path);
    });
  }

  it("gives the reason that QEMU names", async () => {
    const ended = qemuThatSays(RETURN + RESET);
    expect(await shutdownReason(path, ended)).to.equal("host-qmp-system-reset");
  });

  it("gives none for a QEMU that was killed in the middle of a line", async () => {
    const ended = qemuThatSays(RETURN + RESET.slice(0, 60));
    expect(await shutdownReason(path, ended)).to.equal(undefined);
  });

  it("gives none for a QEMU that ended before it made its socket", async () => {
    expect(await shutdownReason(path, Promise.resolve())).to.equal(undefined);
  });
});
