import { readFileSync } from "node:fs";
import { expect } from "chai";
import { BaremetalError } from "../../lib/errors.ts";
import { macLinkPath, pxePaths, renderPxeConfig } from "./pxelinux.ts";

const TEMPLATE = readFileSync(new URL("../../templates/pxe_config.template", import.meta.url), "utf8");
const UUID = "be38553e-2087-478b-b9ce-273e8183e2a6";
const OPTIONS = {
  deploymentId: 5,
  deploymentKey: "K0K0K0K0K0K0K0K0K0K0K0K0K0K0K0K0",
  deploymentIscsiIqn: `iqn-${UUID}`,
  appendParams: "nofb nomodeset vga=normal",
  networkConfig: "",
};

describe("driver/boot: the pxelinux configuration", () => {
  it("has the original's layout: default deploy, the deploy label, the boot label last", () => {
    const text = renderPxeConfig(TEMPLATE, pxePaths("/tftpboot", UUID), OPTIONS);
    // nova-baremetal 4.5, written by hand from its words.
    expect(text).to.equal(
      [
        "default deploy",
        "",
        "label deploy",
        `kernel /tftpboot/${UUID}/deploy_kernel`,
        `append initrd=/tftpboot/${UUID}/deploy_ramdisk selinux=0 disk=cciss/c0d0,sda,hda,vda iscsi_target_iqn=iqn-${UUID} ` +
          "deployment_id=5 deployment_key=K0K0K0K0K0K0K0K0K0K0K0K0K0K0K0K0 troubleshoot=0 nofb nomodeset vga=normal",
        "ipappend 3",
        "",
        "",
        "label boot",
        `kernel /tftpboot/${UUID}/kernel`,
        `append initrd=/tftpboot/${UUID}/ramdisk root=\${ROOT} ro nofb nomodeset vga=normal`,
        "",
      ].join("\n"),
    );
  });

  it("puts the network configuration at the end of the last line (deploy-kexec reads that line)", () => {
    const text = renderPxeConfig(TEMPLATE, pxePaths("/tftpboot", UUID), {
      ...OPTIONS,
      networkConfig: "ip=10.0.0.2::10.0.0.1:255.255.255.0::eth0:off",
    });
    const last = text.trimEnd().split("\n").at(-1) ?? "";
    expect(last).to.match(/^append initrd=.* ip=10\.0\.0\.2::10\.0\.0\.1:255\.255\.255\.0::eth0:off$/);
  });

  it("refuses a value with a line break", () => {
    const broken = () =>
      renderPxeConfig(TEMPLATE, pxePaths("/t", UUID), { ...OPTIONS, appendParams: "a\ndefault evil" });
    expect(broken).to.throw(BaremetalError, "pxe_append_params must be one line");
  });

  it("refuses a template with an unknown variable, and names those it may use", () => {
    expect(() => renderPxeConfig("{{ pxe_options.aki }}", pxePaths("/t", UUID), OPTIONS)).to.throw(
      BaremetalError,
      /pxe_options\.aki \}\}.*pxe_options\.aki_path/,
    );
  });

  it("names a MAC's link as PXELINUX asks for it", () => {
    expect(macLinkPath("/tftpboot", "52:54:00:AB:cd:0E")).to.equal("/tftpboot/pxelinux.cfg/01-52-54-00-ab-cd-0e");
    expect(() => macLinkPath("/tftpboot", "../../etc")).to.throw(BaremetalError, "not a MAC address");
  });

  it("refuses an instance uuid that is none", () => {
    expect(() => pxePaths("/tftpboot", "../../../../../etc/passwd-0123456789")).to.throw(
      BaremetalError,
      "not an instance uuid",
    );
  });
});
