// IscsiTarget: a small in-process target with one LUN, for tests and simulated nodes (RFC 7143, target side).
import { createServer, type Server, type Socket } from "node:net";
import type { ChapCredentials } from "../chap.ts";
import { DEFAULT_WISHES, type ParameterWishes } from "../negotiation.ts";
import { type Backing, type BackingOptions, openBacking } from "./backing.ts";
import { DeviceServer } from "./device-server.ts";
import { FaultTriggers } from "./fault-triggers.ts";
import type { TargetAsyncMessage, TargetFaults, TargetLimits } from "./faults.ts";
import { TargetConnection, type TargetContext } from "./target-connection.ts";
import type { TargetCounts } from "./target-connection-wire.ts";
import type { TargetSession } from "./target-session.ts";
import { nexusOf, TargetSessionRegistry } from "./target-session-registry.ts";
import type { TargetTask } from "./target-session-task.ts";

const PERSISTENT_RESERVE_OUT = 0x5f;

/** What most targets declare. */
const MAX_RECV_DATA_SEGMENT_BYTES = 262_144;

/** Options of {@link IscsiTarget.listen}. */
export interface IscsiTargetOptions {
  readonly address: string;
  /** Default 0: any free port. */
  readonly port?: number | undefined;
  readonly targetName: string;
  readonly backing: BackingOptions;
  /** Default 512. */
  readonly blockSize?: number | undefined;
  /** Default 1. */
  readonly lun?: number | undefined;
  /** When given, initiators must prove to know it. */
  readonly chap?: ChapCredentials | undefined;
  readonly faults?: TargetFaults | undefined;
  readonly limits?: TargetLimits | undefined;
}

/** A session as tests see it. */
export interface TargetSessionView {
  readonly initiatorName: string;
  /** 6 bytes, hexadecimal. */
  readonly isid: string;
  readonly tsih: number;
  readonly isDiscovery: boolean;
}

/** A listening target. `faults` may be changed at any time and holds for commands that come later. */
export class IscsiTarget {
  readonly port: number;
  readonly targetName: string;
  readonly faults: TargetFaults;
  readonly backing: Backing;
  /** What happened since the target listens; live. */
  readonly counts: Readonly<TargetCounts>;
  readonly #server: Server;
  readonly #connections: Set<TargetConnection>;
  readonly #registry: TargetSessionRegistry<TargetSession>;
  readonly #device: DeviceServer;
  readonly #internalErrors: unknown[];

  private constructor(parts: {
    server: Server;
    connections: Set<TargetConnection>;
    context: TargetContext & { readonly device: DeviceServer };
    backing: Backing;
    targetName: string;
    internalErrors: unknown[];
  }) {
    this.#server = parts.server;
    this.#connections = parts.connections;
    this.#registry = parts.context.registry;
    this.#device = parts.context.device;
    this.#internalErrors = parts.internalErrors;
    this.backing = parts.backing;
    this.targetName = parts.targetName;
    this.faults = parts.context.faults;
    this.counts = parts.context.counts;
    this.port = (parts.server.address() as { port: number }).port;
  }

