// The serial line between a machine and its BMC, and a break that overtakes nothing.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { SerialPort } from "./serial-port.ts";

describe("SerialPort", () => {
  let folder: string;
  let port: SerialPort;
  let machine: Socket;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "serial-"));
    port = await SerialPort.listen(join(folder, "serial"));
    machine = connect(join(folder, "serial"));
    await once(machine, "connect");
  });

  afterEach(async () => {
    machine.destroy();
    await port.close();
    await rm(folder, { recursive: true });
  });

  it("lets characters wait for the break before them, even for one that fails", async () => {
    const heard: string[] = [];
    machine.setEncoding("utf8").on("data", (text: string) => heard.push(text));
    const line = port.open();
    // What the machine says first shows that the port has taken its connection.
    machine.write("login: ");
    await once(line, "data");
    let fail = (_: Error): void => {};
    const lost = new Promise<void>((_, reject) => {
      fail = reject;
    }).finally(() => heard.push("<break>"));
    port.holdFor(lost);
    line.write("h");
    setTimeout(() => fail(new Error("QEMU is gone")), 100);
    await once(machine, "data");
    expect(heard).to.deep.equal(["<break>", "h"]);
  });
});
