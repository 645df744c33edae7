// iSCSI names (RFC 7143 4.2.7): what every name must satisfy before it may go into login or text keys.
import { type ErrorContext, InvalidArgumentError } from "./errors.ts";

/** RFC 7143 4.2.7.1: 223 bytes of UTF-8. */
const MAX_NAME_BYTES = 223;

/**
 * Refuses what would break the text format or can name nothing. The form (iqn., eui., naa.) is left to the target: some sites use others.
 * @throws InvalidArgumentError
 */
export function checkIscsiName(name: string, whose: "initiatorName" | "targetName", context: ErrorContext): void {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > MAX_NAME_BYTES)
    throw new InvalidArgumentError(`${whose} has ${bytes} bytes; 1 to ${MAX_NAME_BYTES} are allowed`, context);
  // A NUL would end the value and start a key of its own; white space and control characters are in no iSCSI name.
  if (/[\s\p{Cc}]/u.test(name))
    throw new InvalidArgumentError(
      `${whose} holds white space or control characters; give it as the target shows it`,
      context,
    );
}
