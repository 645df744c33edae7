// An initiator that does as the test says, PDU by PDU, right or wrong: for looking at our target from outside.
import { connect, type Socket } from "node:net";
import { crc32c } from "../../src/crc32c.ts";
import { type Digests, Framer } from "../../src/framer.ts";
import { paddingOf, RESERVED_TAG } from "../../src/pdu/header.ts";
import { decodeLoginResponse, encodeLoginRequest, LoginStage } from "../../src/pdu/login.ts";
import { encodeScsiCommand } from "../../src/pdu/scsi.ts";
import { encodeTextPairs } from "../../src/pdu/text-keys.ts";

export interface RawPdu {
  readonly header: Buffer;
  readonly data: Buffer;
}

export interface RawLogin {
  readonly targetName: string;
  readonly initiatorName?: string;
  /** 12 hexadecimal digits. */
  readonly isid?: string;
  readonly tsih?: number;
  readonly connectionId?: number;
  readonly keys?: [key: string, value: string][];
  readonly isDiscovery?: boolean;
}

const DEADLINE_MS = 5000;

/** One TCP connection to a target. */
export class RawInitiator {
  readonly socket: Socket;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  cmdSn = 1;
  readonly #framer: Framer;
  readonly #received: RawPdu[] = [];
  #digests: Digests = { header: false, data: false };
  #wake: (() => void) | undefined;
  #isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#framer = new Framer(
      {
        onPdu: (header, data) => {
          this.#received.push({ header: Buffer.from(header), data });
          this.#wake?.();
        },
      },
      0xffffff,
    );
    socket.on("data", (chunk: Buffer) => {
      try {
        this.#framer.push(chunk);
      } catch {
        socket.destroy();
      }
    });
    socket.on("error", () => socket.destroy());
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#isClosed = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  static async open(port: number): Promise<RawInitiator> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawInitiator(socket);
  }

  send(header: Buffer, data: Buffer = Buffer.alloc(0)): void {
    const parts = [header];
    if (this.#digests.header) parts.push(digestOf(header));
    const padded = Buffer.concat([data, Buffer.alloc(paddingOf(data.length))]);
    if (padded.length > 0) parts.push(padded);
    if (padded.length > 0 && this.#digests.data) parts.push(digestOf(padded));
    this.socket.write(Buffer.concat(parts));
  }

  /** The next PDU of the target. Rejects when the connection ends first, or after five seconds. */
  async next(): Promise<RawPdu> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const pdu = this.#received.shift();
      if (pdu !== undefined) return pdu;
      if (this.#isClosed) throw new Error("the target closed the connection");
      if (Date.now() >= deadline) throw new Error("the target sent nothing");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - Date.now());
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** PDUs that came and nobody took. */
  get unread(): number {
    return this.#received.length;
  }

  /** Straight into full feature phase in one step. Resolves with the answer, whatever it is. */
  async login(options: RawLogin): Promise<ReturnType<typeof decodeLoginResponse> & { text: string }> {
    const { targetName, initiatorName = "iqn.2026-11.test:raw", isDiscovery = false } = options;
    const text = encodeTextPairs([
      ["InitiatorName", initiatorName],
      ["SessionType", isDiscovery ? "Discovery" : "Normal"],
      ...(isDiscovery ? [] : [["TargetName", targetName] as const]),
      ...(options.keys ?? []),
    ]);
    const request = {
      transit: true,
      continues: false,
      currentStage: LoginStage.Operational,
      nextStage: LoginStage.FullFeature,
      isid: Buffer.from(options.isid ?? "800000000001", "hex"),
      tsih: options.tsih ?? 0,
      initiatorTaskTag: 0,
      connectionId: options.connectionId ?? 0,
      cmdSn: this.cmdSn,
      expStatSn: 0,
    };
    this.send(encodeLoginRequest(request, text.length), text);
    const { header, data } = await this.next();
    return { ...decodeLoginResponse(header), text: data.toString("utf8") };
  }

  startDigests(digests: Digests): void {
    this.#digests = digests;
    this.#framer.pause();
    this.#framer.resume(digests);
  }

  /** Sends a SCSI command on LUN 1; `writes` and `reads` are the expected lengths. */
  command(tag: number, cdb: Buffer, { writes = 0, reads = 0, immediate = Buffer.alloc(0), final = true } = {}): void {
    const header = encodeScsiCommand({
      final,
      read: reads > 0,
      write: writes > 0,
      attribute: 1,
      lun: 1,
      initiatorTaskTag: tag,
      expectedDataTransferLength: Math.max(writes, reads),
      cmdSn: this.cmdSn,
      expStatSn: 0,
      cdb,
      dataSegmentLength: immediate.length,
    });
    this.cmdSn = (this.cmdSn + 1) >>> 0;
    this.send(header, immediate);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

function digestOf(bytes: Buffer): Buffer {
  const digest = Buffer.alloc(4);
  digest.writeUInt32LE(crc32c(bytes), 0);
  return digest;
}

/** CDBs by hand (SBC-4 5.15, 5.42; SPC-4 6.47): 16-byte forms with the length in blocks at byte 10. */
export function readWriteCdb(opcode: 0x88 | 0x8a, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = opcode;
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb.writeUInt32BE(blocks, 10);
  return cdb;
}

export const TEST_UNIT_READY = Buffer.alloc(16);
export { RESERVED_TAG };
