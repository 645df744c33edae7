// Short transactions that are retried when the engine asks for it, and the typing of its errors. No SQL leaves in an error.
import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { Knex } from "knex";
import { BaremetalError } from "../lib/errors.ts";

/** How long a statement may be put off, by other writers or a lost server, before we give up. Milliseconds. */
export const BUSY_DEADLINE_MS = 10_000;

/** How long a statement waits for a row's lock in MySQL, in seconds: short, for `transact` tries again. */
export const LOCK_WAIT_SECONDS = 5;
/** No statement is cut before InnoDB itself gives up its wait for a lock, whatever is left of the deadline. */
const STATEMENT_FLOOR_MS = (LOCK_WAIT_SECONDS + 1) * 1000;

/** The end of the running {@link transact} or {@link reading}, in milliseconds since the epoch. */
const deadlines = new AsyncLocalStorage<number>();

/** How long the statement that begins now may go without an answer; undefined outside of a deadline. Milliseconds. */
export function statementTimeLeft(): number | undefined {
  const end = deadlines.getStore();
  return end === undefined ? undefined : Math.max(end - Date.now(), STATEMENT_FLOOR_MS);
}

const CONNECTION_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ENOENT",
  "ETIMEDOUT",
  "PROTOCOL_CONNECTION_LOST",
  "PROTOCOL_SEQUENCE_TIMEOUT",
  "ER_SERVER_SHUTDOWN",
  "ER_CONNECTION_KILLED",
  "ER_NORMAL_SHUTDOWN",
]);
const BUSY_CODES = new Set(["ER_LOCK_DEADLOCK", "ER_LOCK_WAIT_TIMEOUT", "ER_CHECKREAD", "ER_CON_COUNT_ERROR"]);

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** True if the engine asks to try again: SQLite is busy, InnoDB chose us as a deadlock's victim. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith("SQLITE_BUSY") || code === "SQLITE_LOCKED" || BUSY_CODES.has(code);
}

/** True if the connection was lost or could not be made. */
export function isConnectionLoss(error: unknown): boolean {
  if (CONNECTION_CODES.has(codeOf(error))) return true;
  return error instanceof Error && /connection is in closed state|Connection lost/i.test(error.message);
}

/** True if a unique index refused a row. */
export function isUniqueViolation(error: unknown): boolean {
  const code = codeOf(error);
  return code === "SQLITE_CONSTRAINT_UNIQUE" || code === "SQLITE_CONSTRAINT_PRIMARYKEY" || code === "ER_DUP_ENTRY";
}

/** What the engine said, without the statement that knex puts before it. */
export function engineMessage(error: unknown): string {
  const own = (error as { sqlMessage?: unknown } | null)?.sqlMessage;
  if (typeof own === "string") return own;
  const message = error instanceof Error ? error.message : String(error);
  const cut = message.lastIndexOf(" - ");
  return cut === -1 ? message : message.slice(cut + 3);
}

function typed(error: unknown, what: string): unknown {
  if (error instanceof BaremetalError) return error;
  // Trap: the cause is not kept, for knex's error text holds the statement.
  const data = { operation: what, engineCode: codeOf(error) };
  const text = engineMessage(error);
  if (isConnectionLoss(error)) {
    return new BaremetalError(
      "PeerUnreachable",
      `the database did not answer while ${what}: ${text}; check that it runs and that the connection URL is right`,
      { data: { peer: "database", ...data } },
    );
  }
  if (isBusy(error) || (error instanceof Error && error.name === "KnexTimeoutError")) {
    return new BaremetalError("DeadlineExceeded", `the database stayed busy too long while ${what}`, {
      data: { step: what, ...data },
    });
  }
  return new BaremetalError("Internal", `the database refused the statement while ${what}: ${text}`, { data });
}

async function retrying<T>(
  db: Knex,
  what: string,
  attempt: () => Promise<T>,
  mayRetry: (error: unknown) => boolean,
  isLong = false,
): Promise<T> {
  const end = Date.now() + (db.userParams?.busyDeadlineMs ?? BUSY_DEADLINE_MS);
  for (let round = 0; ; round++) {
    try {
      return await (isLong ? attempt() : deadlines.run(end, attempt));
    } catch (error) {
      if (!mayRetry(error) || Date.now() >= end) throw isUniqueViolation(error) ? error : typed(error, what);
      // Jitter: two losers of one race must not meet again.
      await delay(Math.min(200, 2 ** Math.min(round, 6)) * (0.5 + Math.random()));
    }
  }
}

/**
 * Runs `work` in one transaction, again from its start while the engine is busy or its connection is lost, for at most
 * {@link BUSY_DEADLINE_MS}. `what` is for the error's text: `taking node 7`. A failed commit on a lost connection is
 * not retried: it may have happened. Unique violations pass as they are ({@link isUniqueViolation}); all else is typed.
 * `isLong`: its statements may take as long as they like, as those of a migration do; else a server that answers nothing
 * is given up, with its connection, at the deadline.
 */
export function transact<T>(
  db: Knex,
  what: string,
  work: (trx: Knex.Transaction) => Promise<T>,
  options: { readonly isLong?: boolean } = {},
): Promise<T> {
  let isCommitting = false;
  const attempt = () => {
    isCommitting = false;
    return db.transaction(async (trx) => {
      const value = await work(trx);
      isCommitting = true;
      return value;
    });
  };
  return retrying(
    db,
    what,
    attempt,
    (error) => isBusy(error) || (isConnectionLoss(error) && !isCommitting),
    options.isLong,
  );
}

/** Runs a read, again while the engine is busy or its connection is lost. */
export function reading<T>(db: Knex, what: string, work: () => Promise<T>): Promise<T> {
  return retrying(db, what, work, (error) => isBusy(error) || isConnectionLoss(error));
}

/** Thrown inside {@link transact} to undo it and answer `false`; see {@link transactIf}. */
class NotAllowed extends Error {}

/** Gives up the running transaction of {@link transactIf}: nothing is written. */
export function notAllowed(): never {
  throw new NotAllowed("not allowed");
}

/** As {@link transact}, but a call of {@link notAllowed} rolls back and gives undefined. */
export async function transactIf<T>(
  db: Knex,
  what: string,
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await transact(db, what, (trx) =>
      work(trx).catch((error: unknown) => {
        if (error instanceof NotAllowed) throw new BaremetalError("Conflict", "not allowed", { cause: error });
        throw error;
      }),
    );
  } catch (error) {
    if (error instanceof BaremetalError && error.cause instanceof NotAllowed) return undefined;
    throw error;
  }
}
