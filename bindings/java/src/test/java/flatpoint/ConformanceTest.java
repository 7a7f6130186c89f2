package flatpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The suite that every reader passes: docs/conformance.md. FLATPOINT_SUITE names another of its
 * form.
 */
class ConformanceTest {
  private static final Path ROOT = Path.of("../..");
  private static final Path SUITE =
      Optional.ofNullable(System.getenv("FLATPOINT_SUITE"))
          .filter(folder -> !folder.isEmpty())
          .map(Path::of)
          .orElse(ROOT.resolve("tests/conformance"));

  /** One of docs/conformance.md: its JSON where it opens; questions and answers in pairs. */
  private record Case(String name, String code, byte[] bytes, String json, List<String[]> asked) {
    @Override
    public String toString() {
      return name;
    }
  }

  /** Those of "golden" or "hostile"; never none. */
  private static List<Case> cases(String kind) throws IOException {
    List<Case> found = new ArrayList<>();
    String name = "";
    String code = "";
    byte[] bytes = {};
    for (String line : Files.readAllLines(SUITE.resolve(kind + ".cases"))) {
      String[] parts = line.split("\t", 2);
      switch (parts[0]) {
        case "case" -> {
          name = parts[1].substring(0, parts[1].indexOf('\t'));
          code = parts[1].substring(name.length() + 1);
        }
        case "file" -> {
          bytes = HexFormat.of().parseHex(parts[1]);
          found.add(new Case(name, code, bytes, null, new ArrayList<>()));
        }
        case "json" ->
            found.set(
                found.size() - 1, new Case(name, code, bytes, parts[1] + "\n", new ArrayList<>()));
        case "ask" -> found.get(found.size() - 1).asked().add(parts[1].split("\t=\t", -1));
        default -> throw new AssertionError("no line of a case: " + line);
      }
    }
    assertFalse(found.isEmpty());
    return found;
  }

  /** The golden file that hostile ones are made of. */
  private static byte[] small() throws IOException {
    return golden().stream().filter(c -> c.name().equals("small")).findAny().orElseThrow().bytes();
  }

  static List<Case> golden() throws IOException {
    return cases("golden");
  }

  @TempDir private Path folder;

  /** Bytes as a file of their own: old ones may be mapped. */
  private Path written(byte[] bytes) throws IOException {
    return Files.write(Files.createTempFile(folder, "case", ".flatpoint"), bytes);
  }

