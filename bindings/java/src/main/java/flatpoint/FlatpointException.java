package flatpoint;

/** What every call of this package throws: a code for programs, a message for people. */
public final class FlatpointException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** What kind of thing went wrong; the names are those of every flatpoint reader. */
  public enum Code {
    NOT_FOUND,
    IO,
    NOT_FLATPOINT,
    TRUNCATED,
    VERSION,
    CORRUPT,
    TOO_LARGE,
    /** A box outside its tensor. */
    INVALID_ARGUMENT,
    /** Where a chunk's elements begin is not known. */
    NOT_PLAIN,
    /** No chunk holds some of the elements. */
    HOLES,
    /** A data file is not the one that the metadata speaks of. */
    CHANGED,
    CHECKSUM,
    /** The path of a data file leaves the checkpoint's folder. */
    OUTSIDE;

    /** The stable, lower-case name. */
    @Override
    public String toString() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  private final Code code;

  FlatpointException(Code code, String message) {
    super(message);
    this.code = code;
  }

  static FlatpointException corrupt(String message) {
    return new FlatpointException(Code.CORRUPT, message);
  }

  public Code code() {
    return code;
  }
}
