// Questions to whoever sits at the terminal: a password without echo, a yes or no.
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { UsageError } from "./usage-error.ts";

/** Whether somebody is there to answer. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

export interface AskOptions {
  /** What is typed is not shown. Default false. */
  readonly isSecret?: boolean;
  readonly signal: AbortSignal;
}

/** Asks on stderr and reads a line of the terminal. Rejects with the signal's reason; Ctrl-C is a SIGINT as ever. @throws UsageError at Ctrl-D */
export async function ask(question: string, { isSecret = false, signal }: AskOptions): Promise<string> {
  signal.throwIfAborted();
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({
    input: process.stdin,
    output: isSecret ? silent : process.stderr,
    // With a terminal of its own it switches the echo off.
    terminal: isSecret,
    historySize: 0,
  });
  // In its raw mode the terminal sends no signals: the interface reads the character and says so.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const ended = new Promise<never>((_, reject) => {
    lines.once("close", () => reject(new UsageError("the question was not answered")));
  });
  try {
    if (isSecret) process.stderr.write(question);
    return await Promise.race([lines.question(isSecret ? "" : question, { signal }), ended]);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    ended.catch(() => {});
    lines.close();
    if (isSecret) process.stderr.write("\n");
  }
}
