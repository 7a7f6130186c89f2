package flatpoint;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** One line of numbers for bench/readers/readers.py: Bench FILE [JSON]. Everything is warmed up. */
public final class Bench {
  private interface Work {
    Object run() throws Exception;
  }

  private static Object kept; // so that no work is left out

  private Bench() {}

  /** Median seconds of that many runs. */
  private static double median(int runs, Work work) throws Exception {
    double[] times = new double[runs];
    for (int i = 0; i < runs; ++i) {
      long begin = System.nanoTime();
      kept = work.run();
      times[i] = (System.nanoTime() - begin) / 1e9;
    }
    Arrays.sort(times);
    return times[runs / 2];
  }

  private static double warm(int warmUp, int runs, Work work) throws Exception {
    median(warmUp, work);
    return median(runs, work);
  }

  public static void main(String[] arguments) throws Exception {
    Path path = Path.of(arguments[0]);
    MetadataFile file = MetadataFile.open(path);
    List<byte[]> names = new ArrayList<>();
    List<Tensor> tensors = new ArrayList<>();
    List<long[]> halves = new ArrayList<>();
    List<long[]> ones = new ArrayList<>();
    for (Entry entry : file) {
      names.add(entry.fqn());
      entry
          .tensor()
          .ifPresent(
              tensor -> {
                tensors.add(tensor);
                halves.add(Arrays.stream(tensor.size()).map(n -> n / 2).toArray());
                ones.add(Arrays.stream(tensor.size()).map(n -> 1).toArray());
              });
    }
    double open = warm(5000, 501, () -> MetadataFile.open(path).find(names.get(0)));
    double find =
        warm(
            50,
            11,
            () -> {
              for (byte[] name : names) {
                kept = file.find(name);
              }
              return kept;
            });
    double overlap =
        warm(
            50,
            11,
            () -> {
              for (int i = 0; i < tensors.size(); ++i) {
                kept = tensors.get(i).overlapping(halves.get(i), ones.get(i));
              }
              return kept;
            });
    double json = 0;
    if (arguments.length > 1) {
      byte[] text = Files.readAllBytes(Path.of(arguments[1]));
      json = warm(2, 3, () -> new ObjectMapper().readTree(text));
    }
    System.out.printf(
        "%f %f %f %f%n",
        open * 1e6, find / names.size() * 1e9, overlap / tensors.size() * 1e6, json * 1e3);
  }
}
