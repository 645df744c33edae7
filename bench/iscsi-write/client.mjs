// Our side of the iSCSI figures, in a process of its own and without a TypeScript loader: what is measured is node-iscsi as it is installed.
// One argument, a job as JSON (contenders.ts makes them); one line of JSON with the result on standard output.
import { open } from "node:fs/promises";
import { allocateTransferBuffer, connect } from "node-iscsi";

const SAMPLE_EVERY_BYTES = 512 * 1024;
const RANDOM_WRITE_BYTES = 4096;

const job = JSON.parse(process.argv[2] ?? "{}");
const tasks = { write, read, "random-write": randomWrite };

function openSession() {
  const { address, port, targetName, lun, digests } = job;
  const wishes = digests ? { headerDigest: "CRC32C", dataDigest: "CRC32C" } : {};
  return connect({ address, port, targetName, lun, wishes });
}

/** The digests must really be on: a target that turns them down would make the figure look splendid. */
function checkDigests({ parameters }) {
  const isOn = parameters.headerDigest === true && parameters.dataDigest === true;
  if (job.digests && !isOn) throw new Error("header and data digests were wished for and not agreed on");
}

/** Runs `work(disk, from, to)` for each session over its share of the disk, then logs out of all. */
async function overSessions(work) {
  const sessions = await Promise.all(Array.from({ length: job.sessions }, openSession));
  const disks = await Promise.all(sessions.map((session) => session.blockDevice()));
  for (const session of sessions) checkDigests(session);
  const share = Math.ceil(job.sizeBytes / job.sessions / job.chunkBytes) * job.chunkBytes;
  const startedAt = performance.now();
  await Promise.all(
    disks.map((disk, index) => work(disk, index * share, Math.min((index + 1) * share, job.sizeBytes))),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  await Promise.all(sessions.map((session) => session.logout()));
  return seconds;
}

/** Runs `step(offset, buffer)` over a range in order, `depth` steps at a time, each lane with a buffer of its own. */
async function inLanes(from, to, step) {
  let next = from;
  const lane = async () => {
    const buffer = allocateTransferBuffer(job.chunkBytes);
    while (next < to) {
      const offset = next;
      const bytes = Math.min(job.chunkBytes, to - offset);
      next += bytes;
      await step(offset, buffer.subarray(0, bytes));
    }
  };
  await Promise.all(Array.from({ length: job.depth }, lane));
}

async function readFully(file, buffer, offset) {
  for (let done = 0; done < buffer.length; ) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, offset + done);
    if (bytesRead === 0) throw new Error(`the source ends at ${offset + done}`);
    done += bytesRead;
  }
}

/** The source file to the disk, every byte of it. */
async function write() {
  const source = await open(job.source, "r");
  const seconds = await overSessions(async (disk, from, to) => {
    await inLanes(from, to, async (offset, buffer) => {
      await readFully(source, buffer, offset);
      await disk.write(offset, buffer);
    });
    await disk.flush();
  });
  await source.close();
  return { seconds };
}

/**
 * The disk to nowhere, into buffers that are used again, as qemu-img's are. A sum over samples shows that bytes came; with `source` all of
 * them are compared (that run is not timed).
 */
async function read() {
  const source = job.source === undefined ? undefined : await open(job.source, "r");
  let sampleSum = 0;
  const seconds = await overSessions((disk, from, to) =>
    inLanes(from, to, async (offset, buffer) => {
      await disk.readInto(offset, buffer);
      for (let at = 0; at < buffer.length; at += SAMPLE_EVERY_BYTES)
        sampleSum = (sampleSum + Math.imul(buffer.readUInt32LE(at), (offset + at) / SAMPLE_EVERY_BYTES + 1)) >>> 0;
      if (source !== undefined) await compare(source, offset, buffer);
    }),
  );
  await source?.close();
  return { seconds, sampleSum };
}

async function compare(source, offset, data) {
  const expected = Buffer.allocUnsafeSlow(data.length);
  await readFully(source, expected, offset);
  if (!data.equals(expected)) throw new Error(`what was read at ${offset} is not what is on the disk`);
}

/** The same places and stamps as libiscsi-write.c: the generator's next number, and place and seed at both ends of the block. */
async function randomWrite() {
  const places = job.sizeBytes / RANDOM_WRITE_BYTES;
  let random = job.seed;
  let left = job.count;
  const seconds = await overSessions(async (disk) => {
    const lane = async (_, index) => {
      const data = Buffer.alloc(RANDOM_WRITE_BYTES, index + 1);
      while (left > 0) {
        left -= 1;
        random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
        const place = Math.floor((random * places) / 2 ** 32);
        for (const at of [0, RANDOM_WRITE_BYTES - 8]) {
          data.writeUInt32LE(place, at);
          data.writeUInt32LE(job.seed, at + 4);
        }
        await disk.write(place * RANDOM_WRITE_BYTES, data);
      }
    };
    await Promise.all(Array.from({ length: job.depth }, lane));
  });
  return { seconds, count: job.count };
}

try {
  process.stdout.write(`${JSON.stringify(await tasks[job.task]())}\n`);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  // Sessions may be open: they would keep the process alive.
  process.exit(1);
}
