/** What kind of thing went wrong; the same in every flatpoint reader. */
export type Code = "not_found" | "io" | "not_flatpoint" | "truncated" | "version" | "corrupt" | "too_large";

/** What every call of this package throws: a code for programs, a message for people. */
export class FlatpointError extends Error {
  override readonly name = "FlatpointError";

  constructor(
    readonly code: Code,
    message: string,
  ) {
    super(message);
  }
}

export function corrupt(message: string): FlatpointError {
  return new FlatpointError("corrupt", message);
}
