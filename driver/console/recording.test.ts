// A recording against lines that fail, open and are lost: when it tries again, and what it tells.
import { expect } from "chai";
import type { Clock } from "../../lib/clock.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { Recording } from "./recording.ts";
import type { SerialLine } from "./serial-lines.ts";

const refused = new BaremetalError("PeerMisbehaved", "refused");
const unsupported = new BaremetalError("PeerMisbehaved", "no such thing", { data: { isUnsupported: true } });

/** A line that writes `text` and is lost. */
function lineOf(text: string): SerialLine {
  async function* output() {
    yield Buffer.from(text);
    throw new BaremetalError("PeerUnreachable", "lost");
  }
  return { output: output(), close: async () => {} };
}

/** Runs a recording through `outcomes`, one an opening, until there are no more. */
async function play(outcomes: (Error | SerialLine)[], openMs = 0) {
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
    const seen = await play([refused, refused, refused, lineOf("one "), lineOf("two"), refused]);
    expect(seen.sleeps).to.deep.equal([1000, 2000, 4000, 8000, 16_000, 32_000]);
    expect(seen.notes).to.deep.equal([
      "the serial console is not recorded: refused",
      "the serial console is recorded again",
      "the serial console is not recorded: lost",
      "the serial console is recorded again",
      "the serial console is not recorded: lost",
    ]);
    expect(seen.log).to.equal("one two");
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
});
