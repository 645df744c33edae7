// What a simulated command comes to: a response or a refusal.

/** A value to encode, or the completion code of a refusal. */
export type Outcome<Response> = { readonly response: Response } | { readonly refusal: number };

/** The outcome of a command without response data. */
export function ofCode(code: number): Outcome<void> {
  return code === 0 ? { response: undefined } : { refusal: code };
}

/** The outcome of a command that may have nothing to say about what it was asked for. */
export function orRefusal<Response>(response: Response | undefined, refusal: number): Outcome<Response> {
  return response === undefined ? { refusal } : { response };
}
