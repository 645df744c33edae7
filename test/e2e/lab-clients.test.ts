// The rack that stays up, used from outside with Debian's own clients; what deploying runs; what Ctrl-C leaves (issue 2, acceptance).
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ExecAudit } from "./exec-audit.ts";
import { LabSession } from "./lab-session.ts";
import * as table from "./process-table.ts";

const BOOT_DEADLINE_MS = 300_000;
const TENANT_DEADLINE_MS = 180_000;
const BREAK_DEADLINE_MS = 10_000;
const STATE_DEADLINE_MS = 60_000;
/** The recorder leaves the console for 75 s to whoever took it, and tries again in intervals of up to 75 s; and a boot. */
const RECORDER_DEADLINE_MS = 240_000;
const SUITE_DEADLINE_MS = 10 * 60_000;

/** As much of os-baremetal-nodes' view as is looked at. */
interface Node {
  readonly id: number;
  readonly instance_uuid: string | null;
  readonly task_state: string | null;
  readonly pm_address: string;
  readonly interfaces: readonly { readonly address: string }[];
}

describe("e2e: the rack that stays up, with Debian's nova and openstack", function () {
  this.timeout(SUITE_DEADLINE_MS);
  let home: string;
  let lab: LabSession;
  let linksBefore: string[];
  let token: string;
  /** The machine that the lab left free, and what `nova boot` puts on it. */
  let node: Node;
  let mac: string;
  let instance: string;
  let name: string;

  const nova = (...args: string[]) => lab.client("nova", args);
  const openstack = async (...args: string[]) => JSON.parse(await lab.client("openstack", [...args, "-f", "json"]));

  /** One call of the bare-metal extension, by plain HTTP at the address that the lab prints. */
  async function baremetal(method: string, path = "", body?: unknown) {
    const url = lab.printedCommand("curl").at(-1)! + path;
    const headers = { "x-auth-token": token, "content-type": "application/json" };
    const init = { method, headers, signal: AbortSignal.timeout(30_000) };
    const response = await fetch(url, body === undefined ? init : { ...init, body: JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  }
  const nodes = async () => (await baremetal("GET")).body.nodes as Node[];

  /** What the machine's tenants have said of themselves on its console. */
  async function markers(consoleFile: string): Promise<string[]> {
    const text = await readFile(consoleFile, "latin1");
    return text.match(/TENANT-MARKER hostname=.*instance=\S+/g) ?? [];
  }

  before(async () => {
    linksBefore = await table.bridgesAndTaps();
    home = await mkdtemp(join(tmpdir(), "lab-clients-"));
    lab = await LabSession.start(home);
  });
  after(async () => {
    await lab?.kill();
    if (home !== undefined) await rm(home, { recursive: true, force: true });
  });

  it("shows token, images and the first server to clients with the printed exports", async () => {
    const [issued, images, servers, list] = await Promise.all([
      openstack("token", "issue"),
      openstack("image", "list"),
      openstack("server", "list"),
      nova("list"),
    ]);
    token = issued.id;
    expect(token).to.match(/^\S{20,}$/);
    const names = images.map((image: { Name: string }) => image.Name);
    expect(names).to.have.members([
      "deploy-kernel",
      "deploy-ramdisk",
      "lab-tenant",
      "lab-tenant-kernel",
      "lab-tenant-ramdisk",
    ]);
    for (const { Status } of images) expect(Status).to.equal("active");
    expect(servers).to.have.length(1);
    expect(servers[0]).to.include({ Name: "tenant0", Status: "ACTIVE", Image: "lab-tenant", Flavor: "baremetal" });
    expect(list).to.match(/\| tenant0 +\| ACTIVE +\| - +\| Running/);
    const free = (await nodes()).filter((one) => one.instance_uuid === null);
    expect(free, "one machine is free").to.have.length(1);
    node = free[0]!;
    mac = node.interfaces[0]!.address;
    expect(await lab.qemu(mac), "the free machine's power").to.equal(undefined);
    expect(await table.bridgesAndTaps(), "the rack's network is not the computer's").to.deep.equal(linksBefore);
  });

  it("has an audit that sees a program started by a child of what it watches", async () => {
    const script =
      "process.stdin.once('data', () => require('child_process').spawn('sh', ['-c', 'dd if=/dev/null; true'])" +
      ".on('exit', () => process.exit(0)))";
    const culprit = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "ignore", "ignore"], timeout: 60_000 });
    const ended = new Promise((resolve) => culprit.once("exit", resolve));
    const audit = await ExecAudit.attach([culprit.pid!], join(home, "culprit.strace"));
    culprit.stdin.end("now");
    expect(await ended).to.equal(0);
    const calls = (await audit.finish()).join("\n");
    expect(calls).to.match(/execve\("\S*\/sh", \["sh", "-c"/);
    expect(calls).to.match(/execve\("\S*\/dd", \["dd", "if=\/dev\/null"\]/);
  });

  it("deploys by nova boot --poll without a daemon of ours starting any program", async () => {
    const family = await lab.look();
    const programs = ["baremetal-compute", "baremetal-deploy-helper", "baremetal-tftp"];
    const daemons = programs.map((program) => {
      const found = family.filter(({ argv }) => argv.some((word) => word.endsWith(`/${program}.js`)));
      expect(found, program).to.have.length(1);
      return found[0]!.pid;
    });
    // A program that waited in the wings would not have to be started.
    expect(family.filter(({ parent }) => daemons.includes(parent))).to.deep.equal([]);
    const [, ...boot] = lab.printedCommand("nova boot");
    name = boot.at(-1)!;
    expect(boot).to.include.members(["--poll", "--nic", "none", "--key-name"]);

    const audit = await ExecAudit.attach(daemons, join(home, "daemons.strace"));
    let isComplete = false;
    let calls: string[];
    try {
      expect(await lab.client("nova", boot, BOOT_DEADLINE_MS)).to.include("100% complete");
      isComplete = await audit.isComplete();
    } finally {
      calls = await audit.finish();
    }
    const taken = (await baremetal("GET", `/${node.id}`)).body.node as Node;
    expect(taken.task_state).to.equal("active");
    instance = taken.instance_uuid!;
    expect(isComplete, "strace watched to the end").to.equal(true);
    expect(calls).to.deep.equal([]);
    const helperLog = await readFile(join(lab.folders.logs, "baremetal-deploy-helper.log"), "utf8");
    const isDone = (line: string) => line.includes(instance) && line.includes('"message":"deploy complete');
    expect(helperLog.split("\n").filter(isDone), "the audited helper wrote the disk").to.have.length(1);
    expect(await readdir(join(lab.folders.state, "tftpboot", instance))).to.include.members(["config", "kernel"]);
  });

  it("shows the server to nova list, nova show and openstack server list", async () => {
    const [list, shown, servers] = await Promise.all([nova("list"), nova("show", name), openstack("server", "list")]);
    expect(list).to.match(new RegExp(`\\| ${instance} \\| ${name} +\\| ACTIVE +\\| - +\\| Running`));
    expect(shown)
      .to.match(/key_name +\| lab /)
      .and.match(/image +\| lab-tenant \(/);
    expect(shown).to.match(/status +\| ACTIVE/);
    expect(servers.map((one: { Name: string }) => one.Name)).to.have.members(["tenant0", name]);
  });

  it("shows a boot live to the operator on the printed console command, passes his break on, and gives his terminal back", async () => {
    const command = lab.printedCommand("nsenter").join(" ");
    expect(command).to.not.include("lab-secret");
    const before = "before=$(stty -g)";
    const after = '[ "$(stty -g)" = "$before" ] && echo as before';
    const terminal = lab.terminal(`${before}; ${command}; status=$?; ${after}; exit $status`);
    try {
      const shows = (text: string, deadlineMs: number) =>
        lab
          .until(`the live console to show "${text}"`, deadlineMs, async () => terminal.shown.includes(text))
          .catch((cause: unknown) => {
            throw new Error(`the live console shows ${JSON.stringify(terminal.shown.slice(-500))}`, { cause });
          });
      await shows("~. leaves", STATE_DEADLINE_MS);
      await nova("stop", "tenant0");
      await lab.until("tenant0 to be SHUTOFF", STATE_DEADLINE_MS, async () =>
        /SHUTOFF/.test(await nova("show", "tenant0")),
      );
      await nova("start", "tenant0");
      await shows("SeaBIOS", STATE_DEADLINE_MS);
      await shows("TENANT-MARKER hostname=tenant0 ", TENANT_DEADLINE_MS);
      // Break and a key are SysRq; with this one the kernel names the others. Trap: a serial port that is writing may take a break for
      // a mere zero, as it shows then; a person would try again.
      const tryBreak = () => {
        terminal.type("\r~bh");
        return shows("sysrq: HELP", BREAK_DEADLINE_MS);
      };
      await tryBreak().catch(tryBreak).catch(tryBreak);
      terminal.type("\r~.");
      expect(await terminal.status(), terminal.shown).to.equal(0);
      expect(terminal.shown).to.match(/\[console closed\]\s+as before\s+$/);
    } finally {
      await terminal.close();
    }
  });

  it("ends and starts the machine by nova stop and nova start; the tenant's own system comes up", async () => {
    const first = await lab.qemu(mac);
    expect(first, "the machine's power").to.not.equal(undefined);
    const consoleFile = /logfile=([^,]+serial\.log)/.exec(first!.argv.join(" "))?.[1] ?? "";
    await nova("stop", name);
    await lab.until(`${name} to be SHUTOFF`, STATE_DEADLINE_MS, async () => /SHUTOFF/.test(await nova("show", name)));
    expect(await lab.qemu(mac)).to.equal(undefined);
    const before = (await markers(consoleFile)).length;
    await nova("start", name);
    await lab.until(`${name} to be ACTIVE`, STATE_DEADLINE_MS, async () => /ACTIVE/.test(await nova("show", name)));
    expect((await lab.qemu(mac))?.pid)
      .to.be.a("number")
      .and.not.equal(first?.pid);
    await lab.until(
      "the tenant's marker",
      TENANT_DEADLINE_MS,
      async () => (await markers(consoleFile)).length > before,
    );
    expect((await markers(consoleFile)).at(-1))
      .to.match(new RegExp(`hostname=${name} key=[0-9a-f]{64} root=/dev/vda1 `))
      .and.include(`instance=${instance}`);
  });

  it("takes the wiki's node create and interface add by plain HTTP, and gives the node up again", async () => {
    // novaclient 2.17 sent the numbers of its command line as text (clients.md 2).
    const enrolled = {
      service_host: "lab",
      cpus: "1",
      memory_mb: "512",
      local_gb: "10",
      pm_address: "127.1.0.99",
      pm_user: "root",
      pm_password: "secret",
      prov_mac_address: "52:54:00:ba:fe:99",
      terminal_port: null,
    };
    const created = await baremetal("POST", "", { node: enrolled });
    expect(created.status).to.equal(200);
    expect(created.body.node).to.include({ service_host: "lab", cpus: 1, memory_mb: 512, local_gb: 10 });
    expect(JSON.stringify(created.body)).to.not.include("secret");
    const path = `/${created.body.node.id}`;
    const add_interface = { address: "52:54:00:ba:fe:9a", datapath_id: 0, port_no: 0 };
    const added = await baremetal("POST", `${path}/action`, { add_interface });
    expect(added.status).to.equal(200);
    expect(added.body.interface).to.include({ address: "52:54:00:ba:fe:9a" });
    const shown = (await baremetal("GET", path)).body.node as Node;
    expect(shown.interfaces.map(({ address }) => address)).to.deep.equal(["52:54:00:ba:fe:99", "52:54:00:ba:fe:9a"]);
    expect((await baremetal("DELETE", `/${node.id}`)).status, "a node with a tenant stays").to.equal(409);
    expect((await baremetal("DELETE", path)).status).to.equal(202);
    expect((await baremetal("GET", path)).status).to.equal(404);
    expect(await nodes()).to.have.length(2);
  });

  it("records the console again once the operator has left", async () => {
    const recorded = async () => (await nova("console-log", "tenant0")).split("TENANT-MARKER hostname=tenant0 ").length;
    const count = await recorded();
    await nova("reboot", "--hard", "tenant0");
    await lab.until("the boot in the log", RECORDER_DEADLINE_MS, async () => (await recorded()) > count);
  });

  it("frees the machine by nova delete: no TFTP files, no power", async () => {
    const tftpRoot = join(lab.folders.state, "tftpboot");
    const link = `01-${mac.replaceAll(":", "-")}`;
    expect(await readdir(tftpRoot)).to.include(instance);
    expect(await readdir(join(tftpRoot, "pxelinux.cfg"))).to.include(link);
    await nova("delete", name);
    await lab.until(`${name} to be gone`, STATE_DEADLINE_MS, async () => !(await nova("list")).includes(instance));
    const { body } = await baremetal("GET", `/${node.id}`);
    expect(body.node).to.include({ instance_uuid: null, task_state: "deleted", pxe_config_path: null });
    expect(await readdir(tftpRoot))
      .to.include("pxelinux.cfg")
      .and.not.include(instance);
    expect(await readdir(join(tftpRoot, "pxelinux.cfg"))).to.not.include(link);
    expect(await lab.qemu(mac), "its power").to.equal(undefined);
    const [tenant] = (await nodes()).filter(({ id }) => id !== node.id);
    expect(tenant?.task_state, "the other tenant keeps its machine").to.equal("active");
    expect(await lab.qemu(tenant!.interfaces[0]!.address)).to.not.equal(undefined);
  });

  it("leaves nothing after Ctrl-C: no process, namespace, link, mount, socket or state", async () => {
    await lab.look();
    const programs = [...lab.seen.values()].map(({ argv }) => argv.join(" ")).join("\n");
    for (const word of ["qemu-system-x86_64", "dnsmasq", "baremetal-tftp", "inner.ts"]) {
      expect(programs, "what was looked at").to.include(word);
    }
    // As root in a chroot the lab does without a user namespace: there the kernel gives none.
    expect([...lab.namespaces].map((link) => link.split(":")[0])).to.include.members(["net", "pid"]);
    const { logs, state, disks, sockets } = lab.folders;
    const [socket] = await table.listeningSockets(Number(new URL(lab.apiOrigin).port));
    const find = () => findTraces(lab, socket, [state, disks, sockets]);
    // The same eyes see all of it now, or their seeing nothing later would mean nothing.
    for (const [kind, found] of Object.entries(await find())) expect(found, kind).to.not.deep.equal([]);

    expect(await lab.interrupt(), lab.words).to.equal(0);

    for (const [kind, found] of Object.entries(await find())) expect(found, kind).to.deep.equal([]);
    expect(await table.bridgesAndTaps()).to.deep.equal(linksBefore);
    const mounts = await readFile("/proc/self/mountinfo", "utf8");
    for (const mark of [...lab.namespaces, logs, disks, sockets]) expect(mounts).to.not.include(mark);
    expect(await readdir(logs)).to.include.members(["baremetal-compute.log", "node0"]);
    expect(await readdir(logs), "traps for forbidden programs").to.not.include("trapped-programs.log");
  });
});

/** What there is of a lab: its processes, whoever is in its namespaces, the API's socket, its folders. */
async function findTraces(lab: LabSession, socket: string | undefined, folders: readonly string[]) {
  const processes = await table.readProcesses();
  const inside: string[] = [];
  for (const { pid, argv } of processes) {
    const links = await table.namespacesOf(pid);
    if (links.some((link) => lab.namespaces.has(link))) inside.push(argv.join(" "));
  }
  const isThere = await Promise.all(folders.map(table.exists));
  // Another program may have taken the port since, so it is the socket that is looked for, not the port.
  const listening = await table.listeningSockets(Number(new URL(lab.apiOrigin).port));
  return {
    processes: processes.filter(({ pid, startTime }) => lab.seen.has(`${pid}/${startTime}`)),
    inside,
    listening: listening.filter((inode) => inode === socket),
    folders: folders.filter((_, index) => isThere[index]),
  };
}
