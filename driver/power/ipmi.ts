// Power over IPMI 2.0: one ipmi-js session per BMC, kept; nova.virt.baremetal.ipmi.IPMI is its name in nova.conf.
import { isIPv6 } from "node:net";
import { Bmc, IpmiError, SharedSockets } from "ipmi-js";
import type { Clock } from "../../lib/clock.ts";
import { BaremetalError } from "../../lib/errors.ts";
import type { PowerControl, PowerControls, PowerOptions, PowerTarget } from "./power-control.ts";

export interface IpmiPowerOptions {
  readonly clock: Clock;
  /** How long a power switch may take until the BMC reports the new state. */
  readonly powerDeadlineMs: number;
  /** Between two looks at the power state while switching. */
  readonly pollIntervalMs: number;
  /** Of one IPMI operation with its retransmissions. */
  readonly operationDeadlineMs: number;
}

/** Splits pm_address: `10.0.0.7`, `10.0.0.7:6230`, `bmc7.example.org`, `fd00::7`, `[fd00::7]:6230`. */
export function parsePmAddress(pmAddress: string): { address: string; port: number } {
  if (isIPv6(pmAddress)) return { address: pmAddress, port: 623 };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(pmAddress);
  const address = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? 623 : Number(match[3]);
  if (address === undefined || port < 1 || port > 65535) {
    throw new BaremetalError("BadInput", `pm_address "${pmAddress}" is not a host or host:port`, {
      data: { pmAddress },
    });
  }
  return { address, port };
}

/** BMCs forget a session that was not used for 60 s. */
const KEEP_ALIVE_MS = 45_000;

interface Login {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** A client of one BMC, and how many actions are using it. */
interface Client {
  readonly settings: string;
  readonly bmc: Bmc;
  users: number;
}

/** Runs work with the client of a node's settings. */
type WithBmc = <T>(work: (bmc: Bmc) => Promise<T>) => Promise<T>;

/** The IPMI power driver: sessions are kept by node and replaced when the node's BMC settings change. */
export class IpmiPower implements PowerControls {
  readonly #options: IpmiPowerOptions;
  readonly #clients = new Map<number, Client>();
  /** Replaced while they were in use. */
  readonly #leaving = new Set<Client>();
  readonly #closing = new Set<Promise<void>>();
  /** A few file descriptors for all BMCs. */
  readonly #network = new SharedSockets();

  constructor(options: IpmiPowerOptions) {
    this.#options = options;
  }

  for(node: PowerTarget): PowerControl {
    const { pmAddress, pmUser, pmPassword, pmPasswordError } = node;
    if (pmPasswordError !== undefined) {
      throw new BaremetalError("BadInput", `the BMC password of node ${node.id} cannot be used: ${pmPasswordError}`, {
        data: { node: node.id },
      });
    }
    if (pmAddress === null || pmUser === null || pmPassword === null) {
      const missing = Object.entries({ pm_address: pmAddress, pm_user: pmUser, pm_password: pmPassword })
        .filter(([, value]) => value === null)
        .map(([name]) => name);
      throw new BaremetalError("BadInput", `node ${node.id} has no ${missing.join(", ")}: set it to use IPMI`, {
        data: { node: node.id, missing },
      });
    }
    const login = { ...parsePmAddress(pmAddress), user: pmUser, password: pmPassword };
    return new IpmiPowerControl((work) => this.#use(node.id, login, work), pmAddress, this.#options);
  }

  forgetOthers(nodeIds: ReadonlySet<number>): void {
    for (const [id, client] of this.#clients) {
      if (nodeIds.has(id)) continue;
      this.#clients.delete(id);
      this.#replace(client);
    }
  }

  /** Trap: whoever has other settings, older ones perhaps, must not close the client that an action is using. */
  async #use<T>(nodeId: number, login: Login, work: (bmc: Bmc) => Promise<T>): Promise<T> {
    const client = this.#client(nodeId, login);
    client.users += 1;
    try {
      return await work(client.bmc);
    } finally {
      client.users -= 1;
      if (client.users === 0 && this.#leaving.delete(client)) this.#retire(client.bmc);
    }
  }

  #client(nodeId: number, login: Login): Client {
    const settings = JSON.stringify(login);
    const known = this.#clients.get(nodeId);
    if (known?.settings === settings) return known;
    const { operationDeadlineMs } = this.#options;
    const limits = { operationDeadlineMs, network: this.#network, keepAliveMs: KEEP_ALIVE_MS };
    const client = { settings, bmc: new Bmc({ ...login, ...limits }), users: 0 };
    this.#clients.set(nodeId, client);
    if (known) this.#replace(known);
    return client;
  }

  #replace(client: Client): void {
    if (client.users === 0) this.#retire(client.bmc);
    else this.#leaving.add(client);
  }

