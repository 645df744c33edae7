// The typed error of a promise that must fail; a promise that resolves, or fails otherwise, is a failed test.
import { expect } from "chai";
import { IscsiError, ScsiError } from "node-iscsi";

/** Attach it before anything is awaited. */
export async function errorOf(promise: Promise<unknown>): Promise<IscsiError> {
  const error = await rejectionOf(promise);
  expect(error).to.be.instanceOf(IscsiError);
  return error as IscsiError;
}

/** As {@link errorOf}, for a command that the target must refuse. */
export async function scsiErrorOf(promise: Promise<unknown>): Promise<ScsiError> {
  const error = await rejectionOf(promise);
  expect(error).to.be.instanceOf(ScsiError);
  return error as ScsiError;
}

/** `undefined` when the promise fulfils. */
function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (cause) => cause,
  );
}
