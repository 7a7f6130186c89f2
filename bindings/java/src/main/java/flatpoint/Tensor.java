package flatpoint;

import flatpoint.fb.ChunkLayout;
import flatpoint.fb.StridesKind;
import java.nio.LongBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/** TensorStorageMetadata. Immutable. */
public final class Tensor {
  /** One dimension of a chunk. */
  record Interval(long begin, long size) {}

  private final Columns columns;
  private final Entry.Row row;
  private final String name;
  private final long[] dimensions; // the size, with explicit strides behind it
  private final LongBuffer boxes;

  /** Rules E2, E3 and E5. */
  Tensor(Columns columns, Entry.Row row, String name) {
    this.columns = columns;
    this.row = row;
    this.name = name;
    int count = row.ndim() * (row.strides() == StridesKind.Explicit ? 2 : 1);
    if (!TableReader.inRange(row.sizeBegin(), count, columns.sizes.limit())) {
      throw FlatpointException.corrupt("E2: size of " + name);
    }
    dimensions = new long[count];
    columns.sizes.get((int) row.sizeBegin(), dimensions);
    long values = boxValues();
    if (values < 0 || values > 0 && !TableReader.inRange(row.boxBegin(), values, boxLimit())) {
      throw FlatpointException.corrupt("E3: boxes of " + name);
    }
    boxes =
        values == 0
            ? LongBuffer.allocate(0)
            : columns.boxes.slice((int) row.boxBegin(), (int) values);
    if (row.reordered()
        && !TableReader.inRange(row.orderBegin(), row.chunkCount(), columns.chunkOrder.limit())) {
      throw FlatpointException.corrupt("E5: chunk order of " + name);
    }
  }

  private int boxLimit() {
    return columns.boxes.limit();
  }

  /** How many values of boxes the tensor takes; -1 where its chunks are no such boxes. */
  private long boxValues() {
    return switch (row.chunkLayout()) {
      case ChunkLayout.Whole -> row.chunkCount() == 1 ? 0 : -1;
      case ChunkLayout.Explicit -> 2L * row.ndim() * row.chunkCount();
      case ChunkLayout.Grid, ChunkLayout.EvenGrid -> gridValues();
      default -> -1;
    };
  }

  private long gridValues() {
    if (!TableReader.inRange(row.boxBegin(), row.ndim(), boxLimit())) {
      return -1;
    }
    long cells = 1;
    long values = 2L * row.ndim();
    for (int d = 0; d < row.ndim(); ++d) {
      long count = columns.boxes.get((int) row.boxBegin() + d);
      if (count < 1 || count > row.chunkCount() / cells) {
        return -1;
      }
      cells *= count;
      values += row.chunkLayout() == ChunkLayout.Grid ? count : 0;
    }
    return cells == row.chunkCount() ? values : -1;
  }

  public int ndim() {
    return row.ndim();
  }

  /** Elements per dimension. */
  public long[] size() {
    return Arrays.copyOf(dimensions, ndim());
  }

  /** torch's name without "torch."; "unknown:N" where this version does not know it. */
  public String dtype() {
    return Names.dtype(row.dtype(), columns.typeNames, row.dtypeName());
  }

  /** Bytes of an element; 0 for a dtype that has none here. */
  public int itemSize() {
    return Names.itemSize(row.dtype());
  }

  String name() {
    return name;
  }

  /**
   * The ranges of a box, as long as they can be: by row of the chunks that overlap it, each in
   * order of its elements. Codes of errors: INVALID_ARGUMENT for a box outside the tensor,
   * NOT_PLAIN where a chunk's data is not known, HOLES for elements that no chunk holds, TOO_LARGE
   * beyond 2^24 ranges.
   */
  public List<BoxRange> ranges(long[] offsets, long[] sizes) {
    return new RangeLister(this, offsets, sizes).list();
  }

  /** Likewise. */
  public String layout() {
    return Names.layout(row.layout(), columns.typeNames, row.layoutName());
  }

