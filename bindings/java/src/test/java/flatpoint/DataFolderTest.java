package flatpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import flatpoint.FlatpointException.Code;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Chunks out of data files: the golden case "data_files", whose files each test writes. */
class DataFolderTest {
  @TempDir private Path folder;
  private MetadataFile metadata;

  private static byte[] content(String name) {
    byte[] bytes = new byte[100];
    for (int i = 0; i < bytes.length; ++i) {
      bytes[i] = (byte) (7 * i + name.charAt(0));
    }
    return bytes;
  }

  private static byte[] part(String name, int begin, int end) {
    return Arrays.copyOfRange(content(name), begin, end);
  }

  @BeforeEach
  void write() throws IOException {
    for (String name : List.of("a.bin", "b.bin", "c.bin")) {
      Files.write(folder.resolve(name), content(name));
    }
    List<String> lines = Files.readAllLines(Path.of("../../tests/conformance/golden.cases"));
    int at = lines.indexOf("case\tdata_files\topens") + 1;
    String hex = lines.get(at).substring("file\t".length());
    metadata = MetadataFile.of(HexFormat.of().parseHex(hex));
  }

  private Chunk chunk(String name, int row) {
    return metadata.find(name).orElseThrow().tensor().orElseThrow().chunkByRow(row);
  }

  private static Code code(Runnable call) {
    return assertThrows(FlatpointException.class, call::run).code();
  }

  @Test
  void chunksAndChecksums() {
    DataFolder data = new DataFolder(metadata, folder);
    assertArrayEquals(part("a", 10, 22), data.readChunk(chunk("columns", 0)));
    assertArrayEquals(part("a", 50, 62), data.readChunk(chunk("columns", 1)));
    assertTrue(data.checkChunk(chunk("columns", 0)));
    assertFalse(data.checkChunk(chunk("stale", 0)));
    assertEquals(Code.CHECKSUM, code(() -> data.checkChunk(chunk("columns", 1))));
  }

  @Test
  void filesOfAnotherTimeLengthOrPlace() throws IOException {
    DataFolder data = new DataFolder(metadata, folder);
    // Of another time, but its checksum holds.
    assertArrayEquals(part("b", 10, 34), data.readChunk(chunk("rows", 0)));
    assertEquals(Code.CHANGED, code(() -> data.readChunk(chunk("stale", 0))));
    assertEquals(Code.CHANGED, code(() -> data.readChunk(chunk("longer", 0))));
    assertEquals(Code.OUTSIDE, code(() -> data.readChunk(chunk("outside", 0))));
    DataFolder trusting = new DataFolder(metadata, folder, true, false);
    assertArrayEquals(part("b", 50, 52), trusting.readChunk(chunk("stale", 0)));

    byte[] other = content("b");
    other[12] ^= 1;
    Files.write(folder.resolve("b.bin"), other);
    assertEquals(Code.CHANGED, code(() -> data.readChunk(chunk("rows", 0))));
    Files.delete(folder.resolve("a.bin"));
    assertEquals(Code.NOT_FOUND, code(() -> data.readChunk(chunk("columns", 0))));
    Files.createDirectory(folder.resolve("sub"));
    Files.write(folder.resolve("d.bin"), content("."));
    DataFolder outside = new DataFolder(metadata, folder.resolve("sub"), false, true);
    assertArrayEquals(part(".", 10, 12), outside.readChunk(chunk("outside", 0)));
  }
}
