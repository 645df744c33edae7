// The framer (RFC 7143 11.2): a real session's bytes cut anywhere give the same PDUs, and no length makes it take memory or lose count.
import { createHash } from "node:crypto";
import { createServer, connect as dial } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import { connect, ProtocolError } from "node-iscsi";
import { IscsiTarget } from "node-iscsi/target";
import { Framer } from "../../src/framer.ts";
import { HEADER_BYTES, Opcode, opcodeOf } from "../../src/pdu/header.ts";
import { type Property, pureProperty } from "./property.ts";

/** Bytes of one session, as each side received them. */
interface Recording {
  readonly digests: boolean;
  readonly toInitiator: Buffer;
  readonly toTarget: Buffer;
}

const recordings = new Map<boolean, Promise<Recording>>();

/** A session through a proxy that keeps what passes: login, reads and writes of several PDUs with odd lengths, ping, logout. */
async function record(digests: boolean): Promise<Recording> {
  const targetName = "iqn.2026-11.test:recorded";
  const limits = { maxRecvDataSegmentBytes: 512, maxBurstBytes: 1024, firstBurstBytes: 512, initialR2T: true };
  const target = await IscsiTarget.listen({
    address: "127.0.0.1",
    targetName,
    backing: { memoryBytes: 65_536 },
    limits,
  });
  const passed: Record<"toInitiator" | "toTarget", Buffer[]> = { toInitiator: [], toTarget: [] };
  const proxy = createServer((client) => {
    const upstream = dial(target.port, "127.0.0.1");
    client.on("data", (chunk) => passed.toTarget.push(chunk as Buffer));
    upstream.on("data", (chunk) => passed.toInitiator.push(chunk as Buffer));
    client.pipe(upstream).pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  try {
    const wish = digests ? "CRC32C" : "None";
    const session = await connect({
      ...{ address: "127.0.0.1", port: (proxy.address() as { port: number }).port, targetName, lun: 1 },
      wishes: { headerDigest: wish, dataDigest: wish, maxRecvDataSegmentBytes: 700 },
    });
    const device = await session.blockDevice();
    await device.write(512, Buffer.alloc(2048, 0x5a));
    await device.read(0, 1536);
    await session.ping(1000);
    await session.logout();
  } finally {
    await target.close();
    await new Promise((resolve) => proxy.close(resolve));
  }
  return { digests, toInitiator: Buffer.concat(passed.toInitiator), toTarget: Buffer.concat(passed.toTarget) };
}

function recorded(digests: boolean): Promise<Recording> {
  let recording = recordings.get(digests);
  if (recording === undefined) {
    recording = record(digests);
    recordings.set(digests, recording);
  }
  return recording;
}

/** Cuts a stream into PDUs as a connection does, digests from the end of the login on; what came, as text to compare. */
function pdusOf(chunks: readonly Buffer[], digests: boolean): string {
  const seen = createHash("sha1");
  let count = 0;
  const framer = new Framer(
    {
      onPdu(header, data) {
        count += 1;
        seen.update(header).update(data);
        const flags = header.readUInt8(1);
        const opcode = opcodeOf(header);
        // T set and NSG full feature phase: the last PDU of the login, in either direction.
        const isLogin = opcode === Opcode.LoginResponse || opcode === Opcode.LoginRequest;
        if (isLogin && (flags & 0x83) === 0x83) framer.pause();
      },
    },
    262_144,
  );
  for (const chunk of chunks) {
    // The framer copies: a receive buffer is used again at once.
    const reused = Buffer.from(chunk);
    framer.push(reused);
    reused.fill(0xee);
    if (framer.isPaused) framer.resume({ header: digests, data: digests });
  }
  expect(framer.isAtBoundary).to.equal(true);
  return `${count} PDUs, ${seen.digest("hex")}`;
}

const everySplit = (digests: boolean): Property => ({
  name: `framer: a session ${digests ? "with" : "without"} digests, split at every byte`,
  effort: 1,
  async run() {
    const recording = await recorded(digests);
    let executions = 0;
    for (const stream of [recording.toInitiator, recording.toTarget]) {
      const whole = pdusOf([stream], digests);
      expect(Number.parseInt(whole, 10)).to.be.above(10);
      for (let at = 1; at < stream.length; at += 1, executions += 1)
        expect(pdusOf([stream.subarray(0, at), stream.subarray(at)], digests), `split at ${at}`).to.equal(whole);
      const single = Array.from(stream, (_, at) => stream.subarray(at, at + 1));
      expect(pdusOf(single, digests), "byte by byte").to.equal(whole);
    }
    return executions + 2;
  },
});

const anySplit: Property = {
  name: "framer: a session in pieces of any size",
  effort: 100,
  async run(seed, effort) {
    const sessions = [await recorded(true), await recorded(false)];
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 });
    const property = fc.property(
      fc.constantFrom(...sessions),
      fc.boolean(),
      sizes,
      ({ digests, ...streams }, isIn, lengths) => {
        const stream = isIn ? streams.toInitiator : streams.toTarget;
        const chunks: Buffer[] = [];
        for (let at = 0; at < stream.length; at += chunks.at(-1)?.length ?? 0)
          chunks.push(stream.subarray(at, at + (lengths[chunks.length % lengths.length] ?? 1)));
        expect(pdusOf(chunks, digests)).to.equal(pdusOf([stream], digests));
      },
    );
    fc.assert(property, { seed, numRuns: effort });
    return effort;
  },
};