  /** Opens the backing and listens. Rejects with the system's error when either fails. */
  static async listen(options: IscsiTargetOptions): Promise<IscsiTarget> {
    const backing = await openBacking(options.backing);
    const internalErrors: unknown[] = [];
    const context = contextOf(options, backing, internalErrors);
    const connections = new Set<TargetConnection>();
    const server = createServer({ noDelay: true }, (socket: Socket) => {
      context.counts.connections += 1;
      const connection = new TargetConnection(socket, context);
      connections.add(connection);
      socket.once("close", () => connections.delete(connection));
    });
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(options.port ?? 0, options.address, resolve);
      });
    } catch (error) {
      await backing.close();
      throw error;
    }
    const { targetName } = options;
    return new IscsiTarget({ server, connections, context, backing, targetName, internalErrors });
  }

  /** Connections open now. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Sessions logged in now. */
  get sessions(): TargetSessionView[] {
    return this.#registry.sessions.map(({ identity, tsih }) => ({
      initiatorName: identity.initiatorName,
      isid: identity.isid.toString("hex"),
      tsih,
      isDiscovery: identity.isDiscovery,
    }));
  }

  /** Sends an Asynchronous Message (RFC 7143 11.9) on every session. */
  sendAsyncMessage(message: TargetAsyncMessage): void {
    for (const session of this.#registry.sessions) session.sendAsyncMessage(message);
  }

  /** Sends a NOP-In that wants an answer on every session; `counts.pingAnswers` counts the answers. */
  ping(): void {
    for (const session of this.#registry.sessions) session.ping();
  }

  /** Cuts all connections, as a power cut of the node would; the target goes on listening. */
  dropConnections(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** Stops listening, cuts connections, awaits what runs, closes the backing. Rejects if the target had a defect meanwhile. */
  async close(): Promise<void> {
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.dropConnections();
    await isClosed;
    await this.#registry.endAll();
    await this.#device.settled();
    await this.backing.close();
    const [first] = this.#internalErrors;
    if (first !== undefined) throw new Error("the test target failed while it handled a PDU", { cause: first });
  }
}

function newCounts(): TargetCounts {
  return {
    connections: 0,
    logins: 0,
    reinstatements: 0,
    refusals: 0,
    commands: 0,
    taskManagement: 0,
    pings: 0,
    pingAnswers: 0,
    bytesReceived: 0,
    bytesSent: 0,
    digestErrors: 0,
    protocolErrors: 0,
    lastProtocolError: undefined,
  };
}

/** Everything that connections of a target share. */
function contextOf(
  options: IscsiTargetOptions,
  backing: Backing,
  internalErrors: unknown[],
): TargetContext & { readonly device: DeviceServer } {
  const { targetName, blockSize = 512, lun = 1, limits = {}, faults = {} } = options;
  const registry = new TargetSessionRegistry<TargetSession>();
  const wishes = wishesOf(limits);
  // Two preempting each other must not wait for each other's command.
  const isOrdinary = (task: TargetTask) => task.cdb[0] !== PERSISTENT_RESERVE_OUT;
  const abortTasks = async (nexus: string) => {
    const victims = registry.sessions.filter(({ identity }) => nexusOf(identity) === nexus);
    await Promise.all(victims.map(({ tasks }) => tasks.abort(isOrdinary)));
  };
  let scratch = Buffer.alloc(0);
  const scratchOf = (bytes: number) => {
    if (scratch.length < bytes) scratch = Buffer.allocUnsafe(bytes);
    return scratch.subarray(0, bytes);
  };
  const device = new DeviceServer(backing, { targetName, lun, blockSize, limits, faults, abortTasks });
  return {
    device,
    faults,
    triggers: new FaultTriggers(),
    counts: newCounts(),
    commandWindow: limits.commandWindow ?? 128,
    scratch: backing.ignoresData === true ? scratchOf : undefined,
    registry,
    sessions: () => registry.sessions,
    // Refusals are the connection's business: they are counted over all connections.
    login: () => ({ targetName, chap: options.chap, wishes, refuseLogin: undefined, faults: faults.login }),
    sendTargets: (portal) => [
      ["TargetName", targetName],
      ["TargetAddress", `${portal},1`],
    ],
    onInternalError: (error) => {
      if (internalErrors.length === 0) internalErrors.push(error);
    },
  };
}

function wishesOf(limits: TargetLimits): ParameterWishes {
  return {
    initialR2T: limits.initialR2T ?? false,
    immediateData: limits.immediateData ?? true,
    maxRecvDataSegmentBytes: limits.maxRecvDataSegmentBytes ?? MAX_RECV_DATA_SEGMENT_BYTES,
    maxBurstBytes: limits.maxBurstBytes ?? DEFAULT_WISHES.maxBurstBytes,
    firstBurstBytes: limits.firstBurstBytes ?? DEFAULT_WISHES.firstBurstBytes,
    maxOutstandingR2T: limits.maxOutstandingR2T ?? 1,
    headerDigest: limits.headerDigest ?? "None,CRC32C",
    dataDigest: limits.dataDigest ?? "None,CRC32C",
    time2WaitSeconds: limits.time2WaitSeconds ?? 0,
  };
}