  public String memoryFormat() {
    return Names.memoryFormat(row.memoryFormat());
  }

  public boolean requiresGrad() {
    return row.requiresGrad();
  }

  public boolean pinMemory() {
    return row.pinMemory();
  }

  /** In elements; empty in files from before torch 2.15. */
  public Optional<long[]> strides() {
    return switch (row.strides()) {
      case StridesKind.Explicit ->
          Optional.of(Arrays.copyOfRange(dimensions, ndim(), dimensions.length));
      case StridesKind.Contiguous -> {
        int cell = chunkCount() > 0 ? cell(0) : -1;
        yield Optional.of(contiguousStrides(cell < 0 ? size() : chunkByRow(cell).sizes()));
      }
      default -> Optional.empty();
    };
  }

  public int chunkCount() {
    return (int) row.chunkCount();
  }

  /** The i-th chunk in DCP's order. */
  public Chunk chunk(int i) {
    java.util.Objects.checkIndex(i, chunkCount());
    int cell = cell(i);
    if (cell < 0) {
      throw FlatpointException.corrupt("E5: chunk " + i + " of " + name);
    }
    return chunkByRow(cell);
  }

  /** The i-th chunk by rows: sorted by offsets. */
  public Chunk chunkByRow(int i) {
    java.util.Objects.checkIndex(i, chunkCount());
    return new Chunk(columns, row, this, i);
  }

  /** The row, less the first, of DCP's i-th chunk; -1 where the order names none. */
  private int cell(int i) {
    int cell = row.reordered() ? columns.chunkOrder.get((int) row.orderBegin() + i) : i;
    return Integer.compareUnsigned(cell, chunkCount()) < 0 ? cell : -1;
  }

  /** The first chunk that starts at an offset. O(ndim * log chunks). */
  public Optional<Chunk> findChunk(long... offset) {
    if (offset.length != ndim()) {
      return Optional.empty();
    }
    int cell =
        switch (row.chunkLayout()) {
          case ChunkLayout.Whole -> Arrays.stream(offset).allMatch(n -> n == 0) ? 0 : -1;
          case ChunkLayout.Explicit -> findExplicit(offset);
          default -> findInGrid(offset);
        };
    return cell < 0 ? Optional.empty() : Optional.of(chunkByRow(cell));
  }

  private int findExplicit(long[] offset) {
    int found = partitionPoint(0, chunkCount(), i -> compareOffsets(i, offset) < 0);
    return found < chunkCount() && compareOffsets(found, offset) == 0 ? found : -1;
  }

  private int compareOffsets(int cell, long[] offset) {
    for (int d = 0; d < offset.length; ++d) {
      int order = Long.compare(boxes.get(2 * ndim() * cell + d), offset[d]);
      if (order != 0) {
        return order;
      }
    }
    return 0;
  }

  private int findInGrid(long[] offset) {
    int cell = 0;
    int splits = ndim();
    for (int d = 0; d < offset.length; ++d) {
      int dimension = d;
      int from = splits;
      int count = (int) boxes.get(d);
      if (row.chunkLayout() == ChunkLayout.EvenGrid
          && (offset[d] < 0 || boxes.get(ndim() + d) < 0)) {
        return -1;
      }
      int along = partitionPoint(0, count, i -> point(dimension, from, i) < offset[dimension]);
      if (along == count || point(d, splits, along) != offset[d]) {
        return -1;
      }
      cell = cell * count + along;
      splits += count + 1;
    }
    return cell;
  }

  /**
   * The rows of all chunks that overlap a box, ascending, as torch decides it: in every dimension
   * each begins before the other ends. Nothing overlaps a box of other dimensions.
   */
  public int[] overlapping(long[] offsets, long[] sizes) {
    if (offsets.length != ndim() || sizes.length != ndim()) {
      return new int[0];
    }
    long[] ends = new long[ndim()];
    Arrays.setAll(ends, d -> endOf(offsets[d], sizes[d]));
    if (row.chunkLayout() == ChunkLayout.Grid || row.chunkLayout() == ChunkLayout.EvenGrid) {
      return overlappingCells(offsets, ends);
    }
    return IntStream.range(0, chunkCount()).filter(i -> overlaps(i, offsets, ends)).toArray();
  }