/** A flipped bit anywhere behind the login is found: CRC32C sees every error of one bit. */
const damaged: Property = {
  name: "framer: every flipped bit of a session with digests is found",
  effort: 200,
  async run(seed, effort) {
    const { toInitiator } = await recorded(true);
    const login = loginBytes(toInitiator);
    const bits = fc.integer({ min: 8 * login, max: 8 * toInitiator.length - 1 });
    const property = fc.property(bits, (bit) => {
      const stream = Buffer.from(toInitiator);
      stream[bit >> 3] = (stream[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // A length that grew leaves the stream unfinished, which is not at a boundary: also found.
      expect(() => pdusOf([stream], true)).to.throw();
    });
    fc.assert(property, { seed, numRuns: effort });
    return effort;
  },
};

/** Where the full feature phase begins. */
function loginBytes(stream: Buffer): number {
  for (let at = 0; ; ) {
    const isLast = (stream.readUInt8(at + 1) & 0x83) === 0x83;
    at += HEADER_BYTES + Math.ceil((stream.readUInt32BE(at + 4) & 0xffffff) / 4) * 4;
    if (isLast) return at;
  }
}

const MAX_SEGMENT = 4096;
const chunk = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
const header = fc
  .tuple(fc.nat(0xff), fc.nat(0xff), fc.oneof(fc.nat(0xffffff), fc.nat(2 * MAX_SEGMENT)))
  .map(([opcode, additional, length]) => {
    const bytes = Buffer.alloc(HEADER_BYTES);
    bytes[0] = opcode;
    bytes.writeUInt32BE(additional * 2 ** 24 + length, 4);
    return bytes;
  });
const digests = fc.record({ header: fc.boolean(), data: fc.boolean() });
const hostileStream = fc.tuple(fc.array(fc.oneof(header, chunk), { maxLength: 12 }), digests);

const bounds = pureProperty(
  "framer: hostile lengths take no memory and lose no count",
  hostileStream,
  ([chunks, wished]) => {
    let delivered = 0;
    let places = 0;
    const framer = new Framer(
      {
        placeData(_header, bytes) {
          expect(bytes).to.be.within(1, MAX_SEGMENT);
          places += 1;
          return undefined;
        },
        onPdu(_header, data) {
          expect(data.length).to.be.at.most(MAX_SEGMENT);
          delivered += HEADER_BYTES + data.length;
        },
      },
      MAX_SEGMENT,
    );
    framer.resume(wished);
    const total = chunks.reduce((sum, { length }) => sum + length, 0);
    try {
      for (const bytes of chunks) framer.push(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      expect(() => framer.push(Buffer.alloc(1))).to.throw(ProtocolError);
    }
    expect(delivered).to.be.at.most(total);
    expect(places).to.be.at.most(total / HEADER_BYTES);
  },
);

const paused = pureProperty(
  "framer: what comes while it is paused is bounded",
  fc.array(fc.integer({ min: 1, max: 300_000 })),
  (sizes) => {
    const framer = new Framer({ onPdu: () => undefined }, MAX_SEGMENT);
    framer.pause();
    let kept = 0;
    for (const size of sizes) {
      kept += size;
      if (kept <= 1024 * 1024) framer.push(Buffer.allocUnsafe(size));
      else {
        expect(() => framer.push(Buffer.allocUnsafe(size))).to.throw(ProtocolError);
        return;
      }
    }
  },
);

export const FRAMER_PROPERTIES: readonly Property[] = [
  everySplit(false),
  everySplit(true),
  anySplit,
  damaged,
  bounds,
  { ...paused, effort: 30 },
];
