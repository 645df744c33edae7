// The flip of a PXE configuration (nova-baremetal.md 4.5, 5.6).
import { expect } from "chai";
import { flipPxeConfig } from "./pxe-config.ts";

const ROOT = "$" + "{ROOT}";
const config = (default_: string, root: string) =>
  `default ${default_}\n\nlabel deploy\nkernel a\nappend initrd=b root=x\nipappend 3\n\n\nlabel boot\nkernel c\nappend initrd=d root=${root} ro\n`;

describe("flipPxeConfig", () => {
  it("names the boot label and the root, and touches nothing else", () => {
    expect(flipPxeConfig(config("deploy", ROOT), "1-2")).to.equal(config("boot", "UUID=1-2"));
  });
  it("can be done again", () => {
    const once = flipPxeConfig(config("deploy", ROOT), "1-2");
    expect(flipPxeConfig(once, "1-2")).to.equal(once);
  });
  it("refuses a configuration that would not boot", () => {
    expect(() => flipPxeConfig("label boot\n", "1")).to.throw(/no `default` line/);
    expect(() => flipPxeConfig("default deploy\nlabel deploy\n", "1")).to.throw(/label boot/);
  });
});
