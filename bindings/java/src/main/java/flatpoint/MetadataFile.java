package flatpoint;

import com.dynatrace.hash4j.hashing.HashStream64;
import com.dynatrace.hash4j.hashing.Hasher64;
import com.dynatrace.hash4j.hashing.Hashing;
import flatpoint.FlatpointException.Code;
import flatpoint.fb.Metadata;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.IntStream;

/**
 * What a metadata file says: its entries, sorted by FQN. Immutable; safe to use from any number of
 * threads. A mapping is given back with the last object that refers to it.
 */
public final class MetadataFile implements Iterable<Entry> {
  /** Positions [begin, end) of the sorted order. */
  public record Range(int begin, int end) {}

  private static final int TRAILER_SIZE = 24;
  private static final int MAX_PROBES = 32;
  private static final Hasher64 HASHER = Hashing.xxh3_64();

  private final ByteBuffer bytes;
  private final Columns columns;

  private MetadataFile(ByteBuffer bytes) {
    this.bytes = bytes.order(ByteOrder.LITTLE_ENDIAN);
    columns =
        new Columns(bytes.slice(0, bytes.limit() - TRAILER_SIZE).order(ByteOrder.LITTLE_ENDIAN));
  }

  /**
   * Maps a file, or the {@code .metadata.flatpoint} of a folder, and checks rules F1 to F8; nothing
   * beside it is looked at. The file must not be written in place while it is in use (publish by
   * rename); for folders where others do, read it and use {@link #of}.
   */
  public static MetadataFile open(Path path) {
    if (Files.isDirectory(path)) return openIn(path);
    if (Files.exists(path) && !Files.isRegularFile(path)) {
      throw new FlatpointException(Code.IO, path + ": not a regular file");
    }
    try (FileChannel channel = FileChannel.open(path)) {
      long size = channel.size();
      byte[] head = part(channel, 0, Math.min(8, size));
      refusePickle(path, head);
      checkFrame(
          head,
          part(channel, Math.max(0, size - TRAILER_SIZE), Math.min(TRAILER_SIZE, size)),
          size);
      return new MetadataFile(channel.map(FileChannel.MapMode.READ_ONLY, 0, size));
    } catch (NoSuchFileException e) {
      throw new FlatpointException(Code.NOT_FOUND, path + ": no such file");
    } catch (IOException e) {
      throw new FlatpointException(Code.IO, path + ": " + e.getMessage());
    }
  }

  private static MetadataFile openIn(Path folder) {
    Path file = folder.resolve(".metadata.flatpoint");
    Path pickle = folder.resolve(".metadata");
    if (Files.notExists(file) && Files.exists(pickle)) throw pickleError(pickle);
    return open(file);
  }

  /** A pickle of protocol 2 or later, which is what torch writes. */
  private static void refusePickle(Path path, byte[] head) {
    if (head.length < 2 || head[0] != (byte) 0x80 || head[1] < 2 || head[1] > 5) return;
    throw pickleError(path);
  }

  private static FlatpointException pickleError(Path path) {
    return new FlatpointException(
        Code.NOT_FLATPOINT,
        path + ": a pickle, no flatpoint file: run `flatpoint import " + path + "`");
  }

  /** The same for bytes in memory, which are borrowed. */
  public static MetadataFile of(byte[] bytes) {
    checkFrame(
        Arrays.copyOf(bytes, Math.min(8, bytes.length)),
        Arrays.copyOfRange(bytes, Math.max(0, bytes.length - TRAILER_SIZE), bytes.length),
        bytes.length);
    return new MetadataFile(ByteBuffer.wrap(bytes));
  }

  private static byte[] part(FileChannel channel, long begin, long length) throws IOException {
    ByteBuffer part = ByteBuffer.allocate((int) length);
    while (part.hasRemaining() && channel.read(part, begin + part.position()) >= 0) {}
    return part.array();
  }

  private static boolean hasText(byte[] bytes, int at, String text) {
    byte[] wanted = text.getBytes(StandardCharsets.US_ASCII);
    int end = at + wanted.length;
    return bytes.length >= end && Arrays.equals(bytes, at, end, wanted, 0, wanted.length);
  }

