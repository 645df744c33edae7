// The daemons as real processes, killed and misled: what an operator fears at 3 a.m. Machines are simulated at packet level.
import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { CountingBacking } from "../fakes/counting-backing.ts";
import { eventually, type ImageRefs, rawImage, ServiceBench } from "../fakes/service-bench.ts";

const MIB = 1 << 20;
const DISK_BYTES = 2 * 1024 * MIB;

describe("services under faults", function () {
  this.timeout(120_000);
  let bench: ServiceBench;
  let image: ImageRefs;

  before(async () => {
    bench = await ServiceBench.open();
    image = await bench.smallImage();
  });
  after(() => bench?.close());

  /** The node is free of the instance, and nothing of it is left under tftp_root. */
  async function expectReleased(id: string): Promise<void> {
    await eventually("the node to be released", async () =>
      (await bench.nodes()).every((node) => node.instance_uuid !== id),
    );
    expect(existsSync(join(bench.tftpRoot, id)), "boot files").to.equal(false);
  }

  /** Takes used machines out of the pool, so that each test has its own. */
  async function retire(): Promise<void> {
    for (const { id } of await bench.servers()) {
      await bench.call("DELETE", `/compute/v2.1/servers/${id}`);
      await expectReleased(id);
    }
    for (const node of await bench.nodes()) await bench.call("DELETE", `/compute/v2.1/os-baremetal-nodes/${node.id}`);
  }

  afterEach(retire);

  it("deploys: ACTIVE, the tenant boots, delete frees and powers off", async () => {
    const node = await bench.machine();
    const id = await bench.boot(image);
    expect(await bench.settled(id)).to.include({ status: "ACTIVE" });
    await eventually("the tenant's boot", () => node.boots === 1);
    expect(node.calls.map(({ status }) => status)).to.deep.equal([200]);
    await retire();
    expect(node.isOn).to.equal(false);
  });

  it("works with a BMC that drops 30% of the packets", async () => {
    await bench.machine({ bmcFaults: { dropRate: 0.3, seed: 7 } });
    const id = await bench.boot(image);
    expect(await bench.settled(id)).to.include({ status: "ACTIVE" });
  });

  it("names a wrong BMC password, and releases the node", async () => {
    const node = await bench.machine({ pmPassword: "not-the-secret" });
    const id = await bench.boot(image);
    const server = await bench.settled(id);
    expect(server.status).to.equal("ERROR");
    expect(server.fault?.message)
      .to.match(/password/)
      .and.include(node.options.address)
      .and.not.include("not-the-secret");
    await expectReleased(id);
  });

  it("names an unreachable BMC, within its deadline", async () => {
    const node = await bench.machine({ pmAddress: "127.0.66.250:623" });
    const id = await bench.boot(image);
    const server = await bench.settled(id);
    expect(server.status).to.equal("ERROR");
    expect(server.fault?.message).to.include("127.0.66.250");
    expect(node.isOn).to.equal(false);
    await expectReleased(id);
  });

  it("fails with the ramdisk's own words", async () => {
    const node = await bench.machine({ agentError: "none of the disks sda,vda exists" });
    const id = await bench.boot(image);
    const server = await bench.settled(id);
    expect(server.status).to.equal("ERROR");
    expect(server.fault?.message).to.include("none of the disks sda,vda exists");
    await expectReleased(id);
    expect(node.isOn).to.equal(false);
  });

  it("gives one node to exactly one of two boots at once", async () => {
    await bench.machine();
    const ids = await Promise.all([bench.boot(image), bench.boot(image)]);
    const servers = await Promise.all(ids.map((id) => bench.settled(id)));
    expect(servers.map(({ status }) => status).sort()).to.deep.equal(["ACTIVE", "ERROR"]);
    const lost = servers.find(({ status }) => status === "ERROR");
    expect(lost?.fault?.message).to.match(/No valid host/);
  });

  it("picks the deployment up again when compute is killed while it waits", async () => {
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const node = await bench.machine({ beforeCall: () => held });
    const id = await bench.boot(image);
    await eventually("the wait", async () =>
      (await bench.events(id))[0]?.events.some(({ step }) => step === "wait for deployment"),
    );
    await bench.kill("baremetal-compute", "SIGKILL");
    await bench.start("baremetal-compute");
    goOn();
    expect(await bench.settled(id)).to.include({ status: "ACTIVE" });
    expect(node.failure).to.equal(undefined);
  });

  it("goes on from the power cycle when compute is killed before it", async () => {
    // The BMC is deaf to begin with, so that the kill comes between `prepared` and power on.
    const node = await bench.machine();
    node.bmc.faults.dropRate = 1;
    const id = await bench.boot(image);
    await eventually("the power step", async () =>
      (await bench.events(id))[0]?.events.some(({ step }) => step === "power off"),
    );
    await bench.kill("baremetal-compute", "SIGKILL");
    node.bmc.faults.dropRate = 0;
    await bench.start("baremetal-compute");
    expect(await bench.settled(id)).to.include({ status: "ACTIVE" });
  });

  it("ends cleanly when the helper is killed in the middle of the write", async () => {
    const disk = await CountingBacking.open(await rawImage(join(bench.folder, "cut"), DISK_BYTES), DISK_BYTES);
    const node = await bench.machine({ disk });
    const killed = new Promise<void>((resolve) => {
      // No write is answered before the signal is sent, so that no helper is fast enough to end first.
      disk.trigger = { atBytes: MIB, run: () => resolve(bench.kill("baremetal-deploy-helper", "SIGKILL")) };
    });
    const id = await bench.boot(image);
    await killed;
    expect((await bench.server(id)).status).to.equal("BUILD");
    await bench.start("baremetal-deploy-helper");
    expect(await bench.settled(id)).to.include({ status: "ACTIVE" });
    await eventually("the tenant's boot", () => node.boots === 1);
    expect((await bench.events(id))[0]?.events.filter(({ step }) => step === "claim").length).to.be.greaterThan(1);
  });

  describe("refuses an image before a byte is written", () => {
    const refused: [string, string, () => Promise<[string, string]>][] = [
      [
        "that is larger than the disk",
        "disk",
        async () => {
          const file = join(bench.folder, "large.raw");
          execFileSync("mke2fs", ["-q", "-t", "ext2", file, "3G"], { stdio: "pipe" });
          execFileSync("qemu-img", ["convert", "-O", "qcow2", file, `${file}.qcow2`]);
          return [`${file}.qcow2`, "qcow2"];
        },
      ],
      [
        "that is no image",
        "web page",
        async () => [await rawImage(join(bench.folder, "page"), MIB, Buffer.from("<html>404 Not Found</html>")), "raw"],
      ],
      [
        "with a backing file",
        "backing",
        async () => {
          const file = join(bench.folder, "overlay.qcow2");
          execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", file, "16M"]);
          return [file, "qcow2"];
        },
      ],
      [
        "with an external data file",
        "external file",
        async () => {
          const file = join(bench.folder, "outer.qcow2");
          const options = `data_file=${join(bench.folder, "outer.data")}`;
          execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, file, "16M"]);
          return [file, "qcow2"];
        },
      ],
      [
        "that calls itself raw but is qcow2",
        "qcow2",
        async () => {
          const file = join(bench.folder, "liar.raw");
          execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", file, "16M"]);
          return [file, "raw"];
        },
      ],
    ];
    for (const [what, word, make] of refused) {
      it(what, async () => {
        const node = await bench.machine();
        const refs = await bench.image(...(await make()));
        const id = await bench.boot(refs);
        const server = await bench.settled(id);
        expect(server.status).to.equal("ERROR");
        expect(server.fault?.message, server.fault?.message).to.match(new RegExp(word, "i"));
        const disk = node.options.disk as { path: string };
        expect(existsSync(disk.path) ? statSync(disk.path).blocks : 0, "blocks written").to.equal(0);
      });
    }
  });

  it("refuses what the original refused, and changes nothing", async () => {
    const node = await bench.machine();
    const { port, address } = node.options.helper;
    const post = async (body: string) => {
      const answer = await fetch(`http://${address}:${port}/`, { method: "POST", body });
      return [answer.status, await answer.text()];
    };
    const id = (await bench.nodes())[0]?.id;
    expect(await post(`i=${id}&k=K&a=127.0.0.1`)).to.deep.equal([400, "parameter ''n'' is not defined"]);
    expect((await post(`i=${id}&k=K&a=127.0.0.1&n=iqn-x`))[0]).to.be.within(400, 499);
    expect((await post("i=999999&k=K&a=127.0.0.1&n=iqn-x"))[0]).to.be.within(400, 499);
    expect((await bench.nodes())[0]).to.include({ instance_uuid: null, task_state: null });
  });
});
