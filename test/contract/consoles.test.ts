// Recorded consoles: the log's limits and its reading, and the recorder against simulated BMCs.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Duplex } from "node:stream";
import { expect } from "chai";
import { BmcSimulator, openSerialConsole } from "ipmi-js";
import type { NodeRecord } from "../../db/records.ts";
import { ConsoleLog, readConsoleLog, removeConsoleLog } from "../../driver/console/console-log.ts";
import { ConsoleRecorder, type ConsoleRecorderOptions } from "../../driver/console/console-recorder.ts";
import { IpmiSerialLines, type SerialLines } from "../../driver/console/serial-lines.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { silentLogger } from "../../lib/log.ts";
import { eventually } from "../fakes/service-bench.ts";

const LOGIN = { user: "admin", password: "secret" } as const;
const UUID = "22222222-0000-4000-8000-000000000001";

describe("consoles", () => {
  let folder: string;
  let path: string;
  const closers: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "consoles-test-"));
    path = join(folder, "consoles", `${UUID}.console.log`);
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    await rm(folder, { recursive: true });
  });

  describe("log", () => {
    it("keeps bytes as they come, for its owner only", async () => {
      const bytes = Buffer.from([0, 27, 91, 109, 0xff, 0xfe, 13, 10]);
      await new ConsoleLog(path, 1000).append(bytes);
      expect((await readFile(path)).equals(bytes)).to.equal(true);
      expect((await stat(path)).mode & 0o777).to.equal(0o600);
      expect((await stat(dirname(path))).mode & 0o777).to.equal(0o700);
    });

    it("keeps one older file of its size, also across restarts", async () => {
      for (let n = 0; n < 10; n += 1) await new ConsoleLog(path, 100).append(Buffer.from(`${String(n).repeat(49)}\n`));
      expect((await readdir(dirname(path))).sort()).to.deep.equal([`${UUID}.console.log`, `${UUID}.console.log.1`]);
      expect((await stat(path)).size).to.be.at.most(100);
      expect((await stat(`${path}.1`)).size).to.be.at.most(100);
      const text = await readConsoleLog(path, undefined);
      expect(text.split("\n").map((line) => line[0])).to.deep.equal(["6", "7", "8", "9", undefined]);
      await removeConsoleLog(path);
      await removeConsoleLog(path);
      expect(await readdir(dirname(path))).to.deep.equal([]);
    });

    it("goes on when its files were removed from outside", async () => {
      const log = new ConsoleLog(path, 100);
      await log.append(Buffer.alloc(90, "a"));
      await rm(dirname(path), { recursive: true });
      await log.append(Buffer.alloc(90, "b"));
      expect(await readConsoleLog(path, undefined)).to.equal("b".repeat(90));
      await log.append(Buffer.alloc(90, "c"));
      expect(await readConsoleLog(path, undefined)).to.equal("b".repeat(90) + "c".repeat(90));
    });

    it("tells no deployment key, wherever it is cut, and keeps it in the file", async () => {
      const key = "K0K0K0K0K0K0K0K0K0K0K0K0K0K0K0K0";
      const line = `append deployment_id=1 deployment_key=${key} troubleshoot=0\r\n`;
      await new ConsoleLog(path, 1000).append(Buffer.from(line));
      const text = await readConsoleLog(path, undefined);
      expect(text).to.equal(`append deployment_id=1 deployment_key=${"*".repeat(32)} troubleshoot=0\n`);
      expect(await readConsoleLog(path, 1)).to.equal(text);
      expect(await readFile(path, "utf8")).to.equal(line);
      for (let cut = 0; cut < line.length; cut++) {
        await writeFile(path, line + "x".repeat(100 * 1024 - cut));
        const told = await readConsoleLog(path, undefined);
        expect(told.length - told.split("\n").length, `cut at ${cut}`).to.be.within(100 * 1024 - 3, 100 * 1024);
        expect(told).to.not.contain("K0").and.not.contain("0K");
        await writeFile(`${path}.1`, line.slice(0, cut));
        await writeFile(path, line.slice(cut));
        expect(await readConsoleLog(path, undefined)).to.equal(text);
        await rm(`${path}.1`);
      }
    });

    it("gives the last lines", async () => {
      expect(await readConsoleLog(path, 3)).to.equal("");
      await new ConsoleLog(path, 1000).append(Buffer.from("one\r\ntwo\r\nthree\r\n"));
      expect(await readConsoleLog(path, undefined)).to.equal("one\ntwo\nthree\n");
      expect(await readConsoleLog(path, 2)).to.equal("two\nthree\n");
      expect(await readConsoleLog(path, 50)).to.equal("one\ntwo\nthree\n");
      expect(await readConsoleLog(path, 0)).to.equal("");
      await new ConsoleLog(path, 1000).append(Buffer.from("login: "));
      expect(await readConsoleLog(path, 1)).to.equal("login: ");
    });

    it("is valid text whatever bytes came, and no more than 100 KiB of it", async () => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, Buffer.from([0x41, 0xff, 0xc3, 0x28, 0x00, 0x1b, 0x5b, 0xed, 0xa0, 0x80, 0x0a]));
      const text = await readConsoleLog(path, undefined);
      expect(text).to.match(/^A\ufffd+\(\[\ufffd+\n$/);
      expect(JSON.parse(JSON.stringify({ output: text }))).to.deep.equal({ output: text });
      await writeFile(`${path}.1`, "y".repeat(300 * 1024));
      await writeFile(path, "x".repeat(60 * 1024));
      const long = await readConsoleLog(path, undefined);
      expect(long).to.equal("y".repeat(40 * 1024) + "x".repeat(60 * 1024));
    });
  });

  describe("recorder", () => {
    /** A machine with its BMC, and the node that carries the instance. */
    const machine = async (port = 0, hasSerial = true, password: string = LOGIN.password) => {
      const line = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
      const handlers = { getPower: () => true, setPower: () => {} };
      const serial = hasSerial ? { serial: { open: () => line } } : {};
      const bmc = await BmcSimulator.listen({ address: "127.0.0.1", port, ...LOGIN, password, handlers, ...serial });
      closers.push(() => bmc.close());
      return { line, bmc };
    };
    const nodeAt = (port: number) =>
      ({
        id: 7,
        instanceUuid: UUID,
        taskState: "building",
        pmAddress: `127.0.0.1:${port}`,
        pmUser: LOGIN.user,
        pmPassword: LOGIN.password,
      }) as unknown as NodeRecord;
    const recorder = (node: () => NodeRecord | undefined, patch: Partial<ConsoleRecorderOptions> = {}) => {
      const one = new ConsoleRecorder({
        host: "compute1",
        folder: join(folder, "consoles"),
        maxFileBytes: 100_000,
        isRecording: true,
        nodes: {
          get: async () => node(),
          list: async () => [node()].flatMap((found) => (found?.instanceUuid == null ? [] : [found])),
        },
        lines: new IpmiSerialLines(),
        clock: systemClock,
        logger: silentLogger,
        ...patch,
      });
      closers.push(() => one.close());
      return one;
    };
    const written = (text: string) =>
      eventually(`"${text}" in the log`, async () => (await readConsoleLog(path, undefined)).includes(text));
    const sleeps: number[] = [];
    /** Waits a second and a half at most. */
    const hastyClock: Clock = {
      now: () => systemClock.now(),
      sleep: (ms, signal) => {
        sleeps.push(ms);
        return systemClock.sleep(Math.min(ms, 1500), signal);
      },
    };
    const noted: string[] = [];
    const note = async (text: string) => void noted.push(text);
    beforeEach(() => {
      noted.splice(0);
      sleeps.splice(0);
    });

    it("records from when start returns until stop, and removes", async () => {
      const { line, bmc } = await machine();
      const node = nodeAt(bmc.port);
      const consoles = recorder(() => node);
      await consoles.start(node, UUID, note);
      line.push("SeaBIOS\r\nlogin: ");
      await written("login:");
      expect(await consoles.read(UUID, 1)).to.equal("login: ");
      await consoles.stop(UUID);
      await eventually("the session to end", () => bmc.sessionCount === 0);
      line.push("unseen");
      await consoles.stop(UUID);
      expect(await consoles.read(UUID, undefined)).to.equal("SeaBIOS\nlogin: ");
      await consoles.remove(UUID);
      expect(await consoles.read(UUID, undefined)).to.equal("");
      expect(noted).to.deep.equal([]);
    });

    it("takes a console from whoever has it when a spawn starts", async () => {
      const { line, bmc } = await machine();
      const last = await openSerialConsole({
        address: "127.0.0.1",
        port: bmc.port,
        ...LOGIN,
        reconnect: { deadlineMs: 0 },
      });
      closers.push(() => last.close());
      const node = nodeAt(bmc.port);
      await recorder(() => node).start(node, UUID, note);
      line.push("the new tenant");
      await written("the new tenant");
    });

    it("says once that a BMC has no console, and holds nothing up", async () => {
      const { bmc } = await machine(0, false);
      const node = nodeAt(bmc.port);
      const consoles = recorder(() => node, { clock: hastyClock });
      const start = performance.now();
      await consoles.start(node, UUID, note);
      expect(performance.now() - start).to.be.below(4000);
      await eventually("the note", () => noted.length === 1);
      expect(noted[0]).to.contain("not recorded").and.contain("Serial over LAN").and.not.contain("secret");
      await eventually("it to wait", () => Math.max(...sleeps) >= 300_000);
      expect(await consoles.read(UUID, undefined)).to.equal("");
    });

    it("a BMC that is silent holds a start up for five seconds at most", async () => {
      const node = nodeAt(9);
      const consoles = recorder(() => node);
      const start = performance.now();
      await consoles.start(node, UUID, note);
      expect(performance.now() - start).to.be.below(8000);
      await consoles.close();
    });

    it("gets a console back that somebody took, and says both", async () => {
      const { line, bmc } = await machine();
      const node = nodeAt(bmc.port);
      const consoles = recorder(() => node, { clock: hastyClock });
      await consoles.start(node, UUID, note);
      line.push("one\n");
      await written("one");
      const login = { address: "127.0.0.1", port: bmc.port, ...LOGIN, takeOver: true };
      await (await openSerialConsole({ ...login, reconnect: { deadlineMs: 0 } })).close();
      await eventually("both notes", () => noted.length === 2);
      expect(noted[0]).to.contain("not recorded: ").and.contain("deactivated");
      expect(noted[1]).to.equal("the serial console is recorded again");
      expect(Math.max(...sleeps), "time for whoever took it").to.be.within(60_000, 75_000);
      line.push("two\n");
      await written("two");
    });

    for (const [what, change] of [
      ["address", (port: number) => ({ ...nodeAt(port) })],
      ["password", (port: number) => ({ ...nodeAt(port), pmPassword: "another" })],
    ] as const) {
      it(`leaves a machine when its node's BMC has another ${what}, and records the node's`, async () => {
        const old = await machine();
        const next = what === "address" ? await machine() : await machine(0, true, "another");
        let node = nodeAt(old.bmc.port);
        const consoles = recorder(() => node);
        await consoles.start(node, UUID, note);
        old.line.push("mine\n");
        await written("mine");
        node = change(next.bmc.port) as NodeRecord;
        consoles.follow();
        await eventually("the old session to end", () => old.bmc.sessionCount === 0);
        old.line.push("another tenant's\n");
        next.line.push("mine too\n");
        await written("mine too");
        expect(await consoles.read(UUID, undefined)).to.equal("mine\nmine too\n");
      });
    }

    it("opens 32 consoles at a time when there are many to take up, and ends in the middle", async () => {
      let opening = 0;
      let most = 0;
      const opened: (() => void)[] = [];
      const all = Array.from({ length: 100 }, (_, id) => ({ ...nodeAt(1), id, instanceUuid: `i${id}` }) as NodeRecord);
      const lines: SerialLines = {
        open: async (_node, { signal }) => {
          opening += 1;
          most = Math.max(most, opening);
          await new Promise<void>((resolve) => {
            opened.push(resolve);
            signal.addEventListener("abort", () => resolve());
          });
          opening -= 1;
          throw new BaremetalError("PeerUnreachable", "it does not answer");
        },
      };
      const nodes = { get: async (id: number) => all[id], list: async () => all };
      const consoles = recorder(() => undefined, { lines, nodes });
      consoles.follow();
      await eventually("32 openings", () => opening === 32);
      for (const done of opened.splice(0, 10)) done();
      await eventually("ten more", () => opened.length === 32);
      expect(most).to.equal(32);
      await consoles.close();
      expect(opening).to.equal(0);
    });

    it("ends by itself when the node carries the instance no more", async () => {
      const { bmc } = await machine();
      let node: NodeRecord | undefined = nodeAt(bmc.port);
      const consoles = recorder(() => node);
      await consoles.start(nodeAt(bmc.port), UUID, note);
      expect(bmc.sessionCount).to.equal(1);
      node = undefined;
      consoles.follow();
      await eventually("the session to end", () => bmc.sessionCount === 0);
    });

    it("is taken up again by the next process", async () => {
      const { line, bmc } = await machine();
      const node = nodeAt(bmc.port);
      const first = recorder(() => node);
      await first.start(node, UUID, note);
      line.push("one\n");
      await written("one");
      await first.close();
      await bmc.close();
      const { line: secondLine } = await machine(bmc.port);
      const second = recorder(() => node);
      second.follow();
      secondLine.push("two\n");
      await written("two");
      expect(await second.read(UUID, undefined)).to.equal("one\ntwo\n");
    });

    it("records nothing when it is switched off, and still reads", async () => {
      const { bmc } = await machine();
      const node = nodeAt(bmc.port);
      await new ConsoleLog(path, 1000).append(Buffer.from("old\n"));
      const consoles = recorder(() => node, { isRecording: false });
      consoles.follow();
      await consoles.start(node, UUID, note);
      expect(bmc.sessionCount).to.equal(0);
      expect(await consoles.read(UUID, undefined)).to.equal("old\n");
    });
  });
});
