// Serial over LAN with real peers: our client against ipmi_sim, `ipmitool sol` and FreeIPMI's ipmiconsole against our simulator.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import { openSerialConsole, type SerialConsoleOptions } from "../../src/sol/serial-console.ts";
import { closeAfterEach } from "../close-after-each.ts";
import type { BmcUnderTest } from "../contract/bmc-contract.ts";
import { eventually, failure } from "../failure.ts";
import { ConsoleReader, consoleBytes, SerialMachine } from "../serial-machine.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";
import { startIpmiSim } from "./ipmi-sim.ts";

/** Printable, and no character that a terminal or an escape sequence means something by. */
function typedText(length: number): string {
  return Array.from({ length: Math.ceil(length / 8) }, (_, n) => `${n.toString(36).padStart(7, "0")}\r`)
    .join("")
    .slice(0, length);
}

/** A machine whose serial line ipmi_sim connects to by TCP. */
class TcpMachine {
  readonly server: Server;
  readonly #typed: Buffer[] = [];
  #line: Socket | undefined;

  constructor() {
    this.server = createServer((line) => {
      this.#line = line;
      line.on("data", (chunk) => this.#typed.push(chunk));
      line.on("error", () => {});
    });
  }

  get typed(): Buffer {
    return Buffer.concat(this.#typed);
  }

  print(data: Buffer | string): void {
    this.#line?.write(data);
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return (this.server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    this.#line?.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}

describe("serial console of ipmi_sim", () => {
  const closing = closeAfterEach();
  let machine: TcpMachine;
  let peer: BmcUnderTest;

  beforeEach(async () => {
    machine = closing(new TcpMachine());
    peer = closing(await startIpmiSim(`  sol "tcp:127.0.0.1:${await machine.listen()}" 115200`));
  });

  const open = async (more: Partial<SerialConsoleOptions> = {}) => {
    const { address, port, user, password } = peer;
    const options = {
      ...{ address, port, user, password, cipherSuites: [3] },
      ...{ retransmitMs: 200, retryIntervalMs: 200, keepAliveMs: 100, reconnect: { deadlineMs: 0 } },
    };
    const console = closing(await openSerialConsole({ ...options, ...more }));
    return { console, reader: new ConsoleReader(console) };
  };

  it("moves bytes both ways", async () => {
    const { console, reader } = await open();
    const typed = consoleBytes(5000);
    await console.write(typed);
    await eventually("the typed characters", () => machine.typed.length >= typed.length);
    expect(machine.typed.equals(typed)).to.equal(true);
    const printed = consoleBytes(100_000);
    machine.print(printed);
    expect((await reader.until(printed.length, 15_000)).equals(printed)).to.equal(true);
    await console.sendBreak();
    await console.close();
    expect(await reader.ended).to.equal(undefined);
  });

  it("is in use by one, and taken over by another: ipmi_sim says nothing, who had it notices", async () => {
    const { reader } = await open();
    expect((await failure(open())).code).to.equal("ConsoleInUse");
    // Time for a look at what is still its own.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { console } = await open({ takeOver: true });
    await console.write("mine");
    await eventually("the typed characters", () => machine.typed.toString() === "mine");
    // By when it looks: between the two, or after them.
    expect((await reader.ended)?.message).to.match(
      /Serial over LAN is not active any more|another session has taken it/,
    );
  });
});

/** A program that wants a terminal, in one of its own (`script`, Debian's bsdutils). */
class Terminal {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #output: Buffer[] = [];
  readonly #exited: Promise<unknown>;

  constructor(command: string, env: Readonly<Record<string, string>>) {
    // Wide and raw from the start: nothing of what is typed is echoed or changed by the terminal.
    const script = ["-qec", `stty raw -echo; exec ${command}`, "/dev/null"];
    this.#child = spawn("script", script, { env: { ...process.env, ...env } });
    this.#child.stdout.on("data", (chunk: Buffer) => this.#output.push(chunk));
    this.#exited = once(this.#child, "exit");
  }

  get output(): Buffer {
    return Buffer.concat(this.#output);
  }

  /** What came after the first `mark`. */
  after(mark: string): Buffer {
    const at = this.output.indexOf(mark);
    return at < 0 ? Buffer.alloc(0) : this.output.subarray(at + mark.length);
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  async until(mark: string): Promise<void> {
    await eventually(mark, () => this.output.includes(mark)).catch((error: Error) => {
      throw new Error(
        `${error.message}; the terminal shows ${JSON.stringify(this.output.toString("latin1").slice(-200))}`,
      );
    });
  }

  exit(): Promise<unknown> {
    return this.#exited;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

describe("serial console of the simulator", () => {
  const closing = closeAfterEach();
  let serial: SerialMachine;
  let simulator: BmcSimulator;

  beforeEach(async () => {
    serial = new SerialMachine();
    // Trap: ipmiconsole takes a port of four digits at most, so it is the address that is free.
    const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.1`;
    simulator = closing((await startSimulator({ serial, address, port: 6230 })).simulator);
  });

  const ipmitool = (words: string) => {
    const login = `-H ${simulator.address} -p ${simulator.port} -U ${CREDENTIALS.user} -E`;
    return closing(new Terminal(`ipmitool -I lanplus -C 3 ${login} ${words}`, { IPMI_PASSWORD: CREDENTIALS.password }));
  };
  const ipmiconsole = (words = "") => {
    const login = `-h ${simulator.address}:${simulator.port} -u ${CREDENTIALS.user} -p ${CREDENTIALS.password}`;
    return closing(new Terminal(`ipmiconsole -I 3 ${login} ${words}`, {}));
  };
  const OPERATIONAL = "[SOL Session operational.  Use ~? for help]\n";
  const ESTABLISHED = "[SOL established]\r\n";
  /** `start` and `end` are what the tool says then. */
  const useToTheEnd = async (terminal: Terminal, start: string, breakKeys: string, leaveKeys: string, end: string) => {
    await terminal.until(start);
    const printed = consoleBytes(100_000);
    serial.print(printed);
    await eventually("the console", () => terminal.after(start).length >= printed.length, 15_000);
    expect(terminal.after(start).equals(printed)).to.equal(true);
    const typed = typedText(3000);
    terminal.type(typed);
    await eventually("the typed characters", () => serial.typed.length >= typed.length, 15_000);
    expect(serial.typed.toString()).to.equal(typed);
    terminal.type(breakKeys);
    await eventually("the break", () => serial.breaks === 1);
    terminal.type(leaveKeys);
    await terminal.exit();
    expect(terminal.output.toString("latin1")).to.contain(end);
    await eventually("the session to end", () => simulator.sessionCount === 0);
  };

  it("ipmitool sol info", async () => {
    const terminal = ipmitool("sol info");
    await terminal.exit();
    const text = terminal.output.toString();
    expect(text).to.match(/Enabled\s+: true/);
    expect(text).to.match(/Force Encryption\s+: true/);
    expect(text).to.match(/Privilege Level\s+: ADMINISTRATOR/);
    expect(text).to.match(/Retry Count\s+: 7/);
    expect(text).to.match(/Retry Interval \(ms\)\s+: 100/);
    expect(text).to.match(/Volatile Bit Rate \(kbps\)\s+: 115.2/);
    expect(text).to.match(new RegExp(`Payload Port\\s+: ${simulator.port}`));
    expect(text).not.to.contain("not supported");
  });

  it("ipmitool sol set, and reads it back", async () => {
    await ipmitool("sol set retry-interval 20").exit();
    const terminal = ipmitool("sol info");
    await terminal.exit();
    expect(terminal.output.toString()).to.match(/Retry Interval \(ms\)\s+: 200/);
  });

  it("ipmitool sol activate: 100 kB of all bytes come whole, what is typed goes whole, a break, and it leaves", async () => {
    await useToTheEnd(ipmitool("sol activate"), OPERATIONAL, "\r~B", "\r~.", "[terminated ipmitool]");
  });

  it("ipmitool sol deactivate ends our client's console, and is told when there is none", async () => {
    const { address, port } = simulator;
    const reconnect = { deadlineMs: 0 };
    const reader = new ConsoleReader(closing(await openSerialConsole({ address, port, ...CREDENTIALS, reconnect })));
    await ipmitool("sol deactivate").exit();
    expect((await reader.ended)?.message).to.contain("the BMC has deactivated Serial over LAN");
    const again = ipmitool("sol deactivate");
    await again.exit();
    expect(again.output.toString()).to.contain("SOL payload already de-activated");
  });

  it("ipmitool is told that our client has the console", async () => {
    const { address, port } = simulator;
    closing(await openSerialConsole({ address, port, ...CREDENTIALS }));
    const terminal = ipmitool("sol activate");
    await terminal.exit();
    expect(terminal.output.toString()).to.contain("SOL payload already active on another session");
  });

  it("ipmiconsole: 100 kB of all bytes come whole, what is typed goes whole, a break, and it leaves", async () => {
    await useToTheEnd(ipmiconsole(), ESTABLISHED, "&B", "&.", "[closing the connection]");
  });

  it("ipmiconsole takes the console from our client, unless told not to", async () => {
    const { address, port } = simulator;
    const reconnect = { deadlineMs: 0 };
    const console = closing(await openSerialConsole({ address, port, ...CREDENTIALS, reconnect }));
    const reader = new ConsoleReader(console);
    const polite = ipmiconsole("--dont-steal");
    await polite.exit();
    expect(polite.output.toString()).to.contain("SOL in use");
    const thief = ipmiconsole();
    await thief.until(ESTABLISHED);
    expect((await reader.ended)?.message).to.contain("deactivated");
  });
});
