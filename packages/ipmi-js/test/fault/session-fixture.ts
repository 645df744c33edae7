// What tests of sessions share: a simulator, someone between it and the client, and sessions, all closed after each test.
import type { IpmiError } from "../../src/errors.ts";
import { type OpenSessionOptions, openSession } from "../../src/open-session.ts";
import type { IpmiSession } from "../../src/session.ts";
import { failure } from "../failure.ts";
import { CREDENTIALS } from "../simulated-machine.ts";
import { simulatorFixture } from "../simulator-fixture.ts";
import { TamperingProxy } from "./tampering-proxy.ts";

/** Call it once in a suite. */
export function sessionFixture() {
  const { closing, simulate } = simulatorFixture();
  const reach = (port: number, options: Partial<OpenSessionOptions> = {}): OpenSessionOptions => {
    return { address: "127.0.0.1", port, ...CREDENTIALS, retransmitMs: 50, ...options };
  };
  return {
    closing,
    reach,
    simulate,
    tamperWith: async (port: number): Promise<TamperingProxy> => closing(await TamperingProxy.start(port)),
    open: async (port: number, options?: Partial<OpenSessionOptions>): Promise<IpmiSession> =>
      closing(await openSession(reach(port, options))),
    refusal: (port: number, options?: Partial<OpenSessionOptions>): Promise<IpmiError> =>
      failure(openSession(reach(port, options))),
  };
}
