package flatpoint;

import flatpoint.fb.StorageType;
import java.util.Optional;

/** One FQN of state_dict_metadata. Immutable. */
public final class Entry {
  /** The struct Entry of the schema. Members that are uint32 are below 2^32 here. */
  record Row(
      long sizeBegin,
      long boxBegin,
      long chunkBegin,
      long chunkCount,
      long orderBegin,
      long lengthBegin,
      int dtype,
      int layout,
      int memoryFormat,
      boolean requiresGrad,
      boolean pinMemory,
      int strides,
      int dtypeName,
      int layoutName,
      int ndim,
      int storageType,
      int chunkLayout,
      boolean reordered,
      boolean lengthsDiffer) {

    static Row at(Columns columns, int position) {
      java.nio.ByteBuffer bytes = columns.entries;
      int at = position * Columns.ENTRY_SIZE;
      java.util.function.IntToLongFunction u32 =
          i -> Integer.toUnsignedLong(bytes.getInt(at + 4 * i));
      java.util.function.IntUnaryOperator u8 = i -> Byte.toUnsignedInt(bytes.get(at + i));
      return new Row(
          u32.applyAsLong(2),
          u32.applyAsLong(3),
          u32.applyAsLong(4),
          u32.applyAsLong(5),
          u32.applyAsLong(6),
          u32.applyAsLong(7),
          u8.applyAsInt(32),
          u8.applyAsInt(33),
          u8.applyAsInt(34),
          u8.applyAsInt(35) != 0,
          u8.applyAsInt(36) != 0,
          u8.applyAsInt(37),
          Short.toUnsignedInt(bytes.getShort(at + 38)),
          Short.toUnsignedInt(bytes.getShort(at + 40)),
          u8.applyAsInt(42),
          u8.applyAsInt(43),
          u8.applyAsInt(44),
          u8.applyAsInt(45) != 0,
          u8.applyAsInt(46) != 0);
    }
  }

  private final Columns columns;
  private final Row row;
  private final int position;
  private final byte[] fqn;

  /** Rules E1 and E4. */
  Entry(Columns columns, int position) {
    this.columns = columns;
    this.position = position;
    fqn = columns.name(position);
    row = Row.at(columns, position);
    if (!TableReader.inRange(row.chunkBegin(), row.chunkCount(), columns.chunkRows())) {
      throw FlatpointException.corrupt("E4: rows of entry " + position);
    }
  }

  /** UTF-8 with Python's surrogates kept. */
  public byte[] fqn() {
    return fqn.clone();
  }

  /** The FQN as a string; what is no UTF-8 becomes U+FFFD. */
  public String name() {
    return Text.of(fqn);
  }

  /** In the sorted order. */
  public int position() {
    return position;
  }

  public boolean isTensor() {
    return row.storageType() == StorageType.Tensor;
  }

  public boolean isBytes() {
    return row.storageType() == StorageType.Bytes;
  }

  /** The tensor; empty for bytes and for objects of classes that are not DCP's. */
  public Optional<Tensor> tensor() {
    return isTensor() ? Optional.of(new Tensor(columns, row, name())) : Optional.empty();
  }

  /** Where a bytes item lies; empty without storage information, and for what is not bytes. */
  public Optional<StorageInfo> bytesStorage() {
    if (!isBytes() || row.chunkCount() == 0) {
      return Optional.empty();
    }
    return StorageInfo.at(columns, row.chunkBegin(), row.lengthBegin());
  }

  /** Storage information of the chunk at an offset; for null that of bytes. */
  Optional<StorageInfo> findStorage(long[] offset) {
    if (offset == null) {
      return bytesStorage();
    }
    return tensor().flatMap(tensor -> tensor.findChunk(offset)).flatMap(Chunk::storage);
  }
}
