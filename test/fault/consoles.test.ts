// nova console-log of the real daemons: the boot is recorded from its first byte, across a restart; a BMC without a console hurts nothing.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { eventually, type ImageRefs, ServiceBench } from "../fakes/service-bench.ts";

describe("recorded consoles of the services", function () {
  this.timeout(120_000);
  let bench: ServiceBench;
  let image: ImageRefs;

  before(async () => {
    bench = await ServiceBench.open();
    image = await bench.smallImage();
  });
  after(() => bench?.close());

  const consoleLog = async (id: string, length: number | null = null): Promise<string> => {
    const path = `/compute/v2.1/servers/${id}/action`;
    const body = { "os-getConsoleOutput": { length } };
    return (await bench.call<{ output: string }>("POST", path, body)).output;
  };
  const shows = (id: string, text: string) =>
    eventually(`"${text}" on the console`, async () => (await consoleLog(id)).includes(text));
  const fileOf = (id: string) => join(bench.folder, "instances", "consoles", `${id}.console.log`);
  async function retire(id: string): Promise<void> {
    await bench.call("DELETE", `/compute/v2.1/servers/${id}`);
    await eventually("the node to be released", async () =>
      (await bench.nodes()).every((node) => node.instance_uuid !== id),
    );
    for (const node of await bench.nodes()) await bench.call("DELETE", `/compute/v2.1/os-baremetal-nodes/${node.id}`);
  }

  it("shows the deployment's boot and the tenant's, and what comes after a restart of compute; delete removes it", async () => {
    const node = await bench.machine();
    const id = await bench.boot(image);
    expect(await bench.settled(id)).to.include({ status: "ACTIVE" });
    await shows(id, "tenant boot 1");
    expect(await consoleLog(id)).to.equal("deploy ramdisk\ntenant boot 1\n");
    expect(await consoleLog(id, 1)).to.equal("tenant boot 1\n");
    expect(statSync(fileOf(id)).mode & 0o777).to.equal(0o600);
    await bench.kill("baremetal-compute", "SIGTERM");
    await bench.start("baremetal-compute");
    node.print(Buffer.from([0x68, 0x69, 0xff, 0x00, 0x21, 0x0a]));
    await shows(id, "hi\ufffd!");
    await retire(id);
    await eventually("the log to be removed", () => !existsSync(fileOf(id)));
    expect(node.bmc.sessionCount).to.be.at.most(1);
  });

  it("deploys with a BMC that has no Serial over LAN, and says so once", async () => {
    await bench.machine({ hasSerial: false });
    const id = await bench.boot(image);
    expect(await bench.settled(id)).to.include({ status: "ACTIVE" });
    expect(await consoleLog(id)).to.equal("");
    const notes = (await bench.events(id)).flatMap(({ events }) => events.filter(({ step }) => step === "console"));
    expect(notes).to.have.length(1);
    await retire(id);
  });

  it("keeps the log of a deployment that failed until the instance is deleted", async () => {
    await bench.machine({ agentError: "no disk here" });
    const id = await bench.boot(image);
    expect(await bench.settled(id)).to.include({ status: "ERROR" });
    expect(await consoleLog(id)).to.equal("deploy ramdisk\n");
    await retire(id);
    await eventually("the log to be removed", () => !existsSync(fileOf(id)));
  });
});
