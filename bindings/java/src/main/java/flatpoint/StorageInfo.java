package flatpoint;

import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * _StorageInfo: {@code length} bytes of a data file, from {@code byteOffset} on; both are unsigned.
 * {@code file} is the number of the file, for grouping. Texts are bytes. {@code
 * transformDescriptors}: in DCP's stored order; null is None.
 */
public record StorageInfo(
    int file,
    byte[] relativePath,
    long byteOffset,
    long length,
    List<byte[]> transformDescriptors) {

  /** Rule E6. Empty without storage information. */
  static Optional<StorageInfo> at(Columns columns, long row, long lengthAt) {
    if (row < columns.chunkFiles.limit()) {
      int file = columns.chunkFiles.get((int) row);
      if (file == Columns.NO_FILE) {
        return Optional.empty();
      }
      byte[] path = columns.files.text(Integer.toUnsignedLong(file));
      if (path != null
          && row < columns.chunkByteOffsets.limit()
          && lengthAt < columns.chunkLengths.limit()) {
        int list =
            columns.chunkTransforms.limit() == 0
                ? 0
                : Short.toUnsignedInt(columns.chunkTransforms.get((int) row));
        return Optional.of(
            new StorageInfo(
                file,
                path,
                columns.chunkByteOffsets.get((int) row),
                columns.chunkLengths.get((int) lengthAt),
                list == 0 ? null : transforms(columns, list - 1)));
      }
    }
    throw FlatpointException.corrupt("E6: storage information of row " + row);
  }

  private static List<byte[]> transforms(Columns columns, int list) {
    if (list < columns.transformLists.limit() / Columns.TRANSFORM_LIST_SIZE) {
      long begin = list == 0 ? 0 : listEnd(columns, list - 1);
      long end = listEnd(columns, list);
      if (begin <= end && end <= columns.transformNames.size()) {
        return LongStream.range(begin, end)
            .mapToObj(columns.transformNames::textOrNothing)
            .toList();
      }
    }
    throw FlatpointException.corrupt("E6: transform list " + list);
  }

  private static long listEnd(Columns columns, int list) {
    return Integer.toUnsignedLong(
        columns.transformLists.getInt(list * Columns.TRANSFORM_LIST_SIZE));
  }
}
