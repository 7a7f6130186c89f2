package flatpoint;

import static flatpoint.TableReader.Field.number;
import static flatpoint.TableReader.Field.structs;
import static flatpoint.TableReader.Field.table;
import static flatpoint.TableReader.Field.vector;

import flatpoint.TableReader.Field;
import flatpoint.TableReader.Values;
import java.nio.ByteBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import java.util.List;

/**
 * The columns that a loader needs as buffers: the raw form that bulk work reads. Absent columns are
 * empty, values are unchecked. Rules F5 to F8.
 */
public final class Columns {
  static final int FORMAT_MAJOR = 1;

  /** {@code chunkFiles} of a row without storage information. */
  static final int NO_FILE = -1;

  /** What says "unknown" in {@code chunkDataBegins}. */
  static final int NO_DATA_BEGIN = -1;

  /** The same in {@code chunkChecksums} and {@code fileLengths}; in {@code fileTimes} 0 does. */
  static final long UNKNOWN = -1;

  static final int ENTRY_SIZE = 48;
  static final int LOOSE_STORAGE_SIZE = 20;
  static final int TRANSFORM_LIST_SIZE = 8;

  // Every table of schema/metadata.fbs, fields in order.
  static final List<Field> STORAGE_META =
      List.of(
          vector("checkpoint_id", 1),
          number("checkpoint_id_type", 1),
          vector("save_id", 1),
          vector("load_id", 1),
          number("has_modules", 1),
          vector("modules", 1),
          vector("module_ends", 4));
  static final List<Field> SOURCE =
      List.of(
          number("length", 8),
          number("digest", 8),
          number("modified_ns", 8),
          number("modified_recently", 1),
          vector("etag", 1),
          number("kind", 1));
  static final List<Field> METADATA =
      List.of(
          number("format_major", 2),
          number("format_minor", 2),
          number("fragment_rank", 4, -1),
          structs("entries", ENTRY_SIZE, 4).needed(),
          vector("fqns", 1).needed(),
          vector("fqn_slots", 4).needed(),
          vector("fqn_order", 4),
          vector("sizes", 8),
          vector("boxes", 8),
          vector("chunk_order", 4),
          vector("chunk_files", 4),
          vector("chunk_byte_offsets", 8),
          vector("chunk_lengths", 8),
          vector("chunk_transforms", 2),
          vector("file_names", 1),
          vector("file_name_ends", 4),
          vector("type_names", 1),
          vector("type_name_ends", 4),
          vector("transform_names", 1),
          vector("transform_name_ends", 4),
          structs("transform_lists", TRANSFORM_LIST_SIZE, 4),
          number("has_storage_data", 1),
          vector("storage_order", 4),
          structs("index_hints", 16, 8),
          structs("loose_storage", LOOSE_STORAGE_SIZE, 4),
          number("has_planner_data", 1),
          vector("fqn_paths", 2),
          structs("path_elements", 4, 2),
          vector("path_ends", 4),
          vector("planner_order", 4),
          table("storage_meta", STORAGE_META),
          vector("version", 1),
          structs("opaque", 24, 4),
          vector("opaque_names", 1),
          vector("opaque_pickles", 1),
          vector("metadata_class", 1),
          vector("storage_info_class", 1),
          table("source", SOURCE),
          vector("chunk_data_begins", 4),
          number("checksum_kind", 1),
          vector("chunk_checksums", 8),
          vector("file_lengths", 8),
          vector("file_times", 8),
          vector("file_formats", 1));

  public final int formatMajor;
  public final int formatMinor;
  public final int fragmentRank;

  /** Rows of 48 bytes, the struct Entry of the schema. */
  public final ByteBuffer entries;

  public final ByteBuffer fqns;
  public final IntBuffer fqnSlots;
  public final LongBuffer sizes;
  public final LongBuffer boxes;
  public final IntBuffer chunkOrder;
  public final IntBuffer chunkFiles;
  public final LongBuffer chunkByteOffsets;
  public final LongBuffer chunkLengths;
  public final ShortBuffer chunkTransforms;
  public final TextColumn files;
  public final TextColumn typeNames;
  public final TextColumn transformNames;

  /** Rows of 8 bytes, the struct TransformList of the schema. */
  public final ByteBuffer transformLists;

  /** Rows of 20 bytes, the struct LooseStorage of the schema. */
  public final ByteBuffer looseStorage;

  /** One value for all rows, or one per row; unsigned. */
  public final IntBuffer chunkDataBegins;

  public final int checksumKind;
  public final LongBuffer chunkChecksums;
  public final LongBuffer fileLengths;
  public final LongBuffer fileTimes;
  public final ByteBuffer fileFormats;

  final byte[] version;
  final StorageMeta storageMeta;

