// Where things lie when nobody says so.
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { defaultStatePath, projectRoot, resolveTemplate } from "./paths.ts";

describe("paths", () => {
  it("keeps state in the system's folder if it may, else in the user's own", () => {
    const none = "/nonexistent/nova";
    expect(defaultStatePath({}, "/tmp")).to.equal("/tmp");
    expect(defaultStatePath({ XDG_STATE_HOME: "/x" }, none)).to.equal("/x/nova-baremetal");
    expect(defaultStatePath({ XDG_STATE_HOME: "relative" }, none)).to.equal(
      join(homedir(), ".local/state/nova-baremetal"),
    );
    expect(defaultStatePath({}, none)).to.equal(join(homedir(), ".local/state/nova-baremetal"));
  });

  it("finds the program's folder, and our template for the original's", () => {
    expect(existsSync(join(projectRoot(), "templates"))).to.equal(true);
    const ours = join(projectRoot(), "templates", "pxe_config.template");
    expect(resolveTemplate("/usr/lib/python2.7/nova/virt/baremetal/pxe_config.template")).to.equal(ours);
    expect(resolveTemplate("/etc/mine.template")).to.equal("/etc/mine.template");
  });
});
