// CHAP between our initiator and our target over TCP, and redirects and lists of portals, which no Debian target offers.
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { expect } from "chai";
import {
  AbortedError,
  connect,
  discover,
  InvalidArgumentError,
  type IscsiError,
  LoginError,
  TimeoutError,
  TransportError,
} from "node-iscsi";
import { IscsiTarget, type IscsiTargetOptions } from "node-iscsi/target";
import { openAndLogin } from "../../src/open-and-login.ts";

const targetName = "iqn.2026-11.test:own";
const own = { user: "deploy", secret: "a-good-long-secret" };
const mutual = { ...own, target: { user: "shelf", secret: "the-shelfs-own-secret" } };

/** What a test opened; closed in reverse order after it. */
const opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function listen(options: Partial<IscsiTargetOptions> = {}): Promise<IscsiTarget> {
  const target = await IscsiTarget.listen({
    address: "127.0.0.1",
    targetName,
    backing: { memoryBytes: 1024 * 1024 },
    ...options,
  });
  opened.push(() => target.close());
  return target;
}

const redirecting = (redirectTo: string | undefined, statusDetail = 1) =>
  listen({ faults: { refuseLogin: { statusClass: 1, statusDetail, redirectTo } } });

/** Accepts connections and never says a word. */
async function listenSilently(): Promise<number> {
  const server: Server = createServer();
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  opened.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });
  return (server.address() as { port: number }).port;
}

/** A port that was just closed. */
async function closedPort(): Promise<number> {
  const target = await listen();
  await opened.pop()?.();
  return target.port;
}

const optionsFor = (port: number) => ({ address: "127.0.0.1", port, targetName, lun: 1, recovery: false as const });

async function errorOf(promise: Promise<unknown>): Promise<IscsiError> {
  const error = await promise.then(
    () => undefined,
    (cause) => cause,
  );
  expect(error).to.be.instanceOf(Error);
  return error;
}

async function expectSession(promise: ReturnType<typeof connect>): Promise<void> {
  const session = await promise;
  await session.testUnitReady();
  await session.logout();
}

describe("mutual CHAP with our target", () => {
  it("succeeds for normal and discovery sessions", async () => {
    const target = await listen({ chap: mutual });
    await expectSession(connect({ ...optionsFor(target.port), chap: mutual }));
    const found = await discover({ address: "127.0.0.1", port: target.port, chap: mutual });
    expect(found[0]?.targetName).to.equal(targetName);
  });

  it("fails on the target's wrong secret in one login: no second try with MD5", async () => {
    const target = await listen({ chap: { ...mutual, target: { ...mutual.target, secret: "something-else-here" } } });
    const error = await errorOf(connect({ ...optionsFor(target.port), chap: mutual }));
    expect(error).to.be.instanceOf(LoginError);
    expect(error.reason).to.contain("chap.target.secret");
    expect(target.counts.connections).to.equal(1);
  });
});

describe("the ISID of a login", () => {
  it("is the caller's, or random of the random type", async () => {
    const target = await listen();
    const isid = Buffer.from("80aabbccddee", "hex");
    const options = { address: "127.0.0.1", port: target.port };
    const given = await openAndLogin({ ...options, isid }, targetName, 5000);
    expect(given.isid.equals(isid)).to.equal(true);
    expect([given.address, given.port]).to.deep.equal(["127.0.0.1", target.port]);
    await given.connection.close();
    const first = await openAndLogin(options, targetName, 5000);
    const second = await openAndLogin(options, targetName, 5000);
    expect([first.isid[0], second.isid[0]]).to.deep.equal([0x80, 0x80]);
    expect(first.isid.equals(second.isid)).to.equal(false);
    await first.connection.close();
    await second.connection.close();
    const error = await errorOf(openAndLogin({ ...options, isid: Buffer.alloc(5) }, targetName, 5000));
    expect(error).to.be.instanceOf(InvalidArgumentError);
  });
});

describe("names", () => {
  it("that would break the login text are refused before anything is sent", async () => {
    const target = await listen();
    for (const changes of [
      { targetName: "iqn.t:a\0AuthMethod=None" },
      { targetName: "" },
      { targetName: "n".repeat(224) },
      { initiatorName: "two words" },
    ])
      expect(await errorOf(connect({ ...optionsFor(target.port), ...changes }))).to.be.instanceOf(InvalidArgumentError);
    expect(target.counts.connections).to.equal(0);
  });
});

