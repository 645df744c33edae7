// What a BMC says it can do, asked when it refuses or ignores what we offer: IPMI versions and cipher suites.
import type { Budget } from "./budget.ts";
import { CIPHER_SUITES, type CipherSuite } from "./crypto.ts";
import { isIpmiError } from "./errors.ts";
import type { ResolvedOptions } from "./options.ts";
import { askCapabilities, askCipherSuites, type SessionlessAsker } from "./sessionless.ts";
import { connect } from "./transport.ts";

/** A BMC's own word, unsigned and often wrong: good for the order in which to try, and for error texts. */
export interface BmcOffer {
  /** False only if the BMC says so and names IPMI 1.5 instead. */
  readonly supportsV20: boolean;
  /** Ids of the cipher suites it lists, maybe none; undefined if it did not answer the question. */
  readonly suites: readonly number[] | undefined;
}

/** Sends of each question: 0.9 s with the default waits. */
const SENDS = 2;

/** Asks a BMC; undefined if it does not answer at all. Only `Aborted` and our own mistakes are thrown. */
export async function askOffer(options: ResolvedOptions, budget: Budget): Promise<BmcOffer | undefined> {
  const transport = await connect(options, budget);
  try {
    const asker: SessionlessAsker = { transport, budget, retransmitMs: options.retransmitMs, maxSends: SENDS };
    const capabilities = await orUndefined(askCapabilities(asker, options.privilege));
    const supportsV20 = capabilities === undefined || capabilities.supportsV20 || !capabilities.supportsV15;
    if (!supportsV20) return { supportsV20, suites: undefined };
    const records = await orUndefined(askCipherSuites(asker));
    if (capabilities === undefined && records === undefined) return undefined;
    // Trap: some lists give one id several records, or algorithms that are not the id's: a suite is what table 22-20 says.
    const ids = records?.filter(isStandard).map((record) => record.id);
    return { supportsV20, suites: ids && [...new Set(ids)] };
  } finally {
    await transport.close();
  }
}

/** The suites the BMC lists, then the others: its list decides what is tried first, never what is left out. */
export function preferListed(suites: readonly CipherSuite[], { suites: listed = [] }: BmcOffer): CipherSuite[] {
  const isListed = (suite: CipherSuite) => listed.includes(suite.id);
  return [...suites.filter(isListed), ...suites.filter((suite) => !isListed(suite))];
}

function isStandard({ id, algorithms }: { id: number; algorithms: CipherSuite["algorithms"] }): boolean {
  const known = CIPHER_SUITES.get(id)?.algorithms;
  // Suites we do not speak are still worth naming.
  if (known === undefined) return true;
  return (
    algorithms.authentication === known.authentication &&
    algorithms.integrity === known.integrity &&
    algorithms.confidentiality === known.confidentiality
  );
}

async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isIpmiError(error, "Timeout", "CompletionCode", "InsufficientPrivilege")) return undefined;
    throw error;
  }
}