  Columns(ByteBuffer flatbuffer) {
    TableReader reader = new TableReader(flatbuffer);
    long root = reader.follow(0);
    // The version comes first: a newer major may have a shape that today's checks refuse.
    Values head = reader.read(root, METADATA.subList(0, 2));
    formatMajor = (int) head.number("format_major");
    formatMinor = (int) head.number("format_minor");
    if (formatMajor != FORMAT_MAJOR) {
      throw new FlatpointException(
          FlatpointException.Code.VERSION,
          "F7: format version %d.%d; this reader knows %d.x"
              .formatted(formatMajor, formatMinor, FORMAT_MAJOR));
    }
    Values fields = reader.read(root, METADATA);
    fragmentRank = (int) fields.number("fragment_rank");
    entries = fields.bytes("entries");
    fqns = fields.bytes("fqns");
    fqnSlots = fields.bytes("fqn_slots").asIntBuffer();
    sizes = fields.bytes("sizes").asLongBuffer();
    boxes = fields.bytes("boxes").asLongBuffer();
    chunkOrder = fields.bytes("chunk_order").asIntBuffer();
    chunkFiles = fields.bytes("chunk_files").asIntBuffer();
    chunkByteOffsets = fields.bytes("chunk_byte_offsets").asLongBuffer();
    chunkLengths = fields.bytes("chunk_lengths").asLongBuffer();
    chunkTransforms = fields.bytes("chunk_transforms").asShortBuffer();
    files = texts(fields, "file_names", "file_name_ends");
    typeNames = texts(fields, "type_names", "type_name_ends");
    transformNames = texts(fields, "transform_names", "transform_name_ends");
    transformLists = fields.bytes("transform_lists");
    looseStorage = fields.bytes("loose_storage");
    chunkDataBegins = fields.bytes("chunk_data_begins").asIntBuffer();
    checksumKind = (int) fields.number("checksum_kind");
    chunkChecksums = fields.bytes("chunk_checksums").asLongBuffer();
    fileLengths = fields.bytes("file_lengths").asLongBuffer();
    fileTimes = fields.bytes("file_times").asLongBuffer();
    fileFormats = fields.bytes("file_formats");
    version = StorageMeta.bytes(fields, "version");
    storageMeta = fields.has("storage_meta") ? StorageMeta.of(fields.table("storage_meta")) : null;
    String wrong = mismatch(fields);
    if (wrong != null) {
      throw FlatpointException.corrupt("F8: " + wrong);
    }
  }

  private static TextColumn texts(Values fields, String bytes, String ends) {
    return new TextColumn(fields.bytes(bytes), fields.bytes(ends).asIntBuffer());
  }

  /** Rule F8: columns that run beside each other have the same length. Null where they do. */
  private String mismatch(Values fields) {
    int slots = fqnSlots.limit();
    int rows = chunkFiles.limit();
    if (Integer.bitCount(slots) != 1 || slots < 2 * entryCount()) {
      return "fqn_slots is not a power of two of at least twice the entries";
    }
    if (!absentOr(fields.bytes("fqn_order").limit() / 4, entryCount())) {
      return "fqn_order has not one value per entry";
    }
    if (!absentOr(fields.bytes("fqn_paths").limit() / 2, entryCount())) {
      return "fqn_paths has not one value per entry";
    }
    if (fields.bytes("planner_order").limit() / 4 > entryCount()) {
      return "planner_order has more values than entries";
    }
    if (looseCount() > rows) {
      return "loose_storage has more rows than chunk_files";
    }
    if (!absentOr(chunkByteOffsets.limit(), rows)) {
      return "chunk_byte_offsets has not one value per row of chunk_files";
    }
    if (!absentOr(chunkTransforms.limit(), rows)) {
      return "chunk_transforms has not one value per row of chunk_files";
    }
    if (chunkDataBegins.limit() != 1 && !absentOr(chunkDataBegins.limit(), rows)) {
      return "chunk_data_begins has neither one value nor one per row of chunk_files";
    }
    if (!absentOr(chunkChecksums.limit(), rows)) {
      return "chunk_checksums has not one value per row of chunk_files";
    }
    if (!absentOr(fileLengths.limit(), files.size())
        || !absentOr(fileTimes.limit(), files.size())
        || !absentOr(fileFormats.limit(), files.size())) {
      return "file_lengths, file_times or file_formats has not one value per data file";
    }
    if (fields.bytes("storage_order").limit() / 4 > rows) {
      return "storage_order has more values than rows of chunk_files";
    }
    return null;
  }

  private static boolean absentOr(int length, int wanted) {
    return length == 0 || length == wanted;
  }

  public int entryCount() {
    return entries.limit() / ENTRY_SIZE;
  }

  int looseCount() {
    return looseStorage.limit() / LOOSE_STORAGE_SIZE;
  }

  /** Rows of the chunk columns that belong to chunks; the rest belong to loose storage. */
  public int chunkRows() {
    return chunkFiles.limit() - looseCount();
  }

  /** The name of an entry. */
  byte[] name(int position) {
    int at = position * ENTRY_SIZE;
    return fqn(entries.getInt(at), entries.getInt(at + 4), "entry " + position);
  }

  /** Rule E1. */
  byte[] fqn(int begin, int length, String what) {
    long from = Integer.toUnsignedLong(begin);
    long count = Integer.toUnsignedLong(length);
    if (!TableReader.inRange(from, count, fqns.limit())) {
      throw FlatpointException.corrupt("E1: FQN of " + what);
    }
    byte[] name = new byte[length];
    fqns.get(begin, name);
    return name;
  }
}
