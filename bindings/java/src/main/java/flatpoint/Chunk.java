package flatpoint;

import java.util.Optional;

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
}
