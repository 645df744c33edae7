// The program as a user runs it: exit status, what it prints, and what it must not print.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { projectRoot } from "../lib/config/index.ts";
import { main } from "./baremetal-manage.ts";

describe("baremetal-manage", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "nova-bm-manage-"));
    file = join(folder, "nova.conf");
    writeFileSync(file, `[DEFAULT]\nstate_path = ${folder}\n`);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = async (...argv: string[]) => {
    const out: string[] = [];
    const err: string[] = [];
    const status = await main(argv, {
      stdout: { write: (text) => out.push(text) },
      stderr: { write: (text) => err.push(text) },
      defaultConfigFile: file,
    });
    return { status, out: out.join(""), err: err.join("") };
  };
  const done = (out: string) => ({ status: 0, out, err: "" });

  it("syncs up and down, silently, and makes the secret key", async () => {
    expect(await run("db", "version")).to.deep.equal(done("0\n"));
    expect(await run("db", "sync")).to.deep.equal(done(""));
    expect(await run("db", "version")).to.deep.equal(done("11\n"));
    expect(statSync(join(folder, "secret.key"))).to.include({ size: 32 });
    expect(statSync(join(folder, "baremetal_nova.sqlite")).mode & 0o077, "kept from other users").to.equal(0);
    expect(await run("db", "sync", "--version", "10")).to.deep.equal(done(""));
    expect(await run("db", "version")).to.deep.equal(done("10\n"));
    expect(await run("db", "sync", "--version=11")).to.deep.equal(done(""));
    expect(await run("db", "version", "--config-file", file)).to.deep.equal(done("11\n"));
  });

  it("takes --config-file before the command, as the original did, and more than one", async () => {
    const other = join(folder, "other.conf");
    const elsewhere = join(folder, "elsewhere");
    writeFileSync(other, `[DEFAULT]\nstate_path = ${elsewhere}\n`);
    expect(await run("--config-file", file, "--config-file", other, "db", "sync")).to.deep.equal(done(""));
    expect(existsSync(join(elsewhere, "secret.key"))).to.equal(true);
  });

  it("ends with 1 and help for missing or wrong arguments", async () => {
    for (const argv of [
      [],
      ["db"],
      ["config"],
      ["db", "sink"],
      ["nodes"],
      ["db", "sync", "--version", "new"],
      ["db", "--frob"],
    ]) {
      const { status, out, err } = await run(...argv);
      expect(status, argv.join(" ")).to.equal(1);
      expect(err, argv.join(" ")).to.match(/Usage: baremetal-manage/);
      expect(out, argv.join(" ")).to.equal("");
    }
    expect((await run("--help")).status).to.equal(0);
  });

  it("ends with 2 for a file that cannot be read, with 1 for a wrong one", async () => {
    const unreadable = await run("db", "sync", "--config-file", join(folder, "none"));
    expect(unreadable).to.include({ status: 2, out: "" });
    expect(unreadable.err).to.contain("cannot be read");
    writeFileSync(file, "[baremetal]\ntftp_rot = /x\n");
    const wrong = await run("config", "check");
    expect(wrong).to.include({ status: 1, out: "" });
    expect(wrong.err).to.equal(
      `baremetal-manage: ${file}:2: [baremetal] tftp_rot: there is no such option; did you mean tftp_root?\n`,
    );
    writeFileSync(file, `[DEFAULT]\nstate_path = ${folder}\n`);
    const version = await run("db", "sync", "--version", "12");
    expect(version).to.include({ status: 1 });
    expect(version.err).to.contain("there is no version 12");
  });

  it("checks a configuration without telling its secrets", async () => {
    const connection = "sql_connection = mysql://nova:ge@heim@db/nova_bm";
    writeFileSync(
      file,
      `[DEFAULT]\nrabbit_host = r\n[baremetal]\n${connection}\nvirtual_power_host_pass = geheim\ninstance_type_extra_specs = a:b\n`,
    );
    const { status, out, err } = await run("config", "check");
    expect({ status, err }).to.deep.equal({ status: 0, err: "" });
    expect(out).to.not.match(/heim/);
    expect(out.split("\n")).to.deep.equal([
      `read ${file}`,
      "  [baremetal] flavor_extra_specs = a:b",
      "  [baremetal] sql_connection = mysql://nova:***@db/nova_bm",
      "  [baremetal] virtual_power_host_pass = ***",
      `warning: ${file}:6: [baremetal] instance_type_extra_specs is deprecated: write flavor_extra_specs`,
      `ignored: ${file}:2: [DEFAULT] rabbit_host`,
      "the configuration is good",
      "",
    ]);
  });

  it("completes names", async () => {
    expect(await run("bash-completion")).to.deep.equal(done("db config\n"));
    expect(await run("bash-completion", "db")).to.deep.equal(done("sync version\n"));
    expect(await run("bash-completion", "none")).to.deep.equal(done("\n"));
  });

  for (const [command, path] of [
    ["docs", "docs/config.md"],
    ["sample", "etc/nova.conf.sample"],
  ] as const) {
    it(`prints what ${path} holds; UPDATE_GOLDEN=1 writes it`, async () => {
      const { out } = await run("config", command);
      const committed = join(projectRoot(), path);
      if (process.env.UPDATE_GOLDEN === "1") writeFileSync(committed, out);
      expect(out === readFileSync(committed, "utf8"), `run: baremetal-manage config ${command} > ${path}`).to.equal(
        true,
      );
      expect(out).to.contain("tftp_root").and.not.contain(projectRoot());
    });
  }

  it("prints a sample that loads", async () => {
    writeFileSync(file, (await run("config", "sample")).out.replaceAll(/^#(?=[a-z_]+ =.)/gm, ""));
    const { status, err } = await run("config", "check");
    expect({ status, err }).to.deep.equal({ status: 0, err: "" });
  });
});
