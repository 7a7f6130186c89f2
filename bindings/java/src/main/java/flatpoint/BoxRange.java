package flatpoint;

/**
 * {@code length} bytes from {@code byteOffset} of a data file on are those of the box from {@code
 * boxOffset} on, where the box lies row-major without gaps.
 */
public record BoxRange(int file, long byteOffset, long length, long boxOffset) {}