  private static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char unit : text.toCharArray()) {
      if (unit == '"' || unit == '\\') {
        out.append('\\').append(unit);
      } else if (unit < 0x20 || unit >= 0x7F) {
        out.append("\\u%04x".formatted((int) unit));
      } else {
        out.append(unit);
      }
    }
    return out.append('"').toString();
  }

  private static String quoted(byte[] text) {
    return text == null ? "null" : quoted(Text.of(text));
  }

  private static <T> String list(Stream<T> items, Function<T, String> show) {
    return items.map(show).collect(Collectors.joining(",", "[", "]"));
  }

  private static String numbers(long[] values) {
    return list(Arrays.stream(values).boxed(), String::valueOf);
  }

  private static String texts(List<byte[]> texts) {
    return texts == null ? "null" : list(texts.stream(), ConformanceTest::quoted);
  }

  private static String indices(int count, Function<Integer, String> show) {
    return list(IntStream.range(0, count).boxed(), show);
  }

  /** What {@code make} gives; "corrupt" in its place where the file is. */
  private static String orCorrupt(String instead, Supplier<String> make) {
    try {
      return make.get();
    } catch (FlatpointException e) {
      assertEquals(FlatpointException.Code.CORRUPT, e.code());
      return instead;
    }
  }

  private static String orCorrupt(Supplier<String> make) {
    return orCorrupt("\"corrupt\"", make);
  }

  private static String storage(Supplier<Optional<StorageInfo>> make) {
    return orCorrupt(
        () ->
            make.get()
                .map(
                    info ->
                        "{\"file\":%s,\"byte_offset\":%s,\"length\":%s,\"transforms\":%s}"
                            .formatted(
                                Integer.toUnsignedString(info.file()),
                                Long.toUnsignedString(info.byteOffset()),
                                Long.toUnsignedString(info.length()),
                                texts(info.transformDescriptors())))
                .orElse("null"));
  }

  private static String unsigned(OptionalLong value) {
    return value.isPresent() ? Long.toUnsignedString(value.getAsLong()) : "null";
  }

  /** Nothing where it is not known. */
  private static String data(Chunk chunk) {
    return orCorrupt(
        ",\"data\":\"corrupt\"",
        () ->
            chunk
                .data()
                .map(
                    data ->
                        ",\"data\":{\"file\":%s,\"byte_offset\":%s,\"length\":%s,\"checksum\":%s}"
                            .formatted(
                                Integer.toUnsignedString(data.file()),
                                Long.toUnsignedString(data.byteOffset()),
                                Long.toUnsignedString(data.length()),
                                unsigned(data.checksum())))
                .orElse(""));
  }

  private static String facts(FileFacts facts) {
    OptionalLong time = facts.modifiedNs();
    return "{\"length\":%s,\"time\":%s,\"format\":\"%s\"}"
        .formatted(
            unsigned(facts.length()), time.isPresent() ? time.getAsLong() : "null", facts.format());
  }

  /** Nothing where the columns are absent. */
  private static String fileFacts(MetadataFile file) {
    Columns c = file.columns();
    String kind = file.checksumKind().map("\"checksum_kind\":\"%s\","::formatted).orElse("");
    if (c.fileLengths.limit() + c.fileTimes.limit() + c.fileFormats.limit() == 0) {
      return kind;
    }
    String facts = indices(c.files.size(), i -> facts(file.fileFacts(i)));
    return kind + "\"file_facts\":" + facts + ",";
  }

  private static String chunk(Tensor tensor, int i) {
    return orCorrupt(
        () -> {
          Chunk chunk = tensor.chunk(i);
          return "{\"offsets\":%s,\"sizes\":%s,\"storage\":%s%s}"
              .formatted(
                  numbers(chunk.offsets()),
                  numbers(chunk.sizes()),
                  storage(chunk::storage),
                  data(chunk));
        });
  }

  private static String tensor(Tensor tensor) {
    return ("\"type\":\"tensor\",\"dtype\":%s,\"layout\":%s,\"memory_format\":%s,"
            + "\"requires_grad\":%b,\"pin_memory\":%b,\"strides\":%s,\"size\":%s,\"chunks\":%s")
        .formatted(
            quoted(tensor.dtype()),
            quoted(tensor.layout()),
            quoted(tensor.memoryFormat()),
            tensor.requiresGrad(),
            tensor.pinMemory(),
            tensor.strides().map(ConformanceTest::numbers).orElse("null"),
            numbers(tensor.size()),
            indices(tensor.chunkCount(), i -> chunk(tensor, i)));
  }

  private static String entry(MetadataFile file, int position) {
    return orCorrupt(
        () -> {
          Entry entry = file.entry(position);
          String what = entry.tensor().map(ConformanceTest::tensor).orElse("\"type\":\"opaque\"");
          if (entry.isBytes()) {
            what = "\"type\":\"bytes\",\"storage\":" + storage(entry::bytesStorage);
          }
          return "{\"fqn\":%s,%s}".formatted(quoted(entry.fqn()), what);
        });
  }

  private static String canonicalJson(MetadataFile file) {
    Columns columns = file.columns();
    String meta =
        file.storageMeta()
            .map(
                m ->
                    "{\"checkpoint_id\":%s,\"save_id\":%s,\"load_id\":%s,\"modules\":%s}"
                        .formatted(
                            quoted(m.checkpointId()),
                            quoted(m.saveId()),
                            quoted(m.loadId()),
                            texts(m.modules())))
            .orElse("null");
    return ("{\"format\":[%d,%d],\"fragment_rank\":%d,\"version\":%s,\"storage_meta\":%s,"
            + "\"files\":%s,%s\"entries\":%s}\n")
        .formatted(
            columns.formatMajor,
            columns.formatMinor,
            columns.fragmentRank,
            file.version().map(ConformanceTest::quoted).orElse("null"),
            meta,
            indices(columns.files.size(), i -> orCorrupt(() -> quoted(file.fileName(i)))),
            fileFacts(file),
            indices(file.size(), i -> entry(file, i)));
  }

  private static long[] parsed(String text) {
    if (text.equals("()")) {
      return new long[0];
    }
    return Arrays.stream(text.split(",")).mapToLong(Long::parseLong).toArray();
  }

  private static Optional<String> said(MetadataFile file, String[] fields) {
    HexFormat hex = HexFormat.of();
    byte[] name = hex.parseHex(fields[1]);
    switch (fields[0]) {
      case "find":
        return file.find(name).map(entry -> String.valueOf(entry.position()));
      case "storage":
        long[] offset = fields[2].equals("-") ? null : parsed(fields[2]);
        return file.findStorage(name, offset)
            .map(
                info ->
                    hex.formatHex(info.relativePath())
                        + "\t"
                        + Long.toUnsignedString(info.byteOffset())
                        + "\t"
                        + Long.toUnsignedString(info.length()));
      case "prefix":
        return file.prefix(name).map(range -> range.begin() + "\t" + range.end());
      case "overlap":
        return file.find(name)
            .flatMap(Entry::tensor)
            .map(tensor -> tensor.overlapping(parsed(fields[2]), parsed(fields[3])))
            .filter(rows -> rows.length > 0)
            .map(
                rows ->
                    Arrays.stream(rows).mapToObj(String::valueOf).collect(Collectors.joining(",")));
      case "ranges":
        return file.find(name)
            .flatMap(Entry::tensor)
            .map(tensor -> tensor.ranges(parsed(fields[2]), parsed(fields[3])))
            .map(
                ranges ->
                    ranges.isEmpty()
                        ? "()"
                        : ranges.stream()
                            .map(ConformanceTest::range)
                            .collect(Collectors.joining(",")));
      default:
        throw new AssertionError("no question: " + fields[0]);
    }
  }

  private static String range(BoxRange range) {
    return "%s:%s:%s:%s"
        .formatted(
            Integer.toUnsignedString(range.file()),
            Long.toUnsignedString(range.byteOffset()),
            Long.toUnsignedString(range.length()),
            Long.toUnsignedString(range.boxOffset()));
  }

  private static String answer(MetadataFile file, String question) {
    String[] fields = question.split("\t", -1);
    try {
      return said(file, fields).map(s -> "found\t" + s).orElse("absent");
    } catch (FlatpointException e) {
      assertTrue(fields[0].equals("ranges") || e.code() == FlatpointException.Code.CORRUPT);
      return e.code().toString();
    }
  }

  private void check(Case asked) throws IOException {
    MetadataFile file = MetadataFile.open(written(asked.bytes()));
    assertEquals(asked.json(), canonicalJson(file), asked.name());
    for (String[] pair : asked.asked()) {
      assertEquals(pair[1], answer(file, pair[0]), asked.name() + ": " + pair[0]);
    }
  }

  @ParameterizedTest
  @MethodSource("golden")
  void goldenFiles(Case golden) throws IOException {
    check(golden);
    assertTrue(MetadataFile.of(golden.bytes()).digestMatches());
  }

  @Test
  void hostileFilesThatOpen() throws IOException {
    for (Case hostile : cases("hostile")) {
      if (hostile.code().equals("opens")) {
        check(hostile);
      }
    }
  }

  private static String codeOf(Supplier<MetadataFile> open) {
    try {
      open.get();
      return "opens";
    } catch (FlatpointException e) {
      return e.code().toString();
    }
  }

  @Test
  void codes() throws IOException {
    for (String kind : List.of("golden", "hostile")) {
      for (Case c : cases(kind)) {
        Path path = written(c.bytes());
        assertEquals(c.code(), codeOf(() -> MetadataFile.open(path)), c.name());
        assertEquals(c.code(), codeOf(() -> MetadataFile.of(c.bytes())), c.name());
      }
    }
  }

  @Test
  void noMetadataFiles() throws IOException {
    Path absent = folder.resolve("absent.flatpoint");
    assertEquals("not_found", codeOf(() -> MetadataFile.open(absent)));
    assertEquals("io", codeOf(() -> MetadataFile.open(Path.of("/dev/null"))));
    Path sparse = written(small());
    try (RandomAccessFile file = new RandomAccessFile(sparse.toFile(), "rw")) {
      file.setLength(1L << 31);
    }
    assertEquals("too_large", codeOf(() -> MetadataFile.open(sparse)));
  }

  @Test
  void foldersAndPickles() throws IOException {
    assertEquals("not_found", codeOf(() -> MetadataFile.open(folder)));
    Path pickle = folder.resolve(".metadata");
    Files.write(pickle, new byte[] {(byte) 0x80, 4, 'N', '.'});
    for (Path path : List.of(folder, pickle)) {
      assertEquals("not_flatpoint", codeOf(() -> MetadataFile.open(path)));
      FlatpointException thrown =
          assertThrows(FlatpointException.class, () -> MetadataFile.open(path));
      assertTrue(thrown.getMessage().contains("run `flatpoint import " + pickle + "`"));
    }
    Files.write(folder.resolve(".metadata.flatpoint"), small());
    assertEquals(MetadataFile.of(small()).size(), MetadataFile.open(folder).size());
  }

  @Test
  void bytesThatChangedFailTheDigest() throws IOException {
    byte[] bytes = small();
    bytes[bytes.length - 25] ^= 1;
    assertFalse(MetadataFile.of(bytes).digestMatches());
  }

  @Test
  void generatedAccessorsReadTheSameFile() throws IOException {
    MetadataFile file = MetadataFile.of(small());
    assertEquals(file.size(), file.root().entriesLength());
    assertEquals(1, file.root().opaqueLength());
    assertEquals(3, file.root().plannerOrderLength());
    for (int i = 0; i < file.columns().chunkByteOffsets.limit(); ++i) {
      assertEquals(file.root().chunkByteOffsets(i), file.columns().chunkByteOffsets.get(i));
    }
  }

  /** The list of fields that the reader checks is the schema's, in its order. */
  @Test
  void tablesAreThoseOfTheSchema() throws IOException {
    String schema = Files.readString(ROOT.resolve("schema/metadata.fbs"));
    Map<String, List<TableReader.Field>> tables =
        Map.of(
            "Metadata", Columns.METADATA,
            "StorageMeta", Columns.STORAGE_META,
            "Source", Columns.SOURCE);
    tables.forEach(
        (name, fields) -> {
          var table = Pattern.compile("(?ms)^table " + name + " \\{(.*?)^}").matcher(schema);
          assertTrue(table.find());
          List<String> names = new ArrayList<>();
          Pattern.compile("(?m)^ +(\\w+):")
              .matcher(table.group(1))
              .results()
              .map((MatchResult match) -> match.group(1))
              .forEach(names::add);
          assertEquals(names, fields.stream().map(TableReader.Field::name).toList());
        });
  }
}
