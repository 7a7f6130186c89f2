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

  /** Bytes of an element, by number: up to uint64, the fourteen below a byte, the last three. */
  private static final int[] ITEM_SIZES = {
    1, 1, 2, 4, 8, 2, 4, 8, 4, 8, 16, 1, 1, 1, 4, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 4, 8, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4
  };

  private static final Map<Integer, String> FILE_FORMATS =
      Map.of(0, "unknown", 1, "torch_save", 2, "safetensors", 3, "archive", 4, "mixed");
  private static final Map<Integer, String> CHECKSUM_KINDS = Map.of(1, "xxh3", 2, "crc32");

  private Names() {}

  /** 0 for a dtype without one: a named one, and one that this version does not know. */
  static int itemSize(int dtype) {
    return dtype < ITEM_SIZES.length ? ITEM_SIZES[dtype] : 0;
  }

  static String fileFormat(int number) {
    return known(FILE_FORMATS, number);
  }

  static String checksumKind(int number) {
    return known(CHECKSUM_KINDS, number);
  }

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
