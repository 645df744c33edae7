// setUser, writeLanConfiguration and raw against BMCs that refuse steps: what is sent, in which order, and what is not.
import { expect } from "chai";
import { readLanConfiguration, writeLanConfiguration } from "../../src/lan-configuration.ts";
import { listUsers, setUser } from "../../src/set-user.ts";
import { failure } from "../failure.ts";
import { type Answer, ScriptedBmc } from "../scripted-bmc.ts";

const OK = Buffer.from([0]);
const code = (completionCode: number): Answer => Buffer.from([completionCode]);
const named = (name: string): Answer => Buffer.concat([OK, Buffer.from(name), Buffer.alloc(16 - name.length)]);
const GET = "Get LAN Configuration Parameters";
/** Of parameter 0. */
const COMPLETE = Buffer.from([0, 0x11, 0]);
const IN_PROGRESS = Buffer.from([0, 0x11, 1]);
const USER = { userId: 3, name: "prov", password: "geheim", privilege: "administrator" } as const;

/** The operations of Set User Password and the other commands' names, in order. */
function steps(bmc: ScriptedBmc): string[] {
  const operations = ["disable", "enable", "set", "test"];
  return bmc.asked.map(({ name, data }) => (name === "Set User Password" ? (operations[data[1] ?? 9] ?? "?") : name));
}

/** The data of the Set LAN Configuration Parameters, in order. */
function sets(bmc: ScriptedBmc): string[] {
  return bmc.asked.filter(({ name }) => name !== GET).map(({ data }) => data.toString("hex"));
}

