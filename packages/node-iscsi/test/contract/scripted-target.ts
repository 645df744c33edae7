// A target that does exactly what a test says, PDU by PDU, over real TCP: the wire's other end for every clause of RFC 7143.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { type ConnectOptions, connect, type IscsiSession } from "node-iscsi";
import {
  HAS_STATUS,
  NO_TAG,
  OPCODE,
  PduSplitter,
  type RawBody,
  type RawHeader,
  rawPdu,
  type SentPdu,
  textOf,
} from "./raw-pdus.ts";

export const TARGET_NAME = "iqn.2026-11.test:scripted";
/** LUN 1 as the LUN field has it (SAM-5 4.7, peripheral device addressing). */
export const LUN_1 = "0001000000000000";

/** How long the script waits for the initiator's next PDU before it fails. */
const DEADLINE_MS = 3000;
const OPCODE_NAMES = new Map<number, string>(Object.entries(OPCODE).map(([name, code]) => [code, name]));

/** One deadline for every wait of a script, so that a silent initiator is a failure and not a hang. */
async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What the plain login says; every value can be changed by the test. */
export interface LoginScript {
  /** Pairs of the answer to the operational offer. Default: what an agreeable target of 8 KiB segments says. */
  readonly keys?: readonly string[];
  /** StatSN of the first Login Response. Default 1000. */
  readonly statSn?: number;
  /** Size of the command window from the first command on: 0 is closed. Default 32. */
  readonly window?: number;
}

const AGREEABLE = ["HeaderDigest=None", "DataDigest=None", "MaxRecvDataSegmentLength=8192"];

