package flatpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * FlatBuffers tables, checked before anything in them is trusted: rules F5 and F6. Java's runtime
 * has no verifier, so each table of the schema is listed with what its fields are, and read by one
 * loop.
 */
final class TableReader {
  enum Kind {
    NUMBER,
    VECTOR,
    TABLE
  }

  /** A field: the size of its number or of a vector's elements, and their alignment. */
  record Field(
      String name,
      Kind kind,
      int size,
      int alignment,
      long fallback,
      boolean required,
      List<Field> fields) {
    static Field number(String name, int size) {
      return number(name, size, 0);
    }

    static Field number(String name, int size, long fallback) {
      return new Field(name, Kind.NUMBER, size, size, fallback, false, List.of());
    }

    static Field vector(String name, int size) {
      return structs(name, size, size);
    }

    static Field structs(String name, int size, int alignment) {
      return new Field(name, Kind.VECTOR, size, alignment, 0, false, List.of());
    }

    static Field table(String name, List<Field> fields) {
      return new Field(name, Kind.TABLE, 0, 0, 0, false, fields);
    }

    Field needed() {
      return new Field(name, kind, size, alignment, fallback, true, fields);
    }
  }

  /** The fields of a table by name. */
  static final class Values {
    private final Map<String, Object> values = new HashMap<>();

    boolean has(String name) {
      return values.get(name) != null;
    }

    long number(String name) {
      return (Long) values.get(name);
    }

    /** The bytes of a vector, little-endian; none where it is absent. */
    ByteBuffer bytes(String name) {
      ByteBuffer found = (ByteBuffer) values.get(name);
      return found != null ? found : ByteBuffer.allocate(0);
    }

    Values table(String name) {
      return (Values) values.get(name);
    }
  }

  private final ByteBuffer buffer;
  private final long size;

  TableReader(ByteBuffer flatbuffer) {
    buffer = flatbuffer;
    size = flatbuffer.limit();
  }

  /** Whether [begin, begin + count) lies inside [0, size). No number here reaches 2^62. */
  static boolean inRange(long begin, long count, long size) {
    return begin >= 0 && count >= 0 && begin + count <= size;
  }

  /** The number of that many bytes at a position: unsigned, but for 8 bytes. */
  private long number(int bytes, long at) {
    if (!inRange(at, bytes, size) || at % bytes != 0) {
      throw FlatpointException.corrupt(
          "F5: an offset points outside the file or to a misaligned number");
    }
    return switch (bytes) {
      case 1 -> Byte.toUnsignedLong(buffer.get((int) at));
      case 2 -> Short.toUnsignedLong(buffer.getShort((int) at));
      case 4 -> Integer.toUnsignedLong(buffer.getInt((int) at));
      default -> buffer.getLong((int) at);
    };
  }

  /** The position that the offset at a position refers to. */
  long follow(long at) {
    long distance = number(4, at);
    if (distance == 0 || !inRange(at, distance, size)) {
      throw FlatpointException.corrupt("F5: an offset points outside the file or to itself");
    }
    return at + distance;
  }

  private ByteBuffer vector(long at, Field field) {
    long bytes = number(4, at) * field.size();
    long begin = at + 4;
    if (!inRange(begin, bytes, size)) {
      throw FlatpointException.corrupt("F5: column " + field.name() + " ends outside the file");
    }
    if (begin % field.alignment() != 0) {
      throw FlatpointException.corrupt(
          "F6: column " + field.name() + " is not aligned to its elements");
    }
    return buffer.slice((int) begin, (int) bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The fields of the table at a position. */
  Values read(long at, List<Field> fields) {
    long vtable = at - (int) number(4, at);
    long vtableSize = number(2, vtable);
    if (vtableSize % 2 != 0 || !inRange(vtable, vtableSize, size)) {
      throw FlatpointException.corrupt("F5: a vtable ends outside the file");
    }
    Values values = new Values();
    for (int i = 0; i < fields.size(); ++i) {
      int slot = 4 + 2 * i;
      long offset = slot < vtableSize ? number(2, vtable + slot) : 0;
      values.values.put(
          fields.get(i).name(),
          offset == 0 ? absent(fields.get(i)) : present(fields.get(i), at + offset));
    }
    return values;
  }

  private static Object absent(Field field) {
    if (field.required()) {
      throw FlatpointException.corrupt("F5: column " + field.name() + " is missing");
    }
    return field.kind() == Kind.NUMBER ? field.fallback() : null;
  }

  private Object present(Field field, long at) {
    return switch (field.kind()) {
      case NUMBER -> number(field.size(), at);
      case VECTOR -> vector(follow(at), field);
      case TABLE -> read(follow(at), field.fields());
    };
  }
}
