// Retransmission: back-off, limits, abort. The transport is a fake that only counts.
import { expect } from "chai";
import { failure } from "../test/failure.ts";
import { startBudget } from "./budget.ts";
import { exchange, waitAfterSend } from "./exchange.ts";
import type { Transport } from "./transport.ts";

function fakeTransport(lastError?: string): Transport {
  return {
    name: "10.0.0.7",
    address: "10.0.0.7",
    lastError,
    send: () => undefined,
    subscribe: () => () => undefined,
    close: () => Promise.resolve(),
  };
}

describe("exchange", () => {
  it("waits 0.3, 0.6, 1, 1 of the limit, within 10%", () => {
    const waits = [0, 1, 2, 3, 100].map((attempt) => Math.round(waitAfterSend(attempt, 1000, () => 0.5)));
    expect(waits).to.deep.equal([300, 600, 1000, 1000, 1000]);
    expect(Math.round(waitAfterSend(0, 1000, () => 0))).to.equal(270);
    expect(Math.round(waitAfterSend(0, 1000, () => 0.999999))).to.equal(330);
  });

  it("sends again until the answer comes, and stops listening", async () => {
    let sends = 0;
    let isListening = false;
    let answer: (value: string) => void = () => undefined;
    const request = {
      operation: "Get Chassis Status",
      retransmitMs: 5,
      send: (attempt: number) => {
        expect(attempt).to.equal(sends);
        sends += 1;
        if (sends === 3) answer("here");
      },
      listen: (resolve: (value: string) => void) => {
        isListening = true;
        answer = resolve;
        return () => {
          isListening = false;
        };
      },
    };
    expect(await exchange(fakeTransport(), request, startBudget(5000))).to.equal("here");
    expect(sends).to.equal(3);
    expect(isListening).to.equal(false);
  });

  const silent = (maxSends?: number) => ({
    operation: "Get Chassis Status",
    maxSends,
    retransmitMs: 5,
    send: () => undefined,
    listen: () => () => undefined,
  });

  it("gives up after maxSends, and tells what the network reported", async () => {
    const error = await failure(exchange(fakeTransport("ECONNREFUSED"), silent(2), startBudget(5000)));
    expect(error.code).to.equal("Timeout");
    expect(error.message).to.match(
      /^no answer from 10\.0\.0\.7 to Get Chassis Status within \d+ ms \(2 datagrams sent; the network reported ECONNREFUSED\)$/,
    );
  });

  it("gives up at the deadline", async () => {
    const start = performance.now();
    const error = await failure(exchange(fakeTransport(), silent(), startBudget(40)));
    expect(error.code).to.equal("Timeout");
    expect(performance.now() - start).to.be.within(35, 1000);
  });

  it("ends when its signal fires, before and during", async () => {
    const before = await failure(exchange(fakeTransport(), silent(), startBudget(5000, AbortSignal.abort())));
    expect(before.code).to.equal("Aborted");
    const controller = new AbortController();
    const work = failure(exchange(fakeTransport(), silent(), startBudget(5000, controller.signal)));
    controller.abort();
    expect((await work).code).to.equal("Aborted");
  });
});
