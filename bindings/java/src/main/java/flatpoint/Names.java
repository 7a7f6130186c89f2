package flatpoint;

import flatpoint.fb.Layout;
import flatpoint.fb.MemoryFormat;
import flatpoint.fb.ScalarType;
import java.lang.reflect.Field;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** torch's names for the numbers of the schema, whose own names are torch's but for capitals. */
final class Names {
  /** The number that says: the name lies in type_names. */
  private static final int OTHER = 255;

  private static final Map<Integer, String> DTYPES = lowered(ScalarType.class);
  private static final Map<Integer, String> LAYOUTS = lowered(Layout.class);
  private static final Map<Integer, String> MEMORY_FORMATS =
      Map.of(
          MemoryFormat.Contiguous, "contiguous_format",
          MemoryFormat.Channels_last, "channels_last",
          MemoryFormat.Preserve, "preserve_format");

  static {
    LAYOUTS.put(Layout.Mkldnn, "_mkldnn");
  }

  private Names() {}

  /** The constants of a generated class, but Other. */
  private static Map<Integer, String> lowered(Class<?> generated) {
    Map<Integer, String> names = new HashMap<>();
    try {
      for (Field field : generated.getFields()) {
        names.put(field.getInt(null), field.getName().toLowerCase(Locale.ROOT));
      }
    } catch (IllegalAccessException e) {
      throw new AssertionError("the constants are public", e);
    }
    names.remove(OTHER);
    return names;
  }

  static String dtype(int number, TextColumn names, int name) {
    return number == OTHER ? other(names, name) : known(DTYPES, number);
  }

  static String layout(int number, TextColumn names, int name) {
    return number == OTHER ? other(names, name) : known(LAYOUTS, number);
  }

  static String memoryFormat(int number) {
    return known(MEMORY_FORMATS, number);
  }

  private static String known(Map<Integer, String> names, int number) {
    return names.getOrDefault(number, "unknown:" + number);
  }

  private static String other(TextColumn names, int name) {
    byte[] text = names.textOrNothing(name);
    return text.length > 0 ? Text.of(text) : "unknown:" + OTHER;
  }
}