  #retire(bmc: Bmc): void {
    const done = bmc.close().finally(() => this.#closing.delete(done));
    this.#closing.add(done);
  }

  async close(): Promise<void> {
    for (const { bmc } of [...this.#clients.values(), ...this.#leaving]) this.#retire(bmc);
    this.#clients.clear();
    this.#leaving.clear();
    await Promise.allSettled([...this.#closing]);
    await this.#network.close();
  }
}

/** Errors that another attempt cannot mend: the operator must. */
const FINAL_CODES: readonly string[] = [
  "WrongPassword",
  "NoSuchUser",
  "InsufficientPrivilege",
  "CipherSuite",
  "InvalidArgument",
];

class IpmiPowerControl implements PowerControl {
  readonly #withBmc: WithBmc;
  readonly #name: string;
  readonly #options: IpmiPowerOptions;

  constructor(withBmc: WithBmc, name: string, options: IpmiPowerOptions) {
    this.#withBmc = withBmc;
    this.#name = name;
    this.#options = options;
  }

  isPowerOn(options: PowerOptions = {}): Promise<boolean> {
    return this.#withBmc((bmc) => this.#getPower(bmc, options));
  }

  powerOn(options: PowerOptions = {}): Promise<void> {
    return this.#withBmc((bmc) => this.#switch(bmc, true, options));
  }

  powerOff(options: PowerOptions = {}): Promise<void> {
    return this.#withBmc((bmc) => this.#switch(bmc, false, options));
  }

  async setBootDevicePxe(options: PowerOptions = {}): Promise<void> {
    await this.#withBmc((bmc) =>
      this.#call("set the boot device to PXE", options, undefined, (limits) =>
        bmc.setBootDevice({ device: "pxe", persistent: true }, limits),
      ),
    );
  }

  /** Sends the command once (again only if sending failed), then polls until the BMC reports the new state. */
  async #switch(bmc: Bmc, on: boolean, options: PowerOptions): Promise<void> {
    const { clock, powerDeadlineMs, pollIntervalMs } = this.#options;
    const step = `power ${on ? "on" : "off"}`;
    const end = clock.now() + powerDeadlineMs;
    let isSent = false;
    let lastError: unknown;
    do {
      try {
        if ((await this.#getPower(bmc, options, end)) === on) return;
        if (!isSent) {
          await this.#call(step, options, end, (limits) => bmc.control(on ? "power-up" : "power-down", limits));
          isSent = true;
        }
        lastError = undefined;
      } catch (error) {
        if (options.signal?.aborted || isFinal(error)) throw error;
        lastError = error;
      }
      await clock.sleep(isSent ? Math.min(pollIntervalMs, 250) : pollIntervalMs, options.signal);
    } while (clock.now() < end);
    if (lastError !== undefined) throw lastError;
    throw new BaremetalError(
      "DeadlineExceeded",
      `${step}: the BMC at ${this.#name} took the command, but still reported the power ${on ? "off" : "on"} after ${powerDeadlineMs} ms`,
      { data: { peer: this.#name, step, deadlineMs: powerDeadlineMs } },
    );
  }

  #getPower(bmc: Bmc, options: PowerOptions, end?: number): Promise<boolean> {
    return this.#call("read the power state", options, end, (limits) => bmc.getPower(limits));
  }

  /** One operation with its own deadline, which never outlives `end`, that of the whole action. */
  async #call<T>(
    operation: string,
    options: PowerOptions,
    end: number | undefined,
    run: (limits: { deadlineMs: number; signal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const { clock, operationDeadlineMs } = this.#options;
    const left = end === undefined ? operationDeadlineMs : Math.max(1, end - clock.now());
    const deadlineMs = Math.min(operationDeadlineMs, left, options.deadlineMs ?? operationDeadlineMs);
    try {
      return await run(options.signal ? { deadlineMs, signal: options.signal } : { deadlineMs });
    } catch (error) {
      throw powerError(error, operation, this.#name);
    }
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof BaremetalError && FINAL_CODES.includes(String(error.data.ipmiCode));
}

/** An ipmi-js error in the product's terms: what was being done, to which BMC, and why it failed; `more` is for its data. */
export function powerError(
  error: unknown,
  operation: string,
  name: string,
  more: Record<string, unknown> = {},
): unknown {
  if (!(error instanceof IpmiError)) return error;
  const data = { peer: name, operation, ipmiCode: error.code, ...more };
  if (error.code === "Aborted") {
    return new BaremetalError("Cancelled", `${operation} was cancelled`, { data, cause: error });
  }
  const code = error.code === "Timeout" || error.code === "Closed" ? "PeerUnreachable" : "PeerMisbehaved";
  return new BaremetalError(code, `could not ${operation} through the BMC at ${name}: ${error.message}`, {
    data,
    cause: error,
  });
}
