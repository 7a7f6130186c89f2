package flatpoint;

import java.util.Optional;
import java.util.OptionalLong;

/** ChunkStorageMetadata: one chunk of a tensor. Immutable. */
public final class Chunk {
  private final Columns columns;
  private final Entry.Row row;
  private final Tensor tensor;
  private final int cell;

  Chunk(Columns columns, Entry.Row row, Tensor tensor, int cell) {
    this.columns = columns;
    this.row = row;
    this.tensor = tensor;
    this.cell = cell;
  }

  public long[] offsets() {
    long[] offsets = new long[tensor.ndim()];
    for (int d = 0; d < offsets.length; ++d) {
      offsets[d] = tensor.interval(cell, d).begin();
    }
    return offsets;
  }

  public long[] sizes() {
    long[] sizes = new long[tensor.ndim()];
    for (int d = 0; d < sizes.length; ++d) {
      sizes[d] = tensor.interval(cell, d).size();
    }
    return sizes;
  }

  /** Of the chunk columns. */
  public int row() {
    return (int) row.chunkBegin() + cell;
  }

  /** Where the chunk lies; empty without storage information. */
  public Optional<StorageInfo> storage() {
    return StorageInfo.at(columns, row(), row.lengthBegin() + (row.lengthsDiffer() ? cell : 0));
  }

  Tensor.Interval interval(int d) {
    return tensor.interval(cell, d);
  }

  String tensorName() {
    return tensor.name();
  }

  /**
   * Its elements inside that range; empty where the file does not tell, or they are not plain. Rule
   * E7.
   */
  public Optional<ChunkData> data() {
    int begins = columns.chunkDataBegins.limit();
    int begin =
        begins == 0 ? Columns.NO_DATA_BEGIN : columns.chunkDataBegins.get(begins == 1 ? 0 : row());
    if (begin == Columns.NO_DATA_BEGIN || tensor.itemSize() == 0) {
      return Optional.empty();
    }
    return storage().map(storage -> data(storage, Integer.toUnsignedLong(begin)));
  }

  private ChunkData data(StorageInfo storage, long begin) {
    long length = RangeLister.byteCount(sizes(), tensor.itemSize());
    long end =
        columns.fileLengths.limit() == 0
            ? Columns.UNKNOWN
            : columns.fileLengths.get(storage.file());
    boolean fits =
        length != RangeLister.TOO_MANY
            && unsignedInRange(begin, length, storage.length())
            && unsignedInRange(storage.byteOffset(), storage.length(), end);
    boolean isPlain =
        storage.transformDescriptors() == null || storage.transformDescriptors().isEmpty();
    if (!fits || !isPlain) {
      throw FlatpointException.corrupt("E7: data of row " + row());
    }
    long checksum =
        columns.chunkChecksums.limit() == 0 ? Columns.UNKNOWN : columns.chunkChecksums.get(row());
    return new ChunkData(
        storage.file(),
        storage.byteOffset() + begin,
        length,
        checksum == Columns.UNKNOWN ? OptionalLong.empty() : OptionalLong.of(checksum));
  }

  /** Whether [begin, begin + count) lies inside [0, size), all unsigned. */
  private static boolean unsignedInRange(long begin, long count, long size) {
    return Long.compareUnsigned(count, size) <= 0 && Long.compareUnsigned(begin, size - count) <= 0;
  }

  /** The same, an error where it is not known. */
  ChunkData knownData() {
    return data()
        .orElseThrow(
            () ->
                storage().isEmpty()
                    ? new FlatpointException(
                        FlatpointException.Code.HOLES,
                        "%s: row %d has no storage".formatted(tensor.name(), row()))
                    : new FlatpointException(
                        FlatpointException.Code.NOT_PLAIN,
                        ("%s: where the elements of row %d begin is not known")
                            .formatted(tensor.name(), row())));
  }
}