describe("management flows against BMCs that refuse", () => {
  it("setUser: a slot of another name is disabled before, enabled last", async () => {
    const bmc = new ScriptedBmc((name) => (name === "Get User Name" ? named("other") : OK));
    await setUser(bmc, USER);
    expect(steps(bmc)).to.deep.equal([
      "Get User Name",
      "disable",
      "Set User Name",
      "set",
      "test",
      "Set User Access",
      "enable",
    ]);
  });

  it("setUser: a user that keeps its name is not disabled and not named again", async () => {
    const bmc = new ScriptedBmc((name) => (name === "Get User Name" ? named("prov") : OK));
    await setUser(bmc, USER);
    expect(steps(bmc)).to.deep.equal(["Get User Name", "set", "test", "Set User Access", "enable"]);
  });

  it("setUser: an empty slot that may not be named nor disabled, on a BMC that cannot test", async () => {
    const bmc = new ScriptedBmc((name, data) => {
      const isRefused = name === "Get User Name" || (name === "Set User Password" && (data[1] === 0 || data[1] === 3));
      return isRefused ? code(0xcc) : OK;
    });
    await setUser(bmc, USER);
    expect(steps(bmc).at(-1)).to.equal("enable");
  });

  it("setUser: a password the BMC took and has not: never enabled", async () => {
    const bmc = new ScriptedBmc((name, data) => {
      if (name === "Get User Name") return named("");
      return name === "Set User Password" && data[1] === 3 ? code(0x80) : OK;
    });
    const error = await failure(setUser(bmc, USER));
    expect(error.completionCode).to.equal(0x80);
    expect(error.message).to.contain("the user has another password");
    expect(steps(bmc)).not.to.include("enable");
  });

  it("setUser: 17 to 20 bytes go in the long form; what no BMC can hold is not sent; no secret in messages", async () => {
    const bmc = new ScriptedBmc((name) => (name === "Get User Name" ? named("prov") : OK));
    await setUser(bmc, { ...USER, password: "seventeen-bytes-x" });
    expect(bmc.asked.find(({ data }) => data[1] === 2)?.data).to.have.lengthOf(22);
    bmc.asked.length = 0;
    const wrong = [
      { ...USER, userId: 0 },
      { ...USER, userId: 64 },
      { ...USER, name: "" },
      { ...USER, name: "more-than-16-bytes" },
      { ...USER, password: "" },
      { ...USER, password: "hidden-and-more-than-20-bytes" },
      { ...USER, password: "hidden-of-17-bytes", passwordSize: 16 as const },
      { ...USER, password: "hidden\0" },
    ];
    for (const settings of wrong) {
      const error = await failure(setUser(bmc, settings));
      expect(error.code).to.equal("InvalidArgument");
      expect(error.message).not.to.contain("hidden");
    }
    expect(bmc.asked).to.deep.equal([]);
  });

  it("listUsers: at most 63, whatever the BMC says; a slot without a name is one without a name", async () => {
    const bmc = new ScriptedBmc((name) => (name === "Get User Name" ? code(0xcc) : Buffer.from([0, 0xff, 0, 0, 0x0f])));
    const users = await listUsers(bmc);
    expect(users).to.have.lengthOf(63);
    expect(users.every(({ name }) => name === "")).to.equal(true);
  });

  it("writeLanConfiguration: in progress, source first, commit, complete; a BMC without set in progress is written to", async () => {
    const bmc = new ScriptedBmc((_, data) => (data[1] === 0 ? code(0x80) : OK));
    await writeLanConfiguration(bmc, { ipAddress: "10.0.0.9", ipAddressSource: "static" }, 1);
    expect(sets(bmc)).to.deep.equal(["010001", "010401", "01030a000009", "010002", "010000"]);
  });

  it("writeLanConfiguration: a refused write ends the set without a commit", async () => {
    const bmc = new ScriptedBmc((_, data) => (data[1] === 3 ? code(0x82) : OK));
    const error = await failure(writeLanConfiguration(bmc, { ipAddress: "10.0.0.9" }, 1));
    expect(error.message).to.contain("read-only");
    expect(sets(bmc)).to.deep.equal(["010001", "01030a000009", "010000"]);
  });

  it("writeLanConfiguration: whatever ends it, the set is completed, by a short command without the caller's signal", async () => {
    const endings: readonly (readonly [string, Answer])[] = [
      ["Aborted", OK],
      ["Timeout", undefined],
      ["InsufficientPrivilege", code(0xd4)],
    ];
    for (const [name, answer] of endings) {
      for (const at of ["010001", "01030a000009", "010002"]) {
        if (name === "InsufficientPrivilege" && at === "010001") continue;
        const controller = new AbortController();
        const bmc = new ScriptedBmc((command, data) => {
          if (command === GET) return COMPLETE;
          if (data.toString("hex") !== at) return OK;
          controller.abort();
          return answer;
        });
        // Only a Timeout is waited for; long enough for a busy machine to come to the step that it belongs to.
        const deadlineMs = name === "Timeout" ? 400 : 60_000;
        const options = { deadlineMs, ...(name === "Aborted" ? { signal: controller.signal } : {}) };
        const error = await failure(writeLanConfiguration(bmc, { ipAddress: "10.0.0.9" }, 1, options));
        expect(error.code, at).to.equal(name);
        expect(sets(bmc).slice(-2), `${name} at ${at}`).to.deep.equal([at, "010000"]);
        expect(bmc.asked.at(-1)?.deadlineMs).to.equal(1000);
      }
    }
  });

  it("writeLanConfiguration: 81h of a set that was complete is our own lock, asked for twice; any other is left alone", async () => {
    const busy = (before: Answer) =>
      new ScriptedBmc((name, data) => (name === GET ? before : data.toString("hex") === "010001" ? code(0x81) : OK));
    const ours = busy(COMPLETE);
    await writeLanConfiguration(ours, { ipAddress: "10.0.0.9" }, 1);
    expect(sets(ours)).to.deep.equal(["010001", "01030a000009", "010002", "010000"]);
    for (const before of [IN_PROGRESS, code(0x80), code(0xc1), Buffer.from([0, 0x11])]) {
      const others = busy(before);
      const error = await failure(writeLanConfiguration(others, { ipAddress: "10.0.0.9" }, 1));
      expect(error.completionCode).to.equal(0x81);
      expect(sets(others)).to.deep.equal(["010001"]);
    }
  });

  it("writeLanConfiguration: a set that somebody else began is not completed for a lost answer of ours", async () => {
    const bmc = new ScriptedBmc((name) => (name === GET ? IN_PROGRESS : undefined));
    const error = await failure(writeLanConfiguration(bmc, { ipAddress: "10.0.0.9" }, 1, { deadlineMs: 400 }));
    expect(error.code).to.equal("Timeout");
    expect(sets(bmc)).to.deep.equal(["010001"]);
  });

  it("readLanConfiguration: what the BMC does not have is undefined; a parameter cut short is a Protocol error", async () => {
    const poor = new ScriptedBmc(() => code(0x80));
    expect(Object.values(await readLanConfiguration(poor)).every((value) => value === undefined)).to.equal(true);
    const cut = new ScriptedBmc((_, data) => (data[1] === 3 ? Buffer.from([0, 0x11, 10, 0]) : code(0x80)));
    expect((await failure(readLanConfiguration(cut))).code).to.equal("Protocol");
  });
});
