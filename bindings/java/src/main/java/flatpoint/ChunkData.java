package flatpoint;

import java.util.OptionalLong;

/**
 * The {@code length} bytes of a data file, from {@code byteOffset} on, that are a chunk's elements:
 * row-major, little-endian, of the tensor's dtype; numbers are unsigned. Before they are read, the
 * file is compared with {@link MetadataFile#fileFacts}, as {@link DataFolder} does. The checksum is
 * of {@link MetadataFile#checksumKind}.
 */
public record ChunkData(int file, long byteOffset, long length, OptionalLong checksum) {}
