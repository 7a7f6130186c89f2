package flatpoint;

import java.nio.ByteBuffer;
import java.nio.IntBuffer;

/** Many texts in one blob: text i is the bytes from the end of text i - 1 to its own end. */
public final class TextColumn {
  private final ByteBuffer bytes;
  private final IntBuffer ends;

  TextColumn(ByteBuffer bytes, IntBuffer ends) {
    this.bytes = bytes;
    this.ends = ends;
  }

  public int size() {
    return ends.limit();
  }

  /** Text i; null where it lies nowhere. */
  public byte[] text(long i) {
    if (i >= ends.limit()) {
      return null;
    }
    long begin = i == 0 ? 0 : Integer.toUnsignedLong(ends.get((int) i - 1));
    long end = Integer.toUnsignedLong(ends.get((int) i));
    if (begin > end || end > bytes.limit()) {
      return null;
    }
    byte[] text = new byte[(int) (end - begin)];
    bytes.get((int) begin, text);
    return text;
  }

  /** The same, empty where it lies nowhere. */
  byte[] textOrNothing(long i) {
    byte[] text = text(i);
    return text != null ? text : new byte[0];
  }
}
