package flatpoint;

import flatpoint.FlatpointException.Code;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/** Which bytes of which data files are a box of a tensor: arithmetic alone. */
final class RangeLister {
  /** Of {@link #byteCount}: a size is negative, or the bytes leave 64 bits. */
  static final long TOO_MANY = -1;

  private static final int MAX_RANGES = 1 << 24;

  /** A dimension that leads from run to run; strides in bytes. */
  private record Outer(long length, long chunkStride, long boxStride) {}

  private final Tensor tensor;
  private final long[] offsets;
  private final long[] sizes;
  private final List<BoxRange> ranges = new ArrayList<>();

  RangeLister(Tensor tensor, long[] offsets, long[] sizes) {
    this.tensor = tensor;
    this.offsets = offsets;
    this.sizes = sizes;
  }

  List<BoxRange> list() {
    long bytes = boxBytes();
    if (bytes == 0) {
      return ranges;
    }
    for (int row : tensor.overlapping(offsets, sizes)) {
      Chunk chunk = tensor.chunkByRow(row);
      if (shares(chunk)) {
        add(chunk, chunk.knownData());
      }
    }
    long end = covered();
    if (Long.compareUnsigned(end, bytes) < 0) {
      throw new FlatpointException(
          Code.HOLES,
          "%s: no chunk holds element %s of the box"
              .formatted(
                  tensor.name(),
                  Long.toUnsignedString(Long.divideUnsigned(end, tensor.itemSize()))));
    }
    return ranges;
  }

  /** Unsigned; TOO_MANY where they do not fit, or just so. */
  static long byteCount(long[] sizes, long itemSize) {
    if (Arrays.stream(sizes).anyMatch(size -> size < 0)) {
      return TOO_MANY;
    }
    if (Arrays.stream(sizes).anyMatch(size -> size == 0)) {
      return 0;
    }
    long bytes = itemSize;
    for (long size : sizes) {
      if (Long.compareUnsigned(bytes, Long.divideUnsigned(-1, size)) > 0) {
        return TOO_MANY;
      }
      bytes *= size;
    }
    return bytes;
  }

  private long boxBytes() {
    long[] whole = tensor.size();
    boolean fits = offsets.length == whole.length && sizes.length == whole.length;
    for (int d = 0; fits && d < whole.length; ++d) {
      fits =
          offsets[d] >= 0
              && sizes[d] >= 0
              && sizes[d] <= whole[d]
              && offsets[d] <= whole[d] - sizes[d];
    }
    if (!fits) {
      throw new FlatpointException(
          Code.INVALID_ARGUMENT,
          "%s: a box at %s with sizes %s does not lie in %s"
              .formatted(
                  tensor.name(),
                  Arrays.toString(offsets),
                  Arrays.toString(sizes),
                  Arrays.toString(whole)));
    }
    long bytes = byteCount(sizes, tensor.itemSize());
    if (bytes == TOO_MANY) {
      throw new FlatpointException(
          Code.TOO_LARGE, tensor.name() + ": the box has more than 2^64 bytes");
    }
    if (bytes == 0 && Arrays.stream(sizes).allMatch(size -> size > 0)) {
      throw new FlatpointException(
          Code.NOT_PLAIN, tensor.name() + ": dtype " + tensor.dtype() + " has no item size");
    }
    return bytes;
  }

  /** What a chunk and the box share along a dimension; its size may be below 0. */
  private Tensor.Interval shared(Chunk chunk, int d) {
    Tensor.Interval own = chunk.interval(d);
    long begin = Math.max(offsets[d], own.begin());
    long end = Math.min(offsets[d] + sizes[d], Tensor.endOf(own.begin(), own.size()));
    return new Tensor.Interval(begin, end <= begin ? 0 : end - begin);
  }

  private boolean shares(Chunk chunk) {
    for (int d = 0; d < offsets.length; ++d) {
      if (shared(chunk, d).size() <= 0) {
        return false;
      }
    }
    return true;
  }

  private void add(Chunk chunk, ChunkData data) {
    long run = tensor.itemSize();
    long chunkStride = run;
    long boxStride = run;
    long byteOffset = data.byteOffset();
    long boxOffset = 0;
    boolean joined = true; // all behind this dimension is one run
    List<Outer> outer = new ArrayList<>();
    for (int d = offsets.length - 1; d >= 0; --d) {
      Tensor.Interval own = chunk.interval(d);
      Tensor.Interval shared = shared(chunk, d);
      byteOffset += (shared.begin() - own.begin()) * chunkStride;
      boxOffset += (shared.begin() - offsets[d]) * boxStride;
      if (joined) {
        run *= shared.size();
      } else {
        outer.add(new Outer(shared.size(), chunkStride, boxStride));
      }
      joined = joined && shared.size() == own.size() && shared.size() == sizes[d];
      chunkStride *= own.size();
      boxStride *= sizes[d];
    }
    listRuns(new BoxRange(data.file(), byteOffset, run, boxOffset), outer);
  }

  private void listRuns(BoxRange first, List<Outer> outer) {
    if (outer.isEmpty()) {
      if (ranges.size() == MAX_RANGES) {
        throw new FlatpointException(
            Code.TOO_LARGE, tensor.name() + ": the box has more than " + MAX_RANGES + " ranges");
      }
      ranges.add(first);
      return;
    }
    Outer last = outer.get(outer.size() - 1);
    for (long i = 0; i < last.length(); ++i) {
      listRuns(
          new BoxRange(
              first.file(),
              first.byteOffset() + i * last.chunkStride(),
              first.length(),
              first.boxOffset() + i * last.boxStride()),
          outer.subList(0, outer.size() - 1));
    }
  }

  /** The end of what the ranges hold of the box from its start on without a gap. */
  private long covered() {
    List<BoxRange> sorted = new ArrayList<>(ranges);
    sorted.sort(Comparator.comparing(BoxRange::boxOffset, (a, b) -> Long.compareUnsigned(a, b)));
    long end = 0;
    for (BoxRange range : sorted) {
      if (Long.compareUnsigned(range.boxOffset(), end) > 0) {
        break;
      }
      long last = range.boxOffset() + range.length();
      end = Long.compareUnsigned(last, end) > 0 ? last : end;
    }
    return end;
  }
}
