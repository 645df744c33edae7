// The SOL state machines against each other over a network that loses, repeats and reorders; and the rules, one by one.
import { expect } from "chai";
import { seededRandom } from "../simulator/faults.ts";
import { SolReceiver } from "./sol-receiver.ts";
import { SolSender } from "./sol-sender.ts";

const text = (received: { fresh: Buffer }) => received.fresh.toString();
const numbered = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => i % 251));

describe("SolSender", () => {
  it("fills packets from several writes, numbers them 1 to 15 and again 1, one under way", () => {
    const sender = new SolSender(4);
    for (const piece of ["ab", "c", "defgh"]) sender.push(Buffer.from(piece));
    expect(sender.next()).to.deep.equal({ sequence: 1, data: Buffer.from("abcd"), flags: 0 });
    expect(sender.next()).to.equal(undefined);
    expect(sender.acknowledge(2, 4, false)).to.equal("ignored");
    expect(sender.acknowledge(1, 4, false)).to.equal("accepted");
    const numbers: number[] = [];
    for (let n = 0; n < 16; n += 1) {
      sender.push(Buffer.from("wxyz"));
      const sequence = sender.next()?.sequence ?? 0;
      numbers.push(sequence);
      sender.acknowledge(sequence, 4, false);
    }
    expect(numbers).to.deep.equal([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1, 2]);
  });

  it("sends what was not accepted under a new number, before what was written later", () => {
    const sender = new SolSender(4);
    sender.push(Buffer.from("abcd"));
    sender.next();
    sender.push(Buffer.from("ef"));
    expect(sender.acknowledge(1, 3, false)).to.equal("partly");
    expect(sender.pendingUnits).to.equal(3);
    expect(sender.next()).to.deep.equal({ sequence: 2, data: Buffer.from("def"), flags: 0 });
    expect(sender.acknowledge(2, 0, true)).to.equal("refused");
    expect(sender.next()).to.deep.equal({ sequence: 3, data: Buffer.from("def"), flags: 0 });
    expect(sender.acknowledge(3, 200, false)).to.equal("accepted");
    expect(sender.pendingUnits).to.equal(0);
  });

  it("lets a break travel alone and in its place", () => {
    const sender = new SolSender(10);
    sender.push(Buffer.from("ab"));
    sender.pushFlags(0x10);
    sender.push(Buffer.from("cd"));
    expect(sender.pendingUnits).to.equal(5);
    expect(sender.next()?.data.toString()).to.equal("ab");
    sender.acknowledge(1, 2, false);
    expect(sender.next()).to.deep.equal({ sequence: 2, data: Buffer.alloc(0), flags: 0x10 });
    expect(sender.acknowledge(2, 0, false)).to.equal("accepted");
    expect(sender.next()?.data.toString()).to.equal("cd");
    expect(sender.restart()).to.equal(2);
    expect(sender.pendingUnits).to.equal(0);
  });
});

describe("SolReceiver", () => {
  it("delivers a repeated packet once, and acknowledges it again", () => {
    const receiver = new SolReceiver();
    expect(receiver.receive(1, Buffer.from("abc"))).to.deep.equal({
      fresh: Buffer.from("abc"),
      acceptedCharacters: 3,
    });
    const again = receiver.receive(1, Buffer.from("abc"));
    expect(again).to.deep.equal({ fresh: Buffer.alloc(0), acceptedCharacters: 3 });
  });

  it("takes the characters that a retry has more than the first copy", () => {
    const receiver = new SolReceiver();
    receiver.receive(4, Buffer.from("abc"));
    expect(receiver.isRepetition(4, Buffer.from("abcde"))).to.equal(false);
    const grown = receiver.receive(4, Buffer.from("abcde"));
    expect(grown).to.deep.equal({ fresh: Buffer.from("de"), acceptedCharacters: 5 });
    expect(receiver.receive(4, Buffer.from("abc"))).to.deep.equal({ fresh: Buffer.alloc(0), acceptedCharacters: 3 });
  });

  it("after a partial acceptance repeats its word, since the rest comes under a new number", () => {
    const receiver = new SolReceiver();
    expect(receiver.receive(1, Buffer.from("abcde"), 2)).to.deep.equal({
      fresh: Buffer.from("ab"),
      acceptedCharacters: 2,
    });
    expect(receiver.isRepetition(1, Buffer.from("abcde"))).to.equal(true);
    expect(receiver.receive(1, Buffer.from("abcde"))).to.deep.equal({ fresh: Buffer.alloc(0), acceptedCharacters: 2 });
    expect(text(receiver.receive(2, Buffer.from("cde")))).to.equal("cde");
  });

  it("passes over late copies of old packets, and believes a peer that insists", () => {
    const receiver = new SolReceiver();
    for (const sequence of [14, 15, 1]) receiver.receive(sequence, Buffer.from("x"));
    expect(receiver.receive(15, Buffer.from("x")).acceptedCharacters).to.equal(undefined);
    expect(receiver.receive(14, Buffer.from("x")).acceptedCharacters).to.equal(undefined);
    // The peer gave up 2 and 3: what it sends now is new.
    expect(text(receiver.receive(4, Buffer.from("new")))).to.equal("new");
    const insisting = [1, 2, 3].map(() => text(receiver.receive(12, Buffer.from("anew"))));
    expect(insisting).to.deep.equal(["", "", "anew"]);
  });
});

/** A packet or an acknowledgement under way. */
interface Flying {
  readonly arrivesAt: number;
  readonly arrive: () => void;
}

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
  it(`SOL state machines: whole and in order over a bad network, seed ${seed}`, () => {
    const random = seededRandom(seed);
    const sender = new SolSender(20);
    const receiver = new SolReceiver();
    const sent = numbered(3000);
    const got: Buffer[] = [];
    let flying: Flying[] = [];
    // A third is lost, a third comes twice; copies arrive up to 9 ticks late, so they overtake each other; retries after 10.
    const fly = (now: number, arrive: () => void): void => {
      if (random() < 0.3) return;
      for (let copies = random() < 0.3 ? 2 : 1; copies > 0; copies -= 1) {
        flying.push({ arrivesAt: now + 1 + Math.floor(random() * 9), arrive });
      }
    };
    sender.push(sent);
    let sentAt = -100;
    let tick = 0;
    for (; sender.pendingUnits > 0 && tick < 200_000; tick += 1) {
      const now = tick;
      if (sender.next() !== undefined) sentAt = -100;
      const packet = sender.inFlight;
      if (packet !== undefined && now - sentAt >= 10) {
        sentAt = now;
        fly(now, () => {
          const room = Math.floor(random() * 40);
          const { fresh, acceptedCharacters } = receiver.receive(packet.sequence, packet.data, room);
          got.push(fresh);
          if (acceptedCharacters !== undefined) {
            fly(tick, () => sender.acknowledge(packet.sequence, acceptedCharacters, false));
          }
        });
      }
      const due = flying.filter(({ arrivesAt }) => arrivesAt <= now);
      flying = flying.filter(({ arrivesAt }) => arrivesAt > now);
      for (const { arrive } of due) arrive();
    }
    expect(sender.pendingUnits).to.equal(0);
    expect(Buffer.concat(got).equals(sent), `seed ${seed}: ${Buffer.concat(got).length} bytes`).to.equal(true);
  });
}