/** The target's end of one connection. StatSN and the command window are kept here unless a PDU says otherwise. */
export class ScriptedConnection {
  /** StatSN of the next PDU that uses one up. */
  statSn = 1000;
  /** CmdSN the target expects next. */
  expCmdSn = 0;
  /** MaxCmdSN - ExpCmdSN + 1 in what is sent. */
  window = 32;
  /** Everything the initiator sent, in order. */
  readonly received: SentPdu[] = [];
  readonly #socket: Socket;
  readonly #splitter = new PduSplitter();
  #taken = 0;
  #onChange: (() => void) | undefined;
  #isClosed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      this.received.push(...this.#splitter.push(chunk));
      this.#onChange?.();
    });
    const onEnd = () => {
      this.#isClosed = true;
      this.#onChange?.();
    };
    socket.on("end", onEnd);
    socket.on("close", onEnd);
  }

  /** The initiator's next PDU, whatever it is; undefined when it closed the connection instead. */
  async next(): Promise<SentPdu | undefined> {
    await within("waiting for the initiator", this.#changed());
    const pdu = this.received[this.#taken];
    if (pdu === undefined) return undefined;
    this.#taken += 1;
    if (!pdu.isImmediate && (pdu.opcode === OPCODE.scsiCommand || pdu.opcode === OPCODE.textRequest))
      this.expCmdSn = (pdu.cmdSn + 1) >>> 0;
    return pdu;
  }

  async #changed(): Promise<void> {
    while (this.received.length <= this.#taken && !this.#isClosed)
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
  }

  /** The initiator's next PDU, which must have this opcode. */
  async expect(opcode: number): Promise<SentPdu> {
    const pdu = await this.next();
    const wanted = OPCODE_NAMES.get(opcode);
    if (pdu === undefined) throw new Error(`expected a ${wanted}; the initiator closed the connection`);
    expect(OPCODE_NAMES.get(pdu.opcode), "the PDU the initiator sent next").to.equal(wanted);
    return pdu;
  }

  /** The initiator must close the connection without sending anything more. */
  async expectClose(): Promise<void> {
    const pdu = await this.next();
    expect(pdu?.header.toString("hex"), "sent instead of closing the connection").to.equal(undefined);
  }

  /**
   * Proves that the initiator had nothing to say: it answers two pings in turn, and what it would have sent before, or in the
   * promise jobs after, would stand before their answers in the stream.
   */
  async expectNothing(): Promise<void> {
    for (const tag of [0x0bad0001, 0x0bad0002]) {
      this.nopIn({ word20: tag });
      const pdu = await this.expect(OPCODE.nopOut);
      expect(pdu.targetTransferTag).to.equal(tag);
    }
  }

  /** Sends one PDU; StatSN, ExpCmdSN and MaxCmdSN are filled in unless the header has them. */
  send(header: RawHeader, body: RawBody = {}): void {
    const maxCmdSn = this.expCmdSn + this.window - 1;
    this.write(rawPdu({ word24: this.statSn, word28: this.expCmdSn, word32: maxCmdSn, ...header }, body));
  }

  /** As {@link send}, for PDUs that use up a StatSN. */
  sendNumbered(header: RawHeader, body: RawBody = {}): void {
    this.send(header, body);
    this.statSn = ((header.word24 ?? this.statSn) + 1) >>> 0;
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Closes at once, as a target that crashes. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** SCSI Response: GOOD unless told otherwise (byte 2 response, byte 3 status, word 44 residual). */
  respond(to: SentPdu, header: Partial<RawHeader> = {}, body: RawBody = {}): void {
    this.sendNumbered({ opcode: OPCODE.scsiResponse, word16: to.initiatorTaskTag, ...header }, body);
  }

  /** Data-In without status; word 36 is DataSN, word 40 the offset. */
  dataIn(to: SentPdu, header: Partial<RawHeader>, data: Buffer, body: RawBody = {}): void {
    const fields = { opcode: OPCODE.dataIn, word16: to.initiatorTaskTag, word20: NO_TAG, word24: 0, ...header };
    this.send(fields, { ...body, data });
  }

  /** Data-In that carries the status too. */
  dataInWithStatus(to: SentPdu, header: Partial<RawHeader>, data: Buffer): void {
    const flags = 0x80 | HAS_STATUS;
    this.sendNumbered(
      { opcode: OPCODE.dataIn, flags, word16: to.initiatorTaskTag, word20: NO_TAG, ...header },
      { data },
    );
  }

  /** R2T with its tag, R2TSN, offset and length (RFC 7143 11.8). */
  readyToTransfer(to: SentPdu, tag: number, r2tSn: number, offset: number, length: number): void {
    this.send({
      opcode: OPCODE.readyToTransfer,
      lun: to.lun,
      word16: to.initiatorTaskTag,
      word20: tag,
      word36: r2tSn,
      word40: offset,
      word44: length,
    });
  }

  /** NOP-In that the target sends on its own: no StatSN is used up. Word 20 asks for an answer unless it is NO_TAG. */
  nopIn(header: Partial<RawHeader> = {}, body: RawBody = {}): void {
    this.send({ opcode: OPCODE.nopIn, word16: NO_TAG, word20: NO_TAG, ...header }, body);
  }

  /** Asynchronous Message (RFC 7143 11.9). */
  asyncMessage(event: number, parameters: [number, number, number] = [0, 0, 0], header: Partial<RawHeader> = {}): void {
    const [first, second, third] = parameters;
    this.sendNumbered({
      opcode: OPCODE.asyncMessage,
      word16: NO_TAG,
      word36: event * 0x1000000 + first,
      word40: second * 0x10000 + third,
      ...header,
    });
  }

  /** Reject of a PDU the initiator sent (RFC 7143 11.17). */
  reject(what: SentPdu, reason: number): void {
    this.sendNumbered({ opcode: OPCODE.reject, byte2: reason, word16: NO_TAG }, { data: what.header });
  }

  /** Login Response: T, C, CSG, NSG are `flags`; ISID and tag are copied from the request. */
  loginResponse(to: SentPdu, header: Partial<RawHeader> & { tsih?: number }, data: Buffer = Buffer.alloc(0)): void {
    const { tsih = 0, ...fields } = header;
    const lun = to.header.toString("hex", 8, 14) + tsih.toString(16).padStart(4, "0");
    this.expCmdSn = to.cmdSn;
    this.sendNumbered({ opcode: OPCODE.loginResponse, lun, word16: to.initiatorTaskTag, ...fields }, { data });
  }

  /** Answers the first request: no authentication, on to the operational stage. Returns that request. */
  async securityStage(): Promise<SentPdu> {
    const request = await this.expect(OPCODE.loginRequest);
    this.loginResponse(request, { flags: 0x81 }, textOf("TargetPortalGroupTag=1", "AuthMethod=None"));
    return request;
  }

  /** The whole of a login in which nothing special happens. Returns the initiator's requests. */
  async login(script: LoginScript = {}): Promise<SentPdu[]> {
    this.statSn = script.statSn ?? 1000;
    this.window = script.window ?? 32;
    const first = await this.securityStage();
    const second = await this.expect(OPCODE.loginRequest);
    this.loginResponse(second, { flags: 0x87, tsih: 1 }, textOf(...(script.keys ?? AGREEABLE)));
    return [first, second];
  }
}

/** Listens on 127.0.0.1; each connection is taken by {@link accept}. */
export class ScriptedTarget {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting: ScriptedConnection[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      this.#waiting.push(new ScriptedConnection(socket));
      server.emit("accepted");
    });
  }

  static async listen(): Promise<ScriptedTarget> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new ScriptedTarget(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async accept(): Promise<ScriptedConnection> {
    if (this.#waiting.length === 0) await within("waiting for a connection", once(this.#server, "accepted"));
    return this.#waiting.shift() as ScriptedConnection;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Options every test connects with: no keepalive of its own, nothing recovered behind the test's back. */
export function optionsFor(target: ScriptedTarget, options: Partial<ConnectOptions> = {}): ConnectOptions {
  return {
    address: "127.0.0.1",
    port: target.port,
    targetName: TARGET_NAME,
    lun: 1,
    deadlineMs: DEADLINE_MS,
    keepaliveIntervalMs: 0,
    recovery: false,
    ...options,
  };
}

export interface OpenSession {
  readonly session: IscsiSession;
  readonly peer: ScriptedConnection;
  /** The login's requests and the TEST UNIT READY that `connect` probes the unit with. */
  readonly opening: readonly SentPdu[];
}

/** A session in full feature phase, the probe answered. */
export async function openSession(
  target: ScriptedTarget,
  script: LoginScript = {},
  options: Partial<ConnectOptions> = {},
): Promise<OpenSession> {
  const connecting = connect(optionsFor(target, options));
  connecting.catch(() => undefined);
  const peer = await target.accept();
  const opening = await peer.login(script);
  const probe = await peer.expect(OPCODE.scsiCommand);
  peer.respond(probe);
  return { session: await connecting, peer, opening: [...opening, probe] };
}

/** A listening target for the body, and no socket left afterwards. */
export async function withTarget(body: (target: ScriptedTarget) => Promise<void>): Promise<void> {
  const target = await ScriptedTarget.listen();
  try {
    await body(target);
  } finally {
    await target.close();
  }
}

/** An open session for the body. */
export function withSession(
  script: LoginScript,
  body: (open: OpenSession) => Promise<void>,
  options: Partial<ConnectOptions> = {},
): Promise<void> {
  return withTarget(async (target) => {
    const open = await openSession(target, script, options);
    try {
      await body(open);
    } finally {
      open.session.destroy();
    }
  });
}
