// A recording against lines that fail, open and are lost: when it tries again, and what it tells.
import { expect } from "chai";
import type { Clock } from "../../lib/clock.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { Recording } from "./recording.ts";
import type { SerialLine } from "./serial-lines.ts";

const refused = new BaremetalError("PeerMisbehaved", "refused");
const login = (ipmiCode: string) => new BaremetalError("PeerMisbehaved", "the login failed", { data: { ipmiCode } });
const taken = new BaremetalError("PeerUnreachable", "deactivated", { data: { isTaken: true } });
const unsupported = new BaremetalError("PeerMisbehaved", "no such thing", { data: { isUnsupported: true } });

/** A line that writes `text` and is lost. */
function lineOf(text: string, loss: Error = new BaremetalError("PeerUnreachable", "lost")): SerialLine {
  async function* output() {
    yield Buffer.from(text);
    throw loss;
  }
  return { output: output(), close: async () => {} };
}

/** Runs a recording through `outcomes`, one an opening, until there are no more. */
async function play(outcomes: (Error | SerialLine)[], openMs = 0, random = 0) {
  const seen = { sleeps: [] as number[], notes: [] as string[], takeOver: [] as boolean[], log: "" };
  let nowMs = 0;
  const clock: Clock = {
    now: () => nowMs,
    sleep: async (ms) => {
      seen.sleeps.push(ms);
      nowMs += ms;
    },
  };
  const left = [...outcomes];
  const recording = new Recording({
    clock,
    takeOver: true,
    random: () => random,
    // The node is taken from the instance at the end.
    node: async () =>
      left.length > 0 ? { id: 1, pmAddress: "a", pmUser: "u", pmPassword: "p", pmPasswordError: undefined } : undefined,
    lines: {
      open: async (_node, { takeOver }) => {
        seen.takeOver.push(takeOver);
        const outcome = left.shift();
        if (outcome === undefined || outcome instanceof Error) throw outcome ?? refused;
        return outcome;
      },
    },
    log: {
      append: async (data) => {
        seen.log += data.toString();
        nowMs += openMs;
      },
    },
    note: async (text) => void seen.notes.push(text),
  });
  await recording.tried;
  await recording.ended;
  return seen;
}

describe("driver/console: recording", () => {
  it("tries again with growing pauses, and tells the trouble and its end once each", async () => {
    const seen = await play([refused, refused, refused, lineOf("one "), lineOf("two"), refused, taken]);
    expect(seen.sleeps.slice(0, 6)).to.deep.equal([1000, 2000, 4000, 8000, 16_000, 32_000]);
    expect(seen.notes).to.deep.equal([
      "the serial console is not recorded: refused",
      "the serial console is recorded again",
      "the serial console is not recorded: deactivated",
    ]);
    expect(seen.log).to.equal("one two");
  });

  it("tells of a console that comes and goes after a minute, two, four ..., and at last once a day", async () => {
    const notesIn = async (days: number) => {
      const lines = Array.from({ length: days * 288 }, () => lineOf("x"));
      return (await play(lines, 299_000)).notes.length;
    };
    expect(await notesIn(1), "two each, of trouble and its end").to.equal(22);
    expect((await notesIn(9)) - (await notesIn(8))).to.equal(2);
  });

  it("takes over until it has had the console once", async () => {
    const { takeOver } = await play([refused, lineOf("x"), refused]);
    expect(takeOver).to.deep.equal([true, true, false]);
  });

  it("begins with short pauses again after it was open for long", async () => {
    const { sleeps } = await play([refused, refused, refused, lineOf("x"), refused], 100_000);
    expect(sleeps).to.deep.equal([1000, 2000, 4000, 8000, 1000]);
  });

  it("asks a BMC that has no console every five minutes, and any other at least every minute", async () => {
    const { sleeps, notes } = await play([unsupported, ...Array.from({ length: 8 }, () => refused)]);
    expect(sleeps[0]).to.equal(300_000);
    expect(Math.max(...sleeps.slice(1))).to.equal(60_000);
    expect(notes).to.have.length(1);
  });

  for (const code of ["WrongPassword", "NoSuchUser", "InsufficientPrivilege", "CipherSuite"]) {
    it(`asks a BMC that answers ${code} after five minutes, twice as long each time, an hour at most`, async () => {
      const failures = Array.from({ length: 6 }, () => login(code));
      const { sleeps } = await play([...failures, lineOf("x"), login(code)]);
      expect(sleeps.slice(0, 6).map((ms) => ms / 60_000)).to.deep.equal([5, 10, 20, 40, 60, 60]);
      expect((sleeps[7] ?? 0) / 60_000, "after it was open").to.equal(5);
    });
  }

  it("leaves a console for a minute to whoever took it", async () => {
    const { sleeps } = await play([lineOf("x", taken), refused]);
    expect(sleeps[0]).to.equal(60_000);
  });

  it("lets all pauses differ by up to a quarter", async () => {
    const { sleeps } = await play([refused, login("WrongPassword"), unsupported, lineOf("x", taken)], 0, 0.999);
    const wanted = [1000, 300_000, 300_000, 60_000];
    expect(sleeps).to.have.length(wanted.length);
    sleeps.forEach((ms, index) => {
      expect(ms / (wanted[index] ?? 0)).to.be.within(1.24, 1.25);
    });
  });
});
