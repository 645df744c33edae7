// The one error that means: the command line is wrong.

/** Exit status 2. The message says what is wrong and how to write it. */
export class UsageError extends Error {}
