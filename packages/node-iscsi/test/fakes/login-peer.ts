// A login's other side in memory: the test target's login behind the connection interface, and a hook on every PDU it answers with.
import type { ReceivedPdu } from "../../src/connection.ts";
import { TransportError } from "../../src/errors.ts";
import {
  decodeLoginRequest,
  encodeLoginResponse,
  type LoginRequestPdu,
  type LoginResponsePdu,
} from "../../src/pdu/login.ts";
import { loginResponse, TargetLogin, type TargetLoginOptions } from "../../src/target/target-login.ts";

/** Changes an answer before it goes out; `number` counts from 1. */
export type AlterResponse = (
  answer: { pdu: LoginResponsePdu; text: Buffer },
  number: number,
) => { pdu: LoginResponsePdu; text: Buffer } | undefined;

const FIRST_STAT_SN = 0xfffffffe;

/** Answers as the test target would, StatSN across its wrap; records what was asked. */
export class LoginPeer {
  readonly requests: { pdu: LoginRequestPdu; text: string }[] = [];
  readonly login: TargetLogin;
  digests: { header: boolean; data: boolean } | undefined;
  readonly #alter: AlterResponse;
  readonly #answers: ReceivedPdu[] = [];
  #sent = 0;

  constructor(
    options: Partial<TargetLoginOptions> & Pick<TargetLoginOptions, "wishes">,
    alter: AlterResponse = (answer) => answer,
  ) {
    this.login = new TargetLogin({
      targetName: "iqn.2026-11.test:peer",
      chap: undefined,
      refuseLogin: undefined,
      ...options,
    });
    this.#alter = alter;
  }

  send(header: Buffer, data: Buffer = Buffer.alloc(0)): void {
    const pdu = decodeLoginRequest(header);
    this.requests.push({ pdu, text: data.toString() });
    const step = this.login.step(pdu, data);
    const sequence = { statSn: (FIRST_STAT_SN + this.#sent) >>> 0, expCmdSn: pdu.cmdSn, maxCmdSn: pdu.cmdSn + 31 };
    this.#sent += 1;
    const answer = this.#alter(loginResponse(pdu, step, sequence, 7), this.#sent);
    if (answer !== undefined)
      this.#answers.push({ header: encodeLoginResponse(answer.pdu, answer.text.length), data: answer.text });
  }

  receive(): Promise<ReceivedPdu> {
    const answer = this.#answers.shift();
    if (answer !== undefined) return Promise.resolve(answer);
    return Promise.reject(new TransportError("the peer has nothing more to say", { operation: "connection" }));
  }

  startFullFeaturePhase(digests: { header: boolean; data: boolean }): void {
    this.digests = digests;
  }
}
