// Debian's real nova 18.1, openstack 6.0 and glance 4.1 against our API with a fake driver (clients.md 1.1, 1.2).
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ApiBench, until } from "../fakes/api-bench.ts";

/** A key that ssh-keygen of OpenSSH 9.2 made for this test. */
const ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICilJUC2svU+pWQmy38yX4IR7VS/nQ4kf7o6wnXss6zg test";

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a client with nothing of our environment but what is given. */
function run(program: string, args: readonly string[], env: Record<string, string>): Promise<Run> {
  return new Promise((resolve) => {
    const options = {
      env: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8", ...env },
      timeout: 60_000,
      maxBuffer: 16 * 1024 * 1024,
    };
    execFile(program, [...args], options, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, out: String(out), err: String(err) });
    });
  });
}

async function ok(program: string, args: readonly string[], env: Record<string, string>): Promise<string> {
  const done = await run(program, args, env);
  if (done.code !== 0) throw new Error(`${program} ${args.join(" ")}: exit ${done.code}\n${done.out}\n${done.err}`);
  return done.out;
}

describe("the real clients against the API", function () {
  this.timeout(180_000);
  let bench: ApiBench;
  let home: string;
  let env: Record<string, string>;
  const nova = (...args: string[]) => ok("/usr/bin/nova", args, env);
  const openstack = (...args: string[]) => ok("/usr/bin/openstack", args, env);
  const json = async (...args: string[]) => JSON.parse(await openstack(...args, "-f", "json"));

  before(async () => {
    bench = await ApiBench.open();
    home = await mkdtemp(join(tmpdir(), "api-clients-"));
    env = {
      HOME: home,
      OS_AUTH_URL: `${bench.url}/identity/v3`,
      OS_IDENTITY_API_VERSION: "3",
      OS_USERNAME: "admin",
      OS_PASSWORD: await bench.adminPassword(),
      OS_PROJECT_NAME: "admin",
      OS_USER_DOMAIN_NAME: "Default",
      OS_PROJECT_DOMAIN_NAME: "Default",
      OS_REGION_NAME: "RegionOne",
    };
    await writeFile(join(home, "kernel"), Buffer.alloc(100_000, 1));
    await writeFile(join(home, "ramdisk"), Buffer.alloc(200_000, 2));
    await writeFile(join(home, "disk.qcow2"), Buffer.alloc(300_000, 3));
    await writeFile(join(home, "key.pub"), `${ED25519}\n`);
  });
  after(async () => {
    await bench?.close();
    if (home !== undefined) await rm(home, { recursive: true, force: true });
  });

  it("openstack: token, images with their boot images, flavor, key pair", async () => {
    const token = await json("token", "issue");
    expect(token.id).to.match(/^[\w-]+\.[\w-]+$/);

    const create = (name: string, format: string, container: string, file: string, ...more: string[]) =>
      json(
        "image",
        "create",
        name,
        "--disk-format",
        format,
        "--container-format",
        container,
        "--file",
        join(home, file),
        ...more,
      );
    const [kernel, ramdisk] = await Promise.all([
      create("k", "aki", "aki", "kernel", "--public"),
      create("r", "ari", "ari", "ramdisk", "--public"),
    ]);
    const properties = ["--property", `kernel_id=${kernel.id}`, "--property", `ramdisk_id=${ramdisk.id}`];
    await create("img", "qcow2", "bare", "disk.qcow2", ...properties);
    const images = async () => {
      const list = await json("image", "list");
      expect(list.map((one: { Name: string }) => one.Name)).to.have.members(["k", "r", "img"]);
      const shown = await json("image", "show", "img");
      expect(shown).to.include({ status: "active", size: 300_000, disk_format: "qcow2" });
      expect(shown.properties).to.include({ kernel_id: kernel.id, ramdisk_id: ramdisk.id });
      await openstack("image", "save", "k", "--file", join(home, "kernel.back"));
      expect(await readFile(join(home, "kernel.back"))).to.deep.equal(Buffer.alloc(100_000, 1));
    };
    const flavorAndKeys = async () => {
      await openstack("flavor", "create", "bm", "--ram", "512", "--vcpus", "1", "--disk", "4");
      await openstack("flavor", "set", "bm", "--property", "cpu_arch=x86_64");
      expect((await json("flavor", "show", "bm")).properties).to.deep.equal({ cpu_arch: "x86_64" });
      await openstack("keypair", "create", "--public-key", join(home, "key.pub"), "mykey");
      expect(await openstack("keypair", "create", "made")).to.match(/^-----BEGIN RSA PRIVATE KEY-----/);
    };
    await Promise.all([images(), flavorAndKeys()]);
  });

  it("plain HTTP: node create, interface add and remove, delete", async () => {
    const first = await bench.enrol("52:54:00:00:00:01");
    const second = await bench.enrol("52:54:00:00:00:02");
    const add = { add_interface: { address: "52:54:00:00:00:03", datapath_id: 0, port_no: 0 } };
    expect((await bench.call("POST", `/os-baremetal-nodes/${second.id}/action`, add)).status).to.equal(200);
    const remove = { remove_interface: { address: "52:54:00:00:00:03" } };
    expect((await bench.call("POST", `/os-baremetal-nodes/${second.id}/action`, remove)).status).to.equal(202);
    expect((await bench.call("DELETE", `/os-baremetal-nodes/${second.id}`)).status).to.equal(202);
    const nodes = (await bench.call("GET", "/os-baremetal-nodes")).body.nodes;
    expect(nodes.map((one: { id: number }) => one.id)).to.deep.equal([first.id]);
  });

  it("nova: boot --poll, list, show, stop, start, reboot, delete, hypervisors, services", async () => {
    const boot = ["boot", "--poll", "--flavor", "bm", "--image", "img", "--nic", "none", "--key-name", "mykey", "vm1"];
    const booted = await nova(...boot);
    expect(booted).to.include("100% complete");
    expect(await nova("list")).to.match(/\| vm1 +\| ACTIVE \| - +\| Running/);
    const shown = await nova("show", "vm1");
    expect(shown)
      .to.match(/key_name +\| mykey/)
      .and.match(/flavor:extra_specs +\| \{"cpu_arch": "x86_64"\}/);
    expect(shown).to.match(/provisioning network +\| 10\.9\.0\.20/);
    expect(shown).to.match(/image +\| img \(/);
    await nova("stop", "vm1");
    await until("SHUTOFF", async () => (await nova("list")).includes("SHUTOFF"));
    await nova("start", "vm1");
    await until("ACTIVE", async () => (await nova("list")).includes("ACTIVE"));
    await nova("reboot", "--poll", "vm1");
    await nova("reboot", "--hard", "--poll", "vm1");
    expect(await nova("hypervisor-list")).to.match(/\| up +\| enabled \|/);
    expect(await nova("service-list")).to.match(/nova-compute \| h1 +\| nova \| enabled \| up/);
    expect(await nova("keypair-list"))
      .to.include("mykey")
      .and.include("made");
    expect(await nova("flavor-list")).to.include("| bm ");
    expect(await nova("console-log", "vm1")).to.include("first\nsecond\nthird");
    expect(await nova("console-log", "--length", "1", "vm1"))
      .to.include("third")
      .and.not.include("second");
    await nova("delete", "vm1");
    await until("vm1 to be gone", async () => !(await nova("list")).includes("vm1"));
    expect(bench.driver.calls.map((call) => call.split(" ").slice(0, 2).join(" "))).to.deep.equal([
      "spawn vm1",
      "powerOff vm1",
      "powerOn vm1",
      "reboot SOFT",
      "reboot HARD",
      "destroy vm1",
    ]);
  });

  it("openstack: server create --nic none --wait, list, show, stop, start, reboot, delete", async () => {
    const version = ["--os-compute-api-version", "2.37"];
    const create = [
      "server",
      "create",
      "--flavor",
      "bm",
      "--image",
      "img",
      "--key-name",
      "mykey",
      "--nic",
      "none",
      "--wait",
      "vm2",
    ];
    const server = await json(...version, ...create);
    expect(server.status).to.equal("ACTIVE");
    const [listed] = await json("server", "list");
    expect(listed).to.include({ Name: "vm2", Status: "ACTIVE", Image: "img", Flavor: "bm" });
    expect(await json("server", "show", "vm2")).to.include({ name: "vm2", key_name: "mykey" });
    await openstack("server", "stop", "vm2");
    await until("SHUTOFF", async () => (await bench.server(server.id)).status === "SHUTOFF");
    await openstack("server", "start", "vm2");
    await until("ACTIVE", async () => (await bench.server(server.id)).status === "ACTIVE");
    await openstack("server", "reboot", "--wait", "vm2");
    await openstack("server", "delete", "--wait", "vm2");
    expect(await json("server", "list")).to.deep.equal([]);
    expect((await json("hypervisor", "list")).length).to.equal(1);
    expect((await json("compute", "service", "list"))[0]).to.include({ Host: "h1", State: "up" });
    expect((await json("availability", "zone", "list", "--compute"))[0]).to.include({ "Zone Name": "nova" });
  });

  it("openstack: a server that fails says why, and a wrong name or password is refused", async () => {
    bench.driver.behaviour.failSpawn = () => new Error("RAKP 2 check failed for 10.0.0.7: the password differs");
    const version = ["--os-compute-api-version", "2.37"];
    const create = ["server", "create", "--flavor", "bm", "--image", "img", "--nic", "none", "--wait", "bad"];
    // The client's exit status is 0 here, whatever the server answers: it raises a SystemExit without a code.
    expect((await run("/usr/bin/openstack", [...version, ...create], env)).out).to.include("Error creating server");
    expect((await json("server", "show", "bad")).fault.message).to.include("RAKP 2 check failed for 10.0.0.7");
    delete bench.driver.behaviour.failSpawn;
    await openstack("server", "delete", "--wait", "bad");
    // Without a version in the address the client asks which there are (300).
    await ok("/usr/bin/openstack", ["token", "issue"], { ...env, OS_AUTH_URL: `${bench.url}/identity` });
    const wrong = await run("/usr/bin/openstack", ["token", "issue"], { ...env, OS_PASSWORD: "wrong" });
    expect(wrong.code).to.equal(1);
    expect(wrong.err).to.include("HTTP 401");
    const unknown = await run("/usr/bin/nova", ["show", "nothing"], env);
    expect(unknown.err).to.include("No server with a name or ID of 'nothing' exists");
  });

  it("glance: list, create, download, with a token and an address only", async () => {
    const token = (await json("token", "issue")).id;
    const glance = (...args: string[]) =>
      ok("/usr/bin/glance", ["--os-auth-token", token, "--os-image-url", `${bench.url}/image`, ...args], {
        HOME: home,
      });
    expect(await glance("image-list")).to.include("| img ");
    const file = join(home, "ramdisk");
    const made = await glance(
      "image-create",
      "--name",
      "g",
      "--disk-format",
      "raw",
      "--container-format",
      "bare",
      "--file",
      file,
    );
    const id = /\| id +\| ([0-9a-f-]{36})/.exec(made)?.[1] ?? "";
    expect(made).to.match(/status +\| active/);
    await glance("image-download", "--file", join(home, "g.back"), id);
    expect(await readFile(join(home, "g.back"))).to.deep.equal(Buffer.alloc(200_000, 2));
    await glance("image-delete", id);
    await openstack("image", "delete", "k");
    expect(await glance("image-list")).to.not.include("| k ");
  });

  it("identity v2.0 and the legacy /v2 path, as novaclient 2.x spoke them", async () => {
    const auth = { tenantName: "admin", passwordCredentials: { username: "admin", password: env.OS_PASSWORD } };
    const { status, body } = await bench.raw("POST", "/identity/v2.0/tokens", { body: { auth } });
    expect(status).to.equal(200);
    const headers = { "x-auth-token": body.access.token.id };
    const compute = body.access.serviceCatalog.find((one: { type: string }) => one.type === "compute");
    expect(compute.endpoints[0].publicURL).to.equal(`${bench.url}/compute/v2.1`);
    const tenant = body.access.token.tenant.id;
    const legacy = await bench.raw("GET", `/compute/v2/${tenant}/os-baremetal-nodes`, { headers });
    expect(legacy.body.nodes).to.have.length(1);
    expect((await bench.raw("GET", `/compute/v2/${"0".repeat(32)}/servers`, { headers })).status).to.equal(400);
  });
});

describe("the real clients without identity (auth_strategy = noauth)", function () {
  this.timeout(120_000);
  let bench: ApiBench;
  let home: string;
  before(async () => {
    bench = await ApiBench.open({ authStrategy: "noauth" });
    home = await mkdtemp(join(tmpdir(), "api-clients-"));
    await bench.furnish();
    await bench.enrol("52:54:00:00:00:01");
    await bench.boot("vm0");
  });
  after(async () => {
    await bench?.close();
    if (home !== undefined) await rm(home, { recursive: true, force: true });
  });

  const none = (endpoint: string, ...args: string[]) =>
    ok("/usr/bin/openstack", args, { HOME: home, OS_AUTH_TYPE: "none", OS_ENDPOINT: endpoint });

  it("openstack server list and show by the compute endpoint alone", async () => {
    const servers = JSON.parse(await none(`${bench.url}/compute/v2.1`, "server", "list", "-f", "json"));
    expect(servers[0]).to.include({ Name: "vm0", Image: "disk" });
    expect(await none(`${bench.url}/compute/v2.1`, "flavor", "list")).to.include("bm");
  });

  it("openstack image list by the image endpoint alone", async () => {
    const images = JSON.parse(await none(`${bench.url}/image`, "image", "list", "-f", "json"));
    expect(images.map((one: { Name: string }) => one.Name)).to.have.members(["kernel", "ramdisk", "disk"]);
  });

  it("nova, which insists on a name and a password: any will do", async () => {
    const names = { OS_USERNAME: "me", OS_PASSWORD: "x", OS_PROJECT_NAME: "mine", OS_REGION_NAME: "RegionOne" };
    const domains = { OS_USER_DOMAIN_NAME: "Default", OS_PROJECT_DOMAIN_NAME: "Default" };
    const env = { HOME: home, OS_AUTH_URL: `${bench.url}/identity/v3`, ...names, ...domains };
    expect(await ok("/usr/bin/nova", ["list"], env)).to.include("vm0");
  });

  it("clouds.yaml with endpoint overrides; admin_token", async () => {
    const cloud = {
      auth_type: "none",
      compute_endpoint_override: `${bench.url}/compute/v2.1`,
      image_endpoint_override: `${bench.url}/image`,
      compute_api_version: "2.1",
      image_api_version: "2",
    };
    await writeFile(join(home, "clouds.yaml"), JSON.stringify({ clouds: { sa: cloud } }));
    const env = { HOME: home, OS_CLIENT_CONFIG_FILE: join(home, "clouds.yaml") };
    expect(await ok("/usr/bin/openstack", ["--os-cloud", "sa", "image", "list"], env)).to.include("disk");
    expect(await ok("/usr/bin/openstack", ["--os-cloud", "sa", "flavor", "list"], env)).to.include("bm");
    const token = ["--os-auth-type", "admin_token", "--os-token", "t", "--os-endpoint", `${bench.url}/compute/v2.1`];
    expect(await ok("/usr/bin/openstack", [...token, "server", "list", "--no-name-lookup"], { HOME: home })).to.include(
      "vm0",
    );
  });
});
