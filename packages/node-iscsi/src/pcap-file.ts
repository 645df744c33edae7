// A capture file in the classic pcap format, written behind the data path: libpcap's savefile layout, link type RAW (bytes begin at the IP header).
import { close, closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync, write, writeSync } from "node:fs";

/** 2 or 4 magic, version 2.4, no zone correction, longest packet, LINKTYPE_RAW. Little-endian, microseconds. */
const FILE_HEADER_BYTES = 24;
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const LINKTYPE_RAW = 101;
const SNAP_BYTES = 262_144;
const RECORD_HEADER_BYTES = 16;

/** Bytes are gathered in blocks of this size, and at most so many blocks wait for the disk. */
const BLOCK_BYTES = 1024 * 1024;
const MAX_WAITING_BLOCKS = 16;

interface Block {
  readonly bytes: Buffer;
  length: number;
  /** Where in the file it belongs: writes may overtake each other, the bytes never change places. */
  position: number;
}

/** Packets of all connections of this process that capture to one path. A failure ends the capture, never the connection. */
export class PcapFile {
  readonly #path: string;
  #fd: number | undefined;
  #users = 0;
  #hasBegun = false;
  #hasFailed = false;
  #endPosition = 0;
  /** The block being filled is the last one; the first may be on its way to the disk. */
  #blocks: Block[] = [];
  /** Somebody will call {@link #writeNext}. */
  #isWriting = false;
  /** The first block is in the kernel's hands. */
  #isInFlight = false;
  #spare: Buffer | undefined;
  readonly #onExit = () => this.#writeRest();

  constructor(path: string) {
    this.#path = path;
  }

  /** A connection begins; the first in the process truncates the file. False when there is no writing to it. */
  open(): boolean {
    if (this.#hasFailed) return false;
    try {
      if (this.#fd === undefined) {
        this.#fd = this.#openFile();
        process.on("exit", this.#onExit);
      }
    } catch (error) {
      this.#fail(error);
      return false;
    }
    this.#users += 1;
    return true;
  }

  /** A connection ended. The last one closes the file, once everything is in it. */
  release(): void {
    this.#users -= 1;
    this.#closeWhenIdle();
  }

  /** One packet: `head` (IP and TCP headers) and `payload`, both copied. */
  append(head: Buffer, payload: Uint8Array): void {
    if (this.#hasFailed || this.#fd === undefined) return;
    const length = head.length + payload.length;
    const stamp = (performance.timeOrigin + performance.now()) * 1000;
    const record = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
    record.writeUInt32LE(Math.floor(stamp / 1e6), 0);
    record.writeUInt32LE(Math.floor(stamp % 1e6), 4);
    record.writeUInt32LE(length, 8);
    record.writeUInt32LE(length, 12);
    this.#put(record);
    this.#put(head);
    this.#put(payload);
    if (!this.#isWriting) {
      this.#isWriting = true;
      // After this turn of the loop, so that the packets of one burst share a write.
      setImmediate(() => this.#writeNext());
    }
  }

  #openFile(): number {
    // Trap: the file holds what is on the disk. It must be ours, a plain file, and readable by nobody else; a link or a file that
    // somebody else put there in a public directory would hand it over.
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const fd = openSync(this.#path, flags, 0o600);
    try {
      const status = fstatSync(fd);
      if (!status.isFile()) throw new Error("it is not a regular file");
      if (status.uid !== process.geteuid?.()) throw new Error("it belongs to another user");
      fchmodSync(fd, 0o600);
      if (this.#hasBegun) return fd;
      this.#hasBegun = true;
      ftruncateSync(fd, 0);
      const header = Buffer.alloc(FILE_HEADER_BYTES);
      header.writeUInt32LE(MAGIC_MICROSECONDS, 0);
      header.writeUInt16LE(2, 4);
      header.writeUInt16LE(4, 6);
      header.writeUInt32LE(SNAP_BYTES, 16);
      header.writeUInt32LE(LINKTYPE_RAW, 20);
      writeAllSync(fd, header, 0);
      this.#endPosition = FILE_HEADER_BYTES;
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #put(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length && !this.#hasFailed; ) {
      let block = this.#blocks.at(-1);
      // The first block may be in the kernel's hands: it is never added to while a write is under way.
      if (block === undefined || block.length === BLOCK_BYTES || (this.#isInFlight && this.#blocks.length === 1))
        block = this.#addBlock();
      const part = bytes.subarray(done, done + BLOCK_BYTES - block.length);
      block.bytes.set(part, block.length);
      block.length += part.length;
      this.#endPosition += part.length;
      done += part.length;
    }
  }

  #addBlock(): Block {
    if (this.#blocks.length >= MAX_WAITING_BLOCKS) this.#catchUp();
    const bytes = this.#spare ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.#spare = undefined;
    const block = { bytes, length: 0, position: this.#endPosition };
    this.#blocks.push(block);
    return block;
  }

  /**
   * The disk is slower than the wire and the queue is full: what waits is written here and now. Blocking is meant: a capture with
   * holes misleads, memory is bounded, and whoever asked for a capture can bear a slower session.
   */
  #catchUp(): void {
    const waiting = this.#blocks.splice(this.#isInFlight ? 1 : 0);
    try {
      for (const block of waiting) this.#writeSync(block);
    } catch (error) {
      this.#fail(error);
    }
  }

  #writeNext(): void {
    const block = this.#blocks[0];
    if (block === undefined || this.#hasFailed) {
      this.#isWriting = false;
      this.#closeWhenIdle();
      return;
    }
    this.#isInFlight = true;
    this.#writeOut(block, 0);
  }

  #writeOut(block: Block, from: number): void {
    write(this.#fd as number, block.bytes, from, block.length - from, block.position + from, (error, written) => {
      if (error === null && from + written < block.length) return this.#writeOut(block, from + written);
      this.#isInFlight = false;
      if (error !== null) this.#fail(error);
      this.#blocks.shift();
      this.#spare = block.bytes;
      this.#writeNext();
    });
  }

  #writeSync(block: Block): void {
    if (this.#fd !== undefined) writeAllSync(this.#fd, block.bytes.subarray(0, block.length), block.position);
  }

  /** The process ends now. A block in flight is written once more, to the same place: nobody waits for the first time. */
  #writeRest(): void {
    try {
      for (const block of this.#blocks) this.#writeSync(block);
    } catch {
      // Too late to warn anybody.
    }
  }

  /** Trap: never while a write is under way, whose number the system may already have given to another file. */
  #closeWhenIdle(): void {
    const isDone = this.#hasFailed || (this.#users <= 0 && !this.#isWriting);
    if (!isDone || this.#isInFlight || this.#fd === undefined) return;
    process.removeListener("exit", this.#onExit);
    const fd = this.#fd;
    this.#fd = undefined;
    this.#spare = undefined;
    this.#blocks = [];
    close(fd, (error) => {
      if (error !== null) this.#warn(error);
    });
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#closeWhenIdle();
    this.#warn(error);
  }

  #warn(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    process.emitWarning(`NODE_ISCSI_PCAP: capturing to ${this.#path} ended: ${reason}; the sessions go on without it`, {
      type: "IscsiCaptureWarning",
    });
  }
}

function writeAllSync(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
