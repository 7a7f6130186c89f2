/** What kind of thing went wrong; the same in every flatpoint reader. */
export type Code =
  | "not_found"
  | "io"
  | "not_flatpoint"
  | "truncated"
  | "version"
  | "corrupt"
  | "too_large"
  /** A box outside its tensor. */
  | "invalid_argument"
  /** Where a chunk's elements begin is not known. */
  | "not_plain"
  /** No chunk holds some of the elements. */
  | "holes"
  /** A data file is not the one that the metadata speaks of. */
  | "changed"
  | "checksum"
  /** The path of a data file leaves the checkpoint's folder. */
  | "outside";

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
