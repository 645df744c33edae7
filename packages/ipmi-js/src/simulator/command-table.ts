// The commands a simulated BMC knows, with the privilege each needs.
import { chassisControl } from "../commands/chassis-control.ts";
import { closeSession, INVALID_SESSION_ID } from "../commands/close-session.ts";
import { type Command, PRIVILEGE_LEVEL } from "../commands/command.ts";
import { getChannelAuthenticationCapabilities } from "../commands/get-channel-authentication-capabilities.ts";
import { encodeCipherSuiteRecord, getChannelCipherSuites } from "../commands/get-channel-cipher-suites.ts";
import { getChassisStatus } from "../commands/get-chassis-status.ts";
import { getDeviceId } from "../commands/get-device-id.ts";
import { getSessionChallenge } from "../commands/get-session-challenge.ts";
import { getSessionInfo } from "../commands/get-session-info.ts";
import { getSystemBootOptions } from "../commands/get-system-boot-options.ts";
import { PRIVILEGE_EXCEEDS_LIMIT, setSessionPrivilegeLevel } from "../commands/set-session-privilege-level.ts";
import { setSystemBootOptions } from "../commands/set-system-boot-options.ts";
import { CIPHER_SUITES } from "../crypto.ts";
import type { SimulatedChassis } from "./chassis.ts";
import type { SimulatorFaults } from "./faults.ts";
import type { SimulatedManagement } from "./management-commands.ts";
import { type Outcome, ofCode, orRefusal } from "./outcome.ts";
import { DEVICE_SUPPORT, type SimulatedRecords } from "./records.ts";
import { addRecordsCommands } from "./records-commands.ts";
import type { SessionTable, SimulatedSession } from "./session-table.ts";
import type { SessionSetup } from "./setup.ts";
import type { SessionSetupV15 } from "./setup-v15.ts";
import type { SimulatedSol } from "./sol.ts";
import { addSolCommands } from "./sol-commands.ts";

/** What commands act on. */
export interface CommandContext {
  readonly chassis: SimulatedChassis;
  readonly sessions: SessionTable;
  readonly sol: SimulatedSol;
  readonly management: SimulatedManagement;
  readonly records: SimulatedRecords;
  readonly setup: SessionSetup;
  readonly setupV15: SessionSetupV15;
  readonly supportsV20: boolean;
  readonly cipherSuites: readonly number[];
  readonly faults: SimulatorFaults;
}

/** Completion code and the data after it. */
export interface CommandAnswer {
  readonly completionCode: number;
  readonly data: Buffer;
}

/** A command as the simulator runs it. `session` is undefined outside sessions. */
export interface SimulatedCommand {
  readonly privilege: number;
  readonly isSessionless: boolean;
  run(data: Buffer, session: SimulatedSession | undefined): Promise<CommandAnswer>;
}

const CHANNEL = 1;
const PIECE = 16;
const NO_DATA = Buffer.alloc(0);
const PARAMETER_NOT_SUPPORTED = 0x80;

/** Registers a command: its codecs, whether it is answered outside sessions, and what it does. */
export type AddCommand = <Request, Response>(
  command: Command<Request, Response>,
  isSessionless: boolean,
  run: (request: Request, session: SimulatedSession | undefined) => Outcome<Response> | Promise<Outcome<Response>>,
) => void;

/** The commands by network function and number; see {@link commandKey}. */
export function buildCommandTable(context: CommandContext): ReadonlyMap<number, SimulatedCommand> {
  const table = new Map<number, SimulatedCommand>();
  const add: AddCommand = (command, isSessionless, run) => {
    table.set(commandKey(command.netFn, command.code), {
      privilege: command.privilege,
      isSessionless,
      run: async (data, session) => {
        const outcome = await run(command.decodeRequest(data), session);
        if ("refusal" in outcome) return { completionCode: outcome.refusal, data: NO_DATA };
        return { completionCode: 0, data: command.encodeResponse(outcome.response) };
      },
    });
  };
  const { chassis, sessions } = context;

  add(getChannelAuthenticationCapabilities, true, () => ({ response: authenticationCapabilities(context) }));
  add(getChannelCipherSuites, true, ({ listIndex }) => {
    const list = context.faults.cipherSuiteList ?? cipherSuiteList(context.cipherSuites);
    return { response: { channel: CHANNEL, records: list.subarray(listIndex * PIECE, (listIndex + 1) * PIECE) } };
  });
  const { setupV15 } = context;
  if (setupV15.authenticationTypeBits !== 0) add(getSessionChallenge, true, (request) => setupV15.challenge(request));
  add(getDeviceId, false, () => ({ response: DEVICE_ID }));
  add(setSessionPrivilegeLevel, false, ({ privilege }, session) => setPrivilege(privilege, session));
  add(getSessionInfo, false, () => ({
    response: { handle: 1, possible: sessions.limit, active: sessions.activeCount },
  }));
  add(closeSession, false, ({ bmcSessionId }, session) => {
    const id = bmcSessionId === 0 ? (session?.bmcSessionId ?? 0) : bmcSessionId;
    return ofCode(sessions.delete(id) ? 0 : INVALID_SESSION_ID);
  });
  add(getChassisStatus, false, async () => ({ response: await chassis.getStatus() }));
  add(chassisControl, false, async ({ action }) => ofCode(await chassis.control(action)));
  add(setSystemBootOptions, false, async ({ parameter, data }) => ofCode(await chassis.setBootOption(parameter, data)));
  add(getSystemBootOptions, false, ({ parameter }) => {
    const data = chassis.getBootOption(parameter);
    return orRefusal(data && { parameter, isValid: true, data }, PARAMETER_NOT_SUPPORTED);
  });
  addSolCommands(add, context.sol);
  addRecordsCommands(add, context.records);
  context.management.addCommands(add);
  return table;
}

/** The key of a command in the table. */
export function commandKey(netFn: number, code: number): number {
  return (netFn << 8) | code;
}

const DEVICE_ID = {
  deviceId: 0x20,
  deviceRevision: 1,
  // Of sensors outside its repository, by Get Device SDR: none.
  hasSdrs: false,
  isAvailable: true,
  firmwareRevision: "1.00",
  ipmiVersion: "2.0",
  additionalSupport: DEVICE_SUPPORT,
  manufacturerId: 0,
  productId: 1,
};

function setPrivilege(privilege: number, session: SimulatedSession | undefined): Outcome<{ privilege: number }> {
  if (session === undefined) return { refusal: PRIVILEGE_EXCEEDS_LIMIT };
  if (privilege > session.maximumPrivilege || privilege === PRIVILEGE_LEVEL.callback) {
    return { refusal: PRIVILEGE_EXCEEDS_LIMIT };
  }
  if (privilege !== 0) session.privilege = privilege;
  return { response: { privilege: session.privilege } };
}

function authenticationCapabilities({ setup, setupV15, supportsV20 }: CommandContext) {
  return {
    channel: CHANNEL,
    supportsV20,
    supportsV15: setupV15.authenticationTypeBits !== 0,
    v15AuthenticationTypes: setupV15.authenticationTypeBits,
    needsKg: setup.hasKg,
    hasNamedUsers: true,
    hasNullUsers: false,
    hasAnonymousLogin: false,
  };
}

function cipherSuiteList(ids: readonly number[]): Buffer {
  const records: Buffer[] = [];
  for (const id of ids) {
    const suite = CIPHER_SUITES.get(id);
    if (suite !== undefined) records.push(encodeCipherSuiteRecord(suite));
  }
  return Buffer.concat(records);
}