describe("redirects", () => {
  it("temporary and permanent ones are followed, with the same credentials", async () => {
    const last = await listen({ chap: own });
    for (const statusDetail of [1, 2]) {
      const first = await redirecting(`127.0.0.1:${last.port},1`, statusDetail);
      await expectSession(connect({ ...optionsFor(first.port), chap: own }));
    }
  });

  it("give the address in the end", async () => {
    const last = await listen();
    const first = await redirecting(`localhost:${last.port}`);
    const found = await openAndLogin({ address: "127.0.0.1", port: first.port }, targetName, 5000);
    expect([found.address, found.port]).to.deep.equal(["localhost", last.port]);
    await found.connection.close();
  });

  it("four in a row are followed, a fifth is not; the error names the way", async () => {
    let port = (await listen()).port;
    for (let hop = 1; hop <= 5; hop += 1) {
      if (hop === 5) await expectSession(connect(optionsFor(port)));
      port = (await redirecting(`127.0.0.1:${port}`)).port;
    }
    const error = (await errorOf(connect(optionsFor(port)))) as LoginError;
    expect(error).to.be.instanceOf(LoginError);
    expect(error.statusClass).to.equal(1);
    expect(error.reason).to.contain("gave up after 4 redirects").and.to.contain(`127.0.0.1:${port} -> 127.0.0.1:`);
  });

  it("in a circle are seen", async () => {
    const first = await redirecting(undefined);
    const second = await redirecting(`127.0.0.1:${first.port}`);
    first.faults.refuseLogin = { statusClass: 1, statusDetail: 1, redirectTo: `127.0.0.1:${second.port}` };
    const error = await errorOf(connect(optionsFor(first.port)));
    expect(error.reason).to.contain("in a circle").and.to.contain(`${first.port} -> 127.0.0.1:${second.port}`);
  });

  it("without an address, or to one that cannot be read, are not followed", async () => {
    const nowhere = await errorOf(connect(optionsFor((await redirecting(undefined)).port)));
    expect(nowhere.reason).to.contain("no TargetAddress");
    const nonsense = await errorOf(connect(optionsFor((await redirecting("fd00::7:3260,1")).port)));
    expect(nonsense).to.be.instanceOf(LoginError);
    expect(nonsense.reason).to.contain("cannot be followed");
  });

  it("of an unknown kind are not followed", async () => {
    const last = await listen();
    const first = await redirecting(`127.0.0.1:${last.port}`, 9);
    expect(await errorOf(connect(optionsFor(first.port)))).to.be.instanceOf(LoginError);
    expect(last.counts.connections).to.equal(0);
  });

  it("to where it fails say which way it went", async () => {
    const dead = await closedPort();
    const first = await redirecting(`127.0.0.1:${dead}`);
    const error = await errorOf(connect(optionsFor(first.port)));
    expect(error).to.be.instanceOf(TransportError);
    expect(error.reason).to.contain(`redirected 127.0.0.1:${first.port} -> 127.0.0.1:${dead}`);
  });

  it("stay within the deadline", async () => {
    let port = await listenSilently();
    for (let hop = 1; hop <= 4; hop += 1) port = (await redirecting(`127.0.0.1:${port}`)).port;
    const error = (await errorOf(connect({ ...optionsFor(port), deadlineMs: 1000 }))) as TimeoutError;
    expect(error).to.be.instanceOf(TimeoutError);
    // The last address got what four TCP connections and logins had left over, and no deadline of its own.
    expect(error.deadlineMs).to.be.below(1000);
  });
});

describe("the deadline of a discovery", () => {
  it("holds for the login and for the list", async () => {
    const silent = { address: "127.0.0.1", port: await listenSilently(), deadlineMs: 200 };
    expect((await errorOf(discover(silent))).operation).to.equal("login");
    const target = await listen({ faults: { neverAnswers: true } });
    const error = await errorOf(discover({ address: "127.0.0.1", port: target.port, deadlineMs: 200 }));
    expect(error).to.be.instanceOf(TimeoutError);
    expect(error.operation).to.equal("discovery");
  });
});

describe("portals", () => {
  const unavailable = () => listen({ faults: { refuseLogin: { statusClass: 3, statusDetail: 1 } } });
  const at = (port: number) => ({ address: "127.0.0.1", port });

  it("are tried in turn after one that is closed, out of service or silent, which uses up its share only", async () => {
    const good = await listen();
    const portals = [at((await unavailable()).port), at(await listenSilently()), at(good.port)];
    const startedAt = performance.now();
    await expectSession(connect({ ...optionsFor(await closedPort()), portals, deadlineMs: 2000 }));
    // The silent one got half of what was left, one share of two. That it did not get all of it shows in the session.
    expect(performance.now() - startedAt).to.be.at.least(990);
  });

  it("are not tried after a refused authentication or an unknown target", async () => {
    const good = await listen();
    const strict = await listen({ chap: own });
    const wrong = { ...own, secret: "not-the-right-secret" };
    const error = await errorOf(connect({ ...optionsFor(strict.port), chap: wrong, portals: [at(good.port)] }));
    expect((error as LoginError).statusDetail).to.equal(1);
    const options = { ...optionsFor(strict.port), targetName: "iqn.2026-11.test:other" };
    expect(((await errorOf(connect({ ...options, portals: [at(good.port)] }))) as LoginError).statusDetail).to.equal(3);
    expect(good.counts.connections).to.equal(0);
  });

  it("all failing end in one error that names each", async () => {
    const [first, second] = [await closedPort(), (await unavailable()).port];
    const error = (await errorOf(connect({ ...optionsFor(first), portals: [at(second)] }))) as LoginError;
    expect(error).to.be.instanceOf(LoginError);
    expect([error.statusClass, error.statusDetail]).to.deep.equal([3, 1]);
    expect(error.reason).to.contain("none of 2 portals").and.to.contain(`127.0.0.1:${first}: `);
    const other = await errorOf(connect({ ...optionsFor(second), portals: [at(first)] }));
    expect(other).to.be.instanceOf(TransportError);
    const silent = { ...optionsFor(await listenSilently()), portals: [at(await listenSilently())], deadlineMs: 200 };
    expect(await errorOf(connect(silent))).to.be.instanceOf(TimeoutError);
  });

  it("are not tried after the caller gave up", async () => {
    const good = await listen();
    const options = { ...optionsFor(await listenSilently()), portals: [at(good.port)] };
    const controller = new AbortController();
    const result = errorOf(connect({ ...options, signal: controller.signal }));
    controller.abort();
    expect(await result).to.be.instanceOf(AbortedError);
    expect(good.counts.connections).to.equal(0);
  });
});
