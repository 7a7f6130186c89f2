package flatpoint;

import com.dynatrace.hash4j.hashing.Hashing;
import flatpoint.FlatpointException.Code;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32;

/**
 * Where the data files of a checkpoint lie: whole chunks out of them, by what the columns say
 * alone. Immutable; safe to use from any number of threads.
 */
public final class DataFolder {
  private record Stamp(long length, long modifiedNs) {}

  private record Read(byte[] bytes, Stamp stamp) {}

  private final MetadataFile metadata;
  private final Path folder;
  private final boolean acceptTimes;
  private final boolean allowOutside;

  public DataFolder(MetadataFile metadata, Path folder) {
    this(metadata, folder, false, false);
  }

  /**
   * {@code acceptTimes}: the folder was copied, other times say nothing. {@code allowOutside}: open
   * files whose path leaves the folder; metadata from elsewhere may name any file of this machine.
   */
  public DataFolder(MetadataFile metadata, Path folder, boolean acceptTimes, boolean allowOutside) {
    this.metadata = metadata;
    this.folder = folder;
    this.acceptTimes = acceptTimes;
    this.allowOutside = allowOutside;
  }

  /**
   * The elements of a whole chunk. A data file of another length than the metadata states is
   * refused (CHANGED), and so is one of another time, unless the metadata has a checksum of the
   * chunk and it holds, or {@code acceptTimes}. Other codes of errors: NOT_PLAIN, HOLES, TRUNCATED,
   * OUTSIDE, NOT_FOUND, IO; TOO_LARGE for a chunk of 2 GiB or more, which no array holds.
   */
  public byte[] readChunk(Chunk chunk) {
    ChunkData data = chunk.knownData();
    Read read = read(chunk, data);
    OptionalLong stated = metadata.fileFacts(data.file()).modifiedNs();
    boolean isOtherTime = stated.isPresent() && stated.getAsLong() != read.stamp().modifiedNs();
    if (isOtherTime && !acceptTimes) {
      boolean isKnown = data.checksum().isPresent() && checksum(read.bytes()).isPresent();
      if (!isKnown || checksum(read.bytes()).getAsLong() != data.checksum().getAsLong()) {
        throw new FlatpointException(
            Code.CHANGED,
            "%s: a data file was written after the metadata was, and row %d %s"
                .formatted(
                    chunk.tensorName(),
                    chunk.row(),
                    isKnown ? "does not have its checksum" : "has no known checksum"));
      }
    }
    return read.bytes();
  }

  /** Compares a chunk with its checksum (CHECKSUM where it differs); false where there is none. */
  public boolean checkChunk(Chunk chunk) {
    ChunkData data = chunk.data().orElse(null);
    if (data == null || data.checksum().isEmpty()) {
      return false;
    }
    OptionalLong found = checksum(read(chunk, data).bytes());
    if (found.isPresent() && found.getAsLong() != data.checksum().getAsLong()) {
      throw new FlatpointException(
          Code.CHECKSUM,
          "%s: the bytes of row %d do not have their checksum"
              .formatted(chunk.tensorName(), chunk.row()));
    }
    return found.isPresent();
  }

  /** Empty for a kind that this version does not know. */
  private OptionalLong checksum(byte[] bytes) {
    switch (metadata.checksumKind().orElse("")) {
      case "xxh3":
        return OptionalLong.of(Hashing.xxh3_64().hashBytesToLong(bytes));
      case "crc32":
        CRC32 crc = new CRC32();
        crc.update(bytes);
        return OptionalLong.of(crc.getValue());
      default:
        return OptionalLong.empty();
    }
  }

  private Read read(Chunk chunk, ChunkData data) {
    Path path = path(data.file());
    try (FileChannel channel = FileChannel.open(path)) {
      Stamp before = stamp(path, channel);
      OptionalLong stated = metadata.fileFacts(data.file()).length();
      if (stated.isPresent() && stated.getAsLong() != before.length()) {
        throw new FlatpointException(
            Code.CHANGED,
            "%s: has %d bytes, the metadata knows one of %s"
                .formatted(path, before.length(), Long.toUnsignedString(stated.getAsLong())));
      }
      if (Long.compareUnsigned(data.length(), before.length()) > 0
          || Long.compareUnsigned(data.byteOffset(), before.length() - data.length()) > 0) {
        throw new FlatpointException(
            Code.TRUNCATED,
            "%s: ends at byte %d, inside the data of row %d"
                .formatted(path, before.length(), chunk.row()));
      }
      if (data.length() > Integer.MAX_VALUE - 8) {
        throw new FlatpointException(Code.TOO_LARGE, path + ": a chunk of " + data.length());
      }
      ByteBuffer bytes = ByteBuffer.allocate((int) data.length());
      while (bytes.hasRemaining()) {
        if (channel.read(bytes, data.byteOffset() + bytes.position()) < 0) {
          throw new FlatpointException(Code.TRUNCATED, path + ": shrank while it was read");
        }
      }
      if (!stamp(path, channel).equals(before)) {
        throw new FlatpointException(Code.CHANGED, path + ": was written while it was read");
      }
      return new Read(bytes.array(), before);
    } catch (NoSuchFileException e) {
      throw new FlatpointException(Code.NOT_FOUND, path + ": no such file");
    } catch (IOException e) {
      throw new FlatpointException(Code.IO, path + ": " + e.getMessage());
    }
  }

  private static Stamp stamp(Path path, FileChannel channel) throws IOException {
    FileTime time = Files.getLastModifiedTime(path);
    return new Stamp(channel.size(), time.to(TimeUnit.NANOSECONDS));
  }

  private Path path(int file) {
    String name = Text.of(metadata.fileName(file));
    try {
      Path relative = Path.of(name);
      boolean leaves = name.isEmpty() || relative.isAbsolute();
      for (Path part : relative) {
        leaves |= part.toString().equals("..");
      }
      if (!leaves || allowOutside) {
        return folder.resolve(relative);
      }
    } catch (InvalidPathException e) {
      // such a path is no file of the folder
    }
    throw new FlatpointException(
        Code.OUTSIDE, name + ": the path of a data file leaves the checkpoint's folder");
  }
}
