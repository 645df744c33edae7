import { expect } from "chai";
import { BaremetalError } from "../lib/errors.ts";
import { UndoList } from "./undo.ts";

describe("driver: the undo list", () => {
  const run = (_name: string, undo: () => Promise<void>) => undo();

  it("runs in reverse order", async () => {
    const seen: string[] = [];
    const list = new UndoList();
    for (const name of ["a", "b", "c"]) list.push(name, async () => void seen.push(name));
    await list.run(run);
    expect(seen).to.deep.equal(["c", "b", "a"]);
  });

  it("goes on after a failure, and then says all that is left", async () => {
    const seen: string[] = [];
    const list = new UndoList();
    list.push("files", async () => void seen.push("files"));
    list.push("power off", async () => {
      throw new Error("BMC silent");
    });
    const error = await list.run(run).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect(seen).to.deep.equal(["files"]);
    expect(error)
      .to.be.instanceOf(BaremetalError)
      .with.property("message", "the undo is not complete: power off: BMC silent");
  });

  it("runs nothing twice", async () => {
    let count = 0;
    const list = new UndoList();
    list.push("once", async () => void count++);
    await list.run(run);
    await list.run(run);
    expect(count).to.equal(1);
  });
});