  private boolean overlaps(int cell, long[] offsets, long[] ends) {
    for (int d = 0; d < offsets.length; ++d) {
      Interval own = interval(cell, d);
      if (own.begin() >= ends[d] || offsets[d] >= endOf(own.begin(), own.size())) {
        return false;
      }
    }
    return true;
  }

  /**
   * By a range of cells per dimension; the outermost varies slowest. None where a step is negative,
   * against rule V5.
   */
  private int[] overlappingCells(long[] offsets, long[] ends) {
    IntStream cells = IntStream.of(0);
    int splits = ndim();
    for (int d = 0; d < offsets.length; ++d) {
      if (row.chunkLayout() == ChunkLayout.EvenGrid && boxes.get(ndim() + d) < 0) {
        return new int[0];
      }
      int dimension = d;
      int from = splits;
      int count = (int) boxes.get(d);
      int first =
          partitionPoint(0, count, i -> point(dimension, from, i + 1) <= offsets[dimension]);
      int last = partitionPoint(0, count, i -> point(dimension, from, i) < ends[dimension]);
      cells = cells.flatMap(cell -> IntStream.range(first, last).map(i -> cell * count + i));
      splits += count + 1;
    }
    return cells.toArray();
  }

  /** Where cell i of a grid begins along a dimension whose split points begin at {@code splits}. */
  private long point(int d, int splits, int i) {
    if (row.chunkLayout() == ChunkLayout.Grid) {
      return boxes.get(splits + i);
    }
    long step = boxes.get(ndim() + d);
    long point = i * step;
    boolean fits = Math.multiplyHigh(i, step) == point >> 63;
    return fits ? Math.min(point, dimensions[d]) : dimensions[d];
  }

  /** One dimension of the chunk in a row. */
  Interval interval(int cell, int d) {
    if (row.chunkLayout() == ChunkLayout.Whole) {
      return new Interval(0, dimensions[d]);
    }
    if (row.chunkLayout() == ChunkLayout.Explicit) {
      int at = 2 * ndim() * cell + d;
      return new Interval(boxes.get(at), boxes.get(at + ndim()));
    }
    int splits = ndim();
    int below = chunkCount();
    int rest = cell;
    for (int before = 0; before < d; ++before) {
      int count = (int) boxes.get(before);
      below /= count;
      rest %= below;
      splits += count + 1;
    }
    int i = rest / (below / (int) boxes.get(d));
    long begin = point(d, splits, i);
    return new Interval(begin, point(d, splits, i + 1) - begin);
  }

  /** torch's empty(size).stride(); products that leave int64 give 0. */
  private static long[] contiguousStrides(long[] size) {
    long[] strides = new long[size.length];
    long stride = 1;
    for (int d = size.length - 1; d >= 0; --d) {
      strides[d] = stride;
      long n = Math.max(size[d], 1);
      stride = Math.multiplyHigh(stride, n) == 0 && stride * n >= 0 ? stride * n : 0;
    }
    return strides;
  }

  /** begin + size; where that leaves int64, its last number. */
  static long endOf(long begin, long size) {
    long end = begin + size;
    boolean left = ((begin ^ end) & (size ^ end)) < 0;
    return !left ? end : begin < 0 ? Long.MIN_VALUE : Long.MAX_VALUE;
  }

  /** The first number in [begin, end) for which {@code before} does not hold. */
  static int partitionPoint(int begin, int end, IntPredicate before) {
    while (begin < end) {
      int middle = begin + (end - begin) / 2;
      if (before.test(middle)) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  }
}
