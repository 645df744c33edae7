// The lab's command line, the nova.conf it writes, and small texts.
import { expect } from "chai";
import { BaremetalError } from "../lib/errors.ts";
import { newPublicKey } from "./enrol.ts";
import { novaConf } from "./nova-conf.ts";
import { parseLabOptions } from "./options.ts";
import { formatBytes, Say } from "./say.ts";

describe("lab: command line", () => {
  it("has defaults that deploy one machine and stay up", () => {
    expect(parseLabOptions([])).to.deep.equal({
      isOnce: false,
      nodes: 1,
      image: undefined,
      keepDisks: false,
      verbose: false,
      db: "sqlite",
      fromSource: false,
    });
  });

  it("takes every option of the usage", () => {
    const words = "--once --nodes 2 --image /i.qcow2 --keep-disks --verbose --db mysql --from-source".split(" ");
    expect(parseLabOptions(words)).to.deep.equal({
      isOnce: true,
      nodes: 2,
      image: "/i.qcow2",
      keepDisks: true,
      verbose: true,
      db: "mysql",
      fromSource: true,
    });
    expect(parseLabOptions(["--help"])).to.equal(undefined);
  });

  it("refuses nonsense by a typed error that names it", () => {
    for (const words of [
      ["--nodes", "0"],
      ["--nodes", "x"],
      ["--nodes", "17"],
      ["--db", "postgres"],
      ["--nodse", "1"],
      ["more"],
    ]) {
      expect(() => parseLabOptions(words), words.join(" "))
        .to.throw(BaremetalError)
        .with.property("code", "BadInput");
    }
  });
});

describe("lab: texts", () => {
  it("writes a nova.conf without database lines for SQLite, with them for MariaDB, and with dollar signs escaped", () => {
    const plain = { stateFolder: "/s$tate", tftpRoot: "/tftp", databases: undefined };
    expect(novaConf(plain)).to.include("state_path = /s$$tate\n").and.not.include("connection");
    const urls = { nova: "mysql://root@localhost/nova", baremetal: "mysql://root@localhost/nova_bm" };
    const text = novaConf({ ...plain, databases: urls });
    expect(text)
      .to.include(`[database]\nconnection = ${urls.nova}\n`)
      .and.include(`sql_connection = ${urls.baremetal}\n`);
  });

  it("makes keys of OpenSSH's Ed25519 form (RFC 8709 section 4)", () => {
    const [type, blob = "", comment] = newPublicKey().split(" ");
    const bytes = Buffer.from(blob, "base64");
    expect([type, comment]).to.deep.equal(["ssh-ed25519", "lab@nova-baremetal"]);
    expect(bytes.subarray(0, 19).toString("hex")).to.equal("0000000b7373682d65643235353139" + "00000020");
    expect(bytes).to.have.length(51);
  });

  it("counts in powers of ten, and seconds from the start", () => {
    expect([999, 1500, 14_200_000, 2_147_483_648].map(formatBytes)).to.deep.equal([
      "999 B",
      "2 kB",
      "14.2 MB",
      "2.15 GB",
    ]);
    let text = "";
    const say = new Say({ write: (more) => (text += more), now: () => 13_340, startedAt: 1000, verbose: false });
    say.line("power on");
    say.detail("unsaid");
    expect(text).to.equal("  12.3 s  power on\n");
  });
});
