// Account of a failed operation: what is written, unknown, untouched, and that nothing starts after a failure.
import { expect } from "chai";
import { ProtocolError, TransportError } from "./errors.ts";
import { runPipelined, WriteProgress } from "./pipeline.ts";
import { splitRange } from "./zeroing.ts";

const range = { lba: 100, blocks: 50 };
const lost = (effect: "none" | "unknown") => new TransportError("cut", { operation: "WRITE(16)", effect });

describe("WriteProgress", () => {
  it("covers the range with three lists, adjacent pieces joined", () => {
    const progress = new WriteProgress(range);
    progress.noteWritten({ lba: 110, blocks: 10 });
    progress.noteWritten({ lba: 100, blocks: 10 });
    progress.noteFailed({ lba: 130, blocks: 10 }, lost("unknown"));
    progress.noteFailed({ lba: 140, blocks: 10 }, lost("none"));
    expect(progress.state(512)).to.deep.equal({
      written: [{ offsetBytes: 51_200, lengthBytes: 10_240 }],
      unknown: [{ offsetBytes: 66_560, lengthBytes: 5_120 }],
      untouched: [
        { offsetBytes: 61_440, lengthBytes: 5_120 },
        { offsetBytes: 71_680, lengthBytes: 5_120 },
      ],
    });
  });

  it("calls unknown what was written by one method and failed with the next", () => {
    const progress = new WriteProgress(range);
    progress.noteWritten(range);
    progress.noteFailed({ lba: 120, blocks: 10 }, new ProtocolError("nonsense"));
    const { written, unknown, untouched } = progress.state(1);
    expect(written).to.deep.equal([
      { offsetBytes: 100, lengthBytes: 20 },
      { offsetBytes: 130, lengthBytes: 20 },
    ]);
    expect(unknown).to.deep.equal([{ offsetBytes: 120, lengthBytes: 10 }]);
    expect(untouched).to.deep.equal([]);
  });
});

describe("runPipelined", () => {
  it("starts nothing after a failure, waits for what runs, and throws the first error", async () => {
    const started: number[] = [];
    const finished: number[] = [];
    const progress = new WriteProgress(range);
    const failure = lost("unknown");
    const error = await runPipelined(
      splitRange(range, 10),
      async ({ lba }) => {
        started.push(lba);
        if (lba === 100) throw failure;
        await new Promise(setImmediate);
        finished.push(lba);
      },
      2,
      progress,
    ).catch((caught) => caught);
    expect(error).to.equal(failure);
    expect([started, finished]).to.deep.equal([[100, 110], [110]]);
    expect(progress.state(1)).to.deep.equal({
      written: [{ offsetBytes: 110, lengthBytes: 10 }],
      unknown: [{ offsetBytes: 100, lengthBytes: 10 }],
      untouched: [{ offsetBytes: 120, lengthBytes: 30 }],
    });
  });
});
