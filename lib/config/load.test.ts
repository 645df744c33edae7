// Loading nova.conf: the wiki's snippet as it stands, defaults without a file, and faults with file and line.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { BaremetalError } from "../errors.ts";
import { loadConfig } from "./load.ts";
import { projectRoot } from "./paths.ts";

/** Configuration lines of the OpenStack wiki's Baremetal page, "Configuration Changes" (seeds/004). */
const WIKI = `[DEFAULT]
scheduler_host_manager = nova.scheduler.baremetal_host_manager.BaremetalHostManager
firewall_driver = nova.virt.firewall.NoopFirewallDriver
compute_driver = nova.virt.baremetal.driver.BareMetalDriver
ram_allocation_ratio = 1.0
reserved_host_memory_mb = 0

[baremetal]
net_config_template = $pybasedir/nova/virt/baremetal/net-static.ubuntu.template
tftp_root = /tftpboot
power_manager = nova.virt.baremetal.ipmi.IPMI
driver = nova.virt.baremetal.pxe.PXE
instance_type_extra_specs = cpu_arch:{i386|x86_64}
sql_connection = mysql://{user}:{pass}@{host}/nova_bm
`;

describe("loadConfig", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "nova-bm-config-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  const load = (text: string, name = "nova.conf") => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return loadConfig({ files: [file] });
  };
  const faultOf = (text: string): string => {
    try {
      load(text);
    } catch (error) {
      if (error instanceof BaremetalError && error.code === "BadInput")
        return error.message.replaceAll(`${folder}/`, "");
      throw error;
    }
    throw new Error("it loaded");
  };

  it("loads the wiki's snippet unchanged", () => {
    const config = load(WIKI);
    expect(config.baremetal).to.deep.include({
      driver: "pxe",
      powerManager: "ipmi",
      tftpRoot: "/tftpboot",
      flavorExtraSpecs: ["cpu_arch:{i386|x86_64}"],
      sqlConnection: "mysql://{user}:{pass}@{host}/nova_bm",
      netConfigTemplate: join(projectRoot(), "templates", "net-static.ubuntu.template"),
    });
    expect(config.default).to.include({ ramAllocationRatio: 1, reservedHostMemoryMb: 0 });
    expect(config.ignored).to.deep.equal([]);
    expect(config.warnings).to.have.length(1);
    expect(config.warnings[0])
      .to.contain("nova.conf:13: [baremetal] instance_type_extra_specs is deprecated")
      .and.contain("flavor_extra_specs");
  });

  it("runs with no file at all", () => {
    const config = loadConfig({ overrides: { DEFAULT: { state_path: "/s" } } });
    expect(config.default).to.include({
      myIp: "127.0.0.1",
      statePath: "/s",
      instancesPath: "/s/instances",
      debug: false,
    });
    expect(config.default).to.include({ forceConfigDrive: true, logFile: null });
    expect(config.baremetal).to.include({
      sqlConnection: "sqlite:////s/baremetal_nova.sqlite",
      pxeDeployTimeout: 1800,
      secretKeyFile: "/s/secret.key",
      imageCachePath: "/s/image-cache",
      deployHelperPort: 10_000,
      deployKernel: null,
      pxeAppendParams: "nofb nomodeset vga=normal",
      iscsiVerify: true,
    });
    expect(config.baremetal.flavorExtraSpecs).to.deep.equal([]);
    expect(config.database.connection).to.equal("sqlite:////s/nova.sqlite");
    expect(config.api).to.include({ host: "127.0.0.1", port: 8774, authStrategy: "keystone" });
    expect(config.warnings).to.deep.equal([]);
  });

  it("lets a later file and an override win, and adds lists up", () => {
    const first = join(folder, "a.conf");
    const second = join(folder, "b.conf");
    writeFileSync(first, "[baremetal]\ntftp_root = /a\nflavor_extra_specs = x:1, y:2\nflavor_extra_specs = z:3\n");
    writeFileSync(second, "[baremetal]\ntftp_root = /b\npower_deadline = 5\n");
    const config = loadConfig({ files: [first, second], overrides: { baremetal: { power_deadline: "7" } } });
    expect(config.baremetal).to.include({ tftpRoot: "/b", powerDeadline: 7 });
    expect(config.baremetal.flavorExtraSpecs).to.deep.equal(["x:1", "y:2", "z:3"]);
    expect(config.files).to.deep.equal([first, second]);
  });

  it("interpolates from the own section, then from [DEFAULT]", () => {
    const config = load(
      "[DEFAULT]\nhost = n1\n[api]\nhost = a1\nregion_name = $\u007bhost}-$host\n[baremetal]\ntftp_root = /$host/$$x\n",
    );
    expect(config.api.regionName).to.equal("a1-a1");
    expect(config.baremetal.tftpRoot).to.equal("/n1/$x");
    expect(faultOf("[baremetal]\ntftp_root = /$nowhere")).to.match(
      /^nova.conf:2: \[baremetal\] tftp_root: .*nowhere.*\$\$/,
    );
    const secret = faultOf("[database]\nconnection = mysql://u:pa$geheim@h/d");
    expect(secret)
      .to.match(/^nova.conf:2: \[database\] connection: .*\$\$/)
      .and.not.contain("geheim");
    expect(faultOf("[DEFAULT]\nstate_path = $instances_path")).to.contain("circle");
  });

  it("refuses an unknown option in our sections, with the nearest name", () => {
    expect(faultOf("[baremetal]\n\ntftp_rot = /x")).to.equal(
      "nova.conf:3: [baremetal] tftp_rot: there is no such option; did you mean tftp_root?",
    );
    expect(faultOf("[api]\ntftp_root = /x")).to.contain("it belongs in [baremetal]");
    expect(faultOf("[database]\nqwertyuiop = 1")).to.equal(
      "nova.conf:2: [database] qwertyuiop: there is no such option",
    );
  });

  it("lets Nova's own options pass, and hints at slips", () => {
    const config = load(
      "[DEFAULT]\nrabbit_host = r\nstate_pth = /x\n[libvirt]\nvirt_type = kvm\n[baremetl]\ndriver = x\n",
    );
    expect(config.ignored).to.have.length(4);
    expect(config.warnings).to.have.length(2);
    expect(config.warnings[0]).to.contain("nova.conf:3: [DEFAULT] state_pth").and.contain("did you mean state_path?");
    expect(config.warnings[1]).to.contain("did you mean [baremetal]?");
  });

  it("names every wrong value with its place and what it should be", () => {
    const text = faultOf(
      "[DEFAULT]\ndebug = maybe\n[baremetal]\ntftp_port = 70000\npower_deadline = 0\npxe_deploy_timeout = 10s\npower_manager = nova.virt.baremetal.tilera_pdu.Pdu\n",
    );
    expect(text.split("\n")).to.deep.equal([
      'nova.conf:2: [DEFAULT] debug: "maybe" is not True or False',
      'nova.conf:7: [baremetal] power_manager: "nova.virt.baremetal.tilera_pdu.Pdu" is not one of ipmi, fake',
      'nova.conf:6: [baremetal] pxe_deploy_timeout: "10s" is not an integer of at least 0',
      'nova.conf:5: [baremetal] power_deadline: "0" is not an integer of at least 1',
      'nova.conf:4: [baremetal] tftp_port: "70000" is not an integer from 0 to 65535',
    ]);
  });

  it("reads booleans in all of oslo's words", () => {
    for (const [word, value] of [
      ["True", true],
      ["yes", true],
      ["ON", true],
      ["1", true],
      ["false", false],
      ["No", false],
      ["off", false],
      ["0", false],
    ] as const) {
      expect(load(`[DEFAULT]\ndebug = ${word}`).default.debug, word).to.equal(value);
    }
  });

  it("tells a file that cannot be read from one that is wrong", () => {
    expect(() => loadConfig({ files: [join(folder, "none.conf")] }))
      .to.throw(BaremetalError, /none\.conf cannot be read/)
      .with.deep.property("data", { file: join(folder, "none.conf"), reason: "unreadable" });
  });
});