  /** Rules F1 to F4, from the first 8 bytes, the last 24 and the size of a file. */
  private static void checkFrame(byte[] head, byte[] tail, long size) {
    if (!hasText(head, 4, "FLPT")) {
      throw new FlatpointException(
          Code.NOT_FLATPOINT, "F1: not a flatpoint file: bytes 4 to 7 are not \"FLPT\"");
    }
    if (size > Integer.MAX_VALUE) {
      throw new FlatpointException(
          Code.TOO_LARGE, "F4: " + size + " bytes, the format ends below 2 GiB");
    }
    if (size < TRAILER_SIZE || !hasText(tail, 16, "FLPT.END")) {
      throw new FlatpointException(
          Code.TRUNCATED, "F2: truncated or appended: the file does not end with a trailer");
    }
    long body = size - TRAILER_SIZE;
    long stated = ByteBuffer.wrap(tail).order(ByteOrder.LITTLE_ENDIAN).getLong(8);
    if (stated != body) {
      throw new FlatpointException(
          Code.TRUNCATED,
          "F3: truncated or appended: %d bytes where the trailer says %s"
              .formatted(body, Long.toUnsignedString(stated)));
    }
    if (body % 8 != 0) {
      throw FlatpointException.corrupt("F3: FlatBuffer length " + body + " is not a multiple of 8");
    }
  }

  /** The columns as they lie in the file, for bulk work. */
  public Columns columns() {
    return columns;
  }

  /** Number of FQNs. */
  public int size() {
    return columns.entryCount();
  }

  /** The entry at a position of the sorted order. */
  public Entry entry(int position) {
    java.util.Objects.checkIndex(position, size());
    return new Entry(columns, position);
  }

  @Override
  public Iterator<Entry> iterator() {
    return IntStream.range(0, size()).mapToObj(this::entry).iterator();
  }

  /** state_dict_metadata[fqn]. O(1): at most 32 probes, then binary search. */
  public Optional<Entry> find(String fqn) {
    return find(Text.bytes(fqn));
  }

  /** The same, compared as bytes. */
  public Optional<Entry> find(byte[] fqn) {
    int position = position(fqn);
    return position < 0 ? Optional.empty() : Optional.of(entry(position));
  }

  /**
   * storage_data[MetadataIndex(fqn, offset)]; a null offset is that of bytes, an empty one that of
   * a scalar tensor.
   */
  public Optional<StorageInfo> findStorage(String fqn, long[] offset) {
    return findStorage(Text.bytes(fqn), offset);
  }

  /** The same, compared as bytes. */
  public Optional<StorageInfo> findStorage(byte[] fqn, long[] offset) {
    return find(fqn).flatMap(entry -> entry.findStorage(offset)).or(() -> findLoose(fqn, offset));
  }

  /** The positions of all FQNs that begin with a prefix; empty where there is none. */
  public Optional<Range> prefix(String prefix) {
    return prefix(Text.bytes(prefix));
  }

  /** The same, compared as bytes. */
  public Optional<Range> prefix(byte[] prefix) {
    int begin =
        Tensor.partitionPoint(0, size(), i -> Arrays.compareUnsigned(columns.name(i), prefix) < 0);
    int end =
        Tensor.partitionPoint(
            begin,
            size(),
            i -> {
              byte[] name = columns.name(i);
              int length = Math.min(name.length, prefix.length);
              return Arrays.compareUnsigned(name, 0, length, prefix, 0, prefix.length) <= 0;
            });
    return begin < end ? Optional.of(new Range(begin, end)) : Optional.empty();
  }

  /** relative_path of a data file, one of {@code columns().files.size()}. */
  public byte[] fileName(int file) {
    java.util.Objects.checkIndex(file, columns.files.size());
    byte[] name = columns.files.text(file);
    if (name == null) {
      throw FlatpointException.corrupt("V7: name of file " + file);
    }
    return name;
  }

  /** What was known of a data file; nothing of one that is out of range. */
  public FileFacts fileFacts(int file) {
    long length = file < columns.fileLengths.limit() ? columns.fileLengths.get(file) : -1;
    long time = file < columns.fileTimes.limit() ? columns.fileTimes.get(file) : 0;
    int format =
        file < columns.fileFormats.limit() ? Byte.toUnsignedInt(columns.fileFormats.get(file)) : 0;
    return new FileFacts(
        length == Columns.UNKNOWN ? OptionalLong.empty() : OptionalLong.of(length),
        time == 0 ? OptionalLong.empty() : OptionalLong.of(time),
        Names.fileFormat(format));
  }

