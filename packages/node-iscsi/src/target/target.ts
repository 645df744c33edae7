// IscsiTarget: a small in-process target with one LUN, for tests and simulated nodes (RFC 7143, target side).
import { createServer, type Server, type Socket } from "node:net";
import type { ChapCredentials } from "../chap.ts";
import { DEFAULT_WISHES, type ParameterWishes } from "../negotiation.ts";
import { type Backing, type BackingOptions, openBacking } from "./backing.ts";
import { DeviceServer } from "./device-server.ts";
import type { TargetFaults, TargetLimits } from "./faults.ts";
import { TargetConnection, type TargetContext } from "./target-connection.ts";

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

/** A listening target. `faults` may be changed at any time and holds for commands that come later. */
export class IscsiTarget {
  readonly port: number;
  readonly targetName: string;
  readonly faults: TargetFaults;
  readonly backing: Backing;
  readonly #server: Server;
  readonly #connections: Set<TargetConnection>;

  private constructor(
    server: Server,
    connections: Set<TargetConnection>,
    backing: Backing,
    options: { targetName: string; faults: TargetFaults },
  ) {
    this.#server = server;
    this.#connections = connections;
    this.backing = backing;
    this.targetName = options.targetName;
    this.faults = options.faults;
    this.port = (server.address() as { port: number }).port;
  }

  /** Opens the backing and listens. Rejects with the system's error when either fails. */
  static async listen(options: IscsiTargetOptions): Promise<IscsiTarget> {
    const { targetName, blockSize = 512, lun = 1, limits = {}, faults = {} } = options;
    const backing = await openBacking(options.backing);
    const device = new DeviceServer(backing, { targetName, lun, blockSize, limits, faults });
    const context: TargetContext = {
      device,
      faults,
      commandWindow: limits.commandWindow ?? 128,
      login: () => ({ targetName, chap: options.chap, wishes: wishesOf(limits), refuseLogin: faults.refuseLogin }),
      sendTargets: (portal) => [
        ["TargetName", targetName],
        ["TargetAddress", `${portal},1`],
      ],
    };
    const connections = new Set<TargetConnection>();
    const server = createServer({ noDelay: true }, (socket: Socket) => {
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
    return new IscsiTarget(server, connections, backing, { targetName, faults });
  }

  /** Connections open now. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Cuts all connections, as a power cut of the node would; the target goes on listening. */
  dropConnections(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** Stops listening, cuts connections, closes the backing. */
  async close(): Promise<void> {
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.dropConnections();
    await isClosed;
    await this.backing.close();
  }
}

function wishesOf(limits: TargetLimits): ParameterWishes {
  return {
    initialR2T: limits.initialR2T ?? false,
    immediateData: limits.immediateData ?? true,
    maxRecvDataSegmentBytes: limits.maxRecvDataSegmentBytes ?? DEFAULT_WISHES.maxRecvDataSegmentBytes,
    maxBurstBytes: limits.maxBurstBytes ?? DEFAULT_WISHES.maxBurstBytes,
    firstBurstBytes: limits.firstBurstBytes ?? DEFAULT_WISHES.firstBurstBytes,
    maxOutstandingR2T: limits.maxOutstandingR2T ?? 1,
  };
}
