// Login phase of the test target (RFC 7143 6.3): answers one request at a time; AuthMethod None or one-way CHAP.
import { randomBytes, randomInt } from "node:crypto";
import { type ChapCredentials, chooseChapAlgorithm, verifyChapResponse } from "../chap.ts";
import { answerKey, type ParameterWishes, type SessionParameters, settleParameters } from "../negotiation.ts";
import { type LoginRequestPdu, LoginStage } from "../pdu/login.ts";
import { decodeTextPairs, textPairsToMap } from "../pdu/text-keys.ts";

/** What to answer to one login request. */
export interface LoginStep {
  readonly statusClass: number;
  readonly statusDetail: number;
  readonly transit: boolean;
  readonly pairs: [key: string, value: string][];
}

/** Policy of the target. */
export interface TargetLoginOptions {
  readonly targetName: string;
  readonly chap: ChapCredentials | undefined;
  readonly wishes: ParameterWishes;
  readonly refuseLogin: { statusClass: number; statusDetail: number } | undefined;
}

/** Login state of one connection. */
export class TargetLogin {
  readonly #options: TargetLoginOptions;
  readonly #keys = new Map<string, string>();
  #challenge: { algorithm: string; identifier: number; challenge: Buffer } | undefined;
  #isAuthenticated: boolean;
  #pendingText: Buffer[] = [];

  constructor(options: TargetLoginOptions) {
    this.#options = options;
    this.#isAuthenticated = options.chap === undefined;
  }

  get isDiscovery(): boolean {
    return this.#keys.get("SessionType") === "Discovery";
  }

  /** The negotiated values, once the login is over. */
  parameters(): SessionParameters {
    return settleParameters(this.#keys, this.#options.wishes);
  }

  /** Decides about one request. @throws ProtocolError on text that cannot be read. */
  step(request: LoginRequestPdu, data: Buffer): LoginStep {
    this.#pendingText.push(data);
    if (request.continues) return this.#go(false, []);
    const received = textPairsToMap(decodeTextPairs(Buffer.concat(this.#pendingText)));
    this.#pendingText = [];
    for (const [key, value] of received) this.#keys.set(key, value);
    const { refuseLogin, targetName } = this.#options;
    if (refuseLogin !== undefined) return this.#refuse(refuseLogin.statusClass, refuseLogin.statusDetail);
    if (!this.#keys.has("InitiatorName")) return this.#refuse(2, 7);
    if (!this.isDiscovery && this.#keys.get("TargetName") !== targetName) return this.#refuse(2, 3);
    if (request.currentStage === LoginStage.Security) return this.#security(request, received);
    if (!this.#isAuthenticated) return this.#refuse(2, 1);
    return this.#go(request.transit, this.#answers(received));
  }

  #security(request: LoginRequestPdu, received: Map<string, string>): LoginStep {
    const { chap } = this.#options;
    if (chap === undefined) {
      const method = received.get("AuthMethod");
      if (method !== undefined && !method.split(",").includes("None")) return this.#refuse(2, 1);
      const tag: [string, string][] = this.isDiscovery ? [] : [["TargetPortalGroupTag", "1"]];
      return this.#go(request.transit, method === undefined ? tag : [["AuthMethod", "None"], ...tag]);
    }
    const algorithms = received.get("CHAP_A");
    if (algorithms !== undefined) return this.#sendChallenge(algorithms);
    if (received.has("CHAP_R")) {
      const expected = this.#challenge;
      // A challenge is good for one response only.
      this.#challenge = undefined;
      if (expected === undefined || !verifyChapResponse(received, { ...expected, credentials: chap }))
        return this.#refuse(2, 1);
      this.#isAuthenticated = true;
      return this.#go(request.transit, []);
    }
    if (this.#isAuthenticated) return this.#go(request.transit, []);
    const offersChap = (received.get("AuthMethod") ?? "").split(",").includes("CHAP");
    if (!offersChap) return this.#refuse(2, 1);
    return this.#go(false, [
      ["AuthMethod", "CHAP"],
      ["TargetPortalGroupTag", "1"],
    ]);
  }

  #sendChallenge(algorithms: string): LoginStep {
    const algorithm = chooseChapAlgorithm(algorithms);
    if (algorithm === undefined) return this.#refuse(2, 1);
    this.#challenge = { algorithm, identifier: randomInt(0, 256), challenge: randomBytes(16) };
    return this.#go(false, [
      ["CHAP_A", algorithm],
      ["CHAP_I", String(this.#challenge.identifier)],
      ["CHAP_C", `0x${this.#challenge.challenge.toString("hex")}`],
    ]);
  }

  #answers(received: Map<string, string>): [string, string][] {
    const pairs: [string, string][] = [];
    for (const [key, value] of received) {
      const answer = answerKey(key, value, this.#options.wishes);
      if (answer !== undefined) pairs.push([key, answer]);
    }
    pairs.push(["MaxRecvDataSegmentLength", String(this.#options.wishes.maxRecvDataSegmentBytes)]);
    return pairs;
  }

  #go(transit: boolean, pairs: [string, string][]): LoginStep {
    return { statusClass: 0, statusDetail: 0, transit, pairs };
  }

  #refuse(statusClass: number, statusDetail: number): LoginStep {
    return { statusClass, statusDetail, transit: false, pairs: [] };
  }
}