  /** What {@link ChunkData#checksum} is: "xxh3", "crc32", "unknown:N"; empty: there are none. */
  public Optional<String> checksumKind() {
    return columns.checksumKind == 0
        ? Optional.empty()
        : Optional.of(Names.checksumKind(columns.checksumKind));
  }

  /** Metadata.version; empty is None. */
  public Optional<byte[]> version() {
    return Optional.ofNullable(columns.version);
  }

  /** Metadata.storage_meta; empty is None. */
  public Optional<StorageMeta> storageMeta() {
    return Optional.ofNullable(columns.storageMeta);
  }

  /** Whether the trailer's digest is that of the bytes (rule F9). Reads the whole file. */
  public boolean digestMatches() {
    int body = bytes.limit() - TRAILER_SIZE;
    HashStream64 digest = HASHER.hashStream();
    byte[] part = new byte[1 << 16];
    for (int at = 0; at < body; at += part.length) {
      int length = Math.min(part.length, body - at);
      bytes.get(at, part, 0, length);
      digest.putBytes(part, 0, length);
    }
    return digest.getAsLong() == bytes.getLong(body);
  }

  /**
   * The generated root table, for what this package does not wrap: orders, hints, planner paths,
   * opaque records. Its vectors lie inside the file; the numbers in them are whatever the file
   * says.
   */
  public Metadata root() {
    return Metadata.getRootAsMetadata(bytes.duplicate());
  }

  /** The position of an FQN; -1 where there is none. */
  private int position(byte[] fqn) {
    long hash = HASHER.hashBytesToLong(fqn);
    int high = (int) (hash >>> 32);
    int indexBits = 32 - Integer.numberOfLeadingZeros(size());
    int mask = columns.fqnSlots.limit() - 1;
    for (int probe = 0; probe < MAX_PROBES; ++probe) {
      int slot = columns.fqnSlots.get((int) hash + probe & mask);
      if (slot == 0) {
        return -1;
      }
      int position = (slot & (1 << indexBits) - 1) - 1;
      if (slot >>> indexBits == high >>> indexBits
          && position >= 0
          && position < size()
          && Arrays.equals(columns.name(position), fqn)) {
        return position;
      }
    }
    int position =
        Tensor.partitionPoint(0, size(), i -> Arrays.compareUnsigned(columns.name(i), fqn) < 0);
    return position < size() && Arrays.equals(columns.name(position), fqn) ? position : -1;
  }

  /** Storage information without a chunk: sorted by FQN, no offset first, then offset. */
  private Optional<StorageInfo> findLoose(byte[] fqn, long[] offset) {
    int count = columns.looseCount();
    int i = Tensor.partitionPoint(0, count, middle -> compareLoose(middle, fqn, offset) < 0);
    if (i == count || compareLoose(i, fqn, offset) != 0) {
      return Optional.empty();
    }
    int length = columns.looseStorage.getInt(i * Columns.LOOSE_STORAGE_SIZE + 12);
    return StorageInfo.at(columns, columns.chunkRows() + i, Integer.toUnsignedLong(length));
  }

  private int compareLoose(int i, byte[] fqn, long[] offset) {
    ByteBuffer rows = columns.looseStorage;
    int at = i * Columns.LOOSE_STORAGE_SIZE;
    byte[] name = columns.fqn(rows.getInt(at), rows.getInt(at + 4), "loose storage " + i);
    long begin = Integer.toUnsignedLong(rows.getInt(at + 8));
    boolean hasOffset = rows.get(at + 16) != 0;
    int ndim = Byte.toUnsignedInt(rows.get(at + 17));
    if (!TableReader.inRange(begin, ndim, columns.sizes.limit())) {
      throw FlatpointException.corrupt("E2: offset of loose storage " + i);
    }
    int order = Arrays.compareUnsigned(name, fqn);
    if (order == 0) {
      order = Boolean.compare(hasOffset, offset != null);
    }
    if (order != 0 || offset == null) {
      return order;
    }
    long[] own = new long[ndim];
    columns.sizes.get((int) begin, own);
    return Arrays.compare(own, offset);
  }
}
