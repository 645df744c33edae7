// The same session over IPv6: URL, discovery, a redirection, a second portal, and a recovery (RFC 7143 4.2.7.2, 13.8).
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { connect, discover } from "node-iscsi";
import { IscsiTarget, type TargetFaults } from "node-iscsi/target";
import { freePort } from "../fakes/free-port.ts";
import { quickOptions, stored } from "../fault/session-bench.ts";

const SIZE = 4 * 1024 * 1024;
const targetName = "iqn.2026-11.test:v6";

async function withTarget(address: string, faults: TargetFaults, body: (target: IscsiTarget) => Promise<void>) {
  const target = await IscsiTarget.listen({ address, targetName, backing: { memoryBytes: SIZE }, faults });
  try {
    await body(target);
  } finally {
    await target.close();
  }
}

/** Writes through a session and looks at the target's own storage. */
async function expectWrite(target: IscsiTarget, ...connecting: Parameters<typeof connect>): Promise<string> {
  const session = await connect(...connecting);
  try {
    const disk = await session.blockDevice();
    const data = randomBytes(64 * 1024);
    await disk.write(8192, data);
    expect((await disk.read(8192, data.length)).equals(data)).to.equal(true);
    expect((await stored(target, 8192, data.length)).equals(data)).to.equal(true);
    return session.portal;
  } finally {
    await session.logout();
  }
}

describe("IPv6", () => {
  it("a URL with an IPv6 address, and what discovery answers there", () =>
    withTarget("::1", {}, async (target) => {
      const url = `iscsi://[::1]:${target.port}/${targetName}/1`;
      expect(await expectWrite(target, url)).to.equal(`[::1]:${target.port}`);
      const found = await discover({ address: "::1", port: target.port });
      expect(found.map((one) => one.targetName)).to.deep.equal([targetName]);
      expect(found[0]?.portals.map(({ address, port }) => [address, port])).to.deep.equal([["::1", target.port]]);
    }));

  it("a redirection from an IPv4 portal to an IPv6 one is followed", () =>
    withTarget("::1", {}, async (target) => {
      const redirectTo = `[::1]:${target.port},1`;
      const moved = { refuseLogin: { statusClass: 1, statusDetail: 1, redirectTo } };
      await withTarget("127.0.0.1", moved, async ({ port }) => {
        expect(await expectWrite(target, quickOptions(port, targetName))).to.equal(`[::1]:${target.port}`);
      });
    }));

  it("a second portal with an IPv6 address is used when the first cannot be reached", () =>
    withTarget("::1", {}, async (target) => {
      const options = quickOptions(await freePort(), targetName);
      const portals = [{ address: "::1", port: target.port }];
      expect(await expectWrite(target, options, { portals })).to.equal(`[::1]:${target.port}`);
    }));

  it("a connection that is cut in the middle of writes recovers", () =>
    withTarget("::1", { dropAfterBytes: { after: 40_000 } }, async (target) => {
      await expectWrite(target, { ...quickOptions(target.port, targetName), address: "::1" });
    }));
});
