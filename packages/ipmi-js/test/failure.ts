// What a promise was rejected with, as the error the package promises to throw.
import { IpmiError } from "../src/errors.ts";

/** The `IpmiError` of `work`; fails the test if it resolves or throws anything else. */
export async function failure(work: Promise<unknown>): Promise<IpmiError> {
  let value: unknown;
  try {
    value = await work;
  } catch (error) {
    if (error instanceof IpmiError) return error;
    throw error;
  }
  throw new Error(`expected an IpmiError, got the value ${JSON.stringify(value)}`);
}

/** Polls `probe` until it is true; fails after `deadlineMs` naming `what`. */
export async function eventually(
  what: string,
  probe: () => boolean | Promise<boolean>,
  deadlineMs = 5000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await probe())) {
    if (performance.now() > end) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
