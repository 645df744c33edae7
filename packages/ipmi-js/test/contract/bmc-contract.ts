// What the client promises of any BMC: one suite, run against our simulator and against ipmi_sim.
import { expect } from "chai";
import { Bmc, type BmcOptions } from "../../src/bmc.ts";
import { NO_REQUEST_DATA, NO_RESPONSE_DATA } from "../../src/commands/command.ts";
import { openSession } from "../../src/open-session.ts";
import { getChannelAuthenticationCapabilities } from "../../src/sessionless.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { eventually, failure } from "../failure.ts";

/** A BMC under test, with a look behind its back at the machine. */
export interface BmcUnderTest {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  machineIsOn(): Promise<boolean>;
  /** The device the machine was last told to boot from; `none` if none. */
  bootDevice(): Promise<string>;
  /** Ends the BMC and starts it again on the same port; it forgets its sessions. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export function describeBmcContract(name: string, start: () => Promise<BmcUnderTest>): void {
  describe(`BMC contract: ${name}`, () => {
    let target: BmcUnderTest;
    let bmc: Bmc;
    const options = (): BmcOptions => {
      const { address, port, user, password } = target;
      return { address, port, user, password, retransmitMs: 200, operationDeadlineMs: 10_000 };
    };

    before(async () => {
      target = await start();
    });
    beforeEach(() => {
      bmc = new Bmc(options());
    });
    afterEach(() => bmc.close());
    after(() => target?.close());
    const closing = closeAfterEach();

    it("switches the machine on and off, and sees it", async () => {
      await bmc.control("power-up");
      await eventually("the machine to be on", () => target.machineIsOn());
      await eventually("the BMC to say so", () => bmc.getPower());
      await bmc.control("power-down");
      await eventually("the machine to be off", async () => !(await target.machineIsOn()));
      await eventually("the BMC to say so", async () => !(await bmc.getPower()));
    });

    it("sets the boot device, and reads it back", async () => {
      await bmc.setBootDevice({ device: "pxe", persistent: true });
      expect(await target.bootDevice()).to.equal("pxe");
      expect((await bmc.getBootDevice()).device).to.equal("pxe");
    });

    it("speaks IPMI 2.0, says its device id and its authentication capabilities", async () => {
      expect((await bmc.getDeviceId()).ipmiVersion).to.equal("2.0");
      const { address, port } = target;
      const capabilities = await getChannelAuthenticationCapabilities({ address, port });
      expect(capabilities.supportsV20).to.equal(true);
      expect(capabilities.hasNamedUsers).to.equal(true);
    });

    it("names a wrong password, and does not tell it", async () => {
      const error = await failure(openSession({ ...options(), password: "tellnobody" }));
      expect(error.code).to.equal("WrongPassword");
      expect(error.message).to.equal(
        `RAKP 2 check failed for ${target.address}:${target.port}: the password differs from the BMC's`,
      );
      expect(JSON.stringify(error)).not.to.contain("tellnobody");
    });

    it("names an unknown user", async () => {
      const error = await failure(openSession({ ...options(), user: "nobody" }));
      expect(error.code).to.equal("NoSuchUser");
      expect(error.rakpStatus).to.equal(0x0d);
      expect(error.address).to.equal(target.address);
    });

    it("says which completion code a refused command had", async () => {
      const numbers = { name: "Unknown Command", netFn: 6, code: 0x7f, privilege: 0 };
      const unknown = { ...numbers, ...NO_REQUEST_DATA, ...NO_RESPONSE_DATA };
      const error = await failure(bmc.execute(unknown, undefined));
      expect(error.code).to.equal("CompletionCode");
      expect(error.completionCode).to.equal(0xc1);
      expect(error.operation).to.equal("Unknown Command");
    });

    it("runs a crowd of operations one after the other", async () => {
      const states = await Promise.all(Array.from({ length: 70 }, () => bmc.getPower()));
      expect(new Set(states).size).to.equal(1);
    });

    it("falls back to cipher suite 3, and opens with it", async () => {
      const session = closing(await openSession({ ...options(), cipherSuites: [3] }));
      expect(session.cipherSuite).to.equal(3);
      expect((await session.getChassisStatus()).isPowerOn).to.be.a("boolean");
      await session.close();
      expect((await failure(session.getChassisStatus())).code).to.equal("Closed");
    });

    it("opens a new session when the BMC has restarted", async () => {
      await bmc.control("power-up");
      await target.restart();
      await eventually("power after the restart", async () => (await bmc.getPower()) === (await target.machineIsOn()));
    });
  });
}
