package flatpoint;

import java.util.List;

/** DCP's StorageMeta, its texts as bytes. Null is None. */
public record StorageMeta(byte[] checkpointId, byte[] saveId, byte[] loadId, List<byte[]> modules) {
  static StorageMeta of(TableReader.Values fields) {
    TextColumn texts =
        new TextColumn(fields.bytes("modules"), fields.bytes("module_ends").asIntBuffer());
    List<byte[]> modules = null;
    if (fields.number("has_modules") != 0) {
      modules =
          java.util.stream.IntStream.range(0, texts.size()).mapToObj(texts::textOrNothing).toList();
    }
    return new StorageMeta(
        bytes(fields, "checkpoint_id"),
        bytes(fields, "save_id"),
        bytes(fields, "load_id"),
        modules);
  }

  static byte[] bytes(TableReader.Values fields, String name) {
    if (!fields.has(name)) {
      return null;
    }
    byte[] bytes = new byte[fields.bytes(name).limit()];
    fields.bytes(name).get(0, bytes);
    return bytes;
  }
}
