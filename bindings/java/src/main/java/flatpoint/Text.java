package flatpoint;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Texts of a file: UTF-8 with Python's lone surrogates, which Java's strings can hold. */
public final class Text {
  private Text() {}

  /** As a string, lone surrogates kept; a byte that is no UTF-8 becomes U+FFFD. */
  public static String of(byte[] bytes) {
    StringBuilder text = new StringBuilder(bytes.length);
    for (int at = 0; at < bytes.length; ) {
      int length = length(bytes, at);
      int value = length == 0 ? -1 : value(bytes, at, length);
      text.appendCodePoint(value < 0 ? 0xFFFD : value);
      at += value < 0 ? 1 : length;
    }
    return text.toString();
  }

  /** As the file keeps it. */
  public static byte[] bytes(String text) {
    ByteArrayOutputStream out = new ByteArrayOutputStream(text.length());
    text.codePoints()
        .forEach(
            value -> {
              if (value >= 0xD800 && value <= 0xDFFF) {
                out.write(0xE0 | value >> 12);
                out.write(0x80 | value >> 6 & 0x3F);
                out.write(0x80 | value & 0x3F);
              } else {
                out.writeBytes(Character.toString(value).getBytes(StandardCharsets.UTF_8));
              }
            });
    return out.toByteArray();
  }

  /** Bytes that the sequence at a place claims; 0 where none begins there or it is cut short. */
  private static int length(byte[] bytes, int at) {
    int first = bytes[at] & 0xFF;
    if (first < 0x80) {
      return 1;
    }
    int length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    return first < 0xC2 || first > 0xF4 || at + length > bytes.length ? 0 : length;
  }

  /** The code point of a sequence; -1 where it is not well-formed. */
  private static int value(byte[] bytes, int at, int length) {
    if (length == 1) {
      return bytes[at];
    }
    int value = bytes[at] & 0x7F >> length;
    for (int i = 1; i < length; ++i) {
      if ((bytes[at + i] & 0xC0) != 0x80) {
        return -1;
      }
      value = value << 6 | bytes[at + i] & 0x3F;
    }
    int least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    return value < least || value > Character.MAX_CODE_POINT ? -1 : value;
  }
}
