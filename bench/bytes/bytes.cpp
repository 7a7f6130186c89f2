// scripts/bench data: reads the tensors of a checkpoint, as report.py says on standard input, a line each:
//
//   find               where the bytes of all chunks begin, from `.metadata`; seconds per chunk
//   find-cpu           the same; CPU seconds
//   whole              the tensor "whole"; seconds
//   plain              the same bytes by bare preads; seconds
//   rank D WORLD RANK  a rank's box of every tensor "layers.*", sharded in dimension D; seconds
//   read D WORLD RANK  the same; bytes read by bytes needed
//
// Without a folder each line is a command, its words apart by tabs: seconds, CPU seconds and peak memory in bytes of
// its process. A large process cannot tell these: what it forks begins with its own peak.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "flatpoint/data.hpp"

using namespace flatpoint;

namespace {

template <class T>
T expect(Result<T> result) {
  if (result) return std::move(*result);
  std::cerr << result.error().message << '\n';
  std::exit(1);
}

template <class Work>
double cpu_seconds(Work&& work) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  };
  const double begin = now();
  work();
  return now() - begin;
}

template <class Work>
double seconds(Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Memory that was touched before it is read into.
std::byte* memory(std::size_t bytes) {
  static std::vector<std::byte> arena;
  if (arena.size() < bytes) arena.resize(bytes, std::byte{1});
  return arena.data();
}

Size byte_strides(std::span<const std::int64_t> sizes, std::int64_t element) {
  Size strides(sizes.size(), element);
  for (std::size_t d = sizes.size(); d-- > 1;) strides[d - 1] = strides[d] * sizes[d];
  return strides;
}

/// What one rank wants, planned, with memory for it.
struct RankPlan {
  RankPlan(const MetadataView& metadata, std::size_t dimension, std::int64_t world, std::int64_t rank) {
    for (std::uint32_t i = 0; i < metadata.size(); ++i) {
      const auto tensor = metadata.entry(i)->tensor();
      if (!tensor || !tensor->fqn().starts_with("layers.")) continue;
      const auto size = tensor->size();
      Size box(2 * size.size(), 0);
      std::copy(size.begin(), size.end(), box.begin() + static_cast<std::ptrdiff_t>(size.size()));
      const std::int64_t part = (size[dimension] + world - 1) / world;  // as torch.chunk cuts
      box[dimension] = std::min(part * rank, size[dimension]);
      box[size.size() + dimension] = std::min(part, size[dimension] - box[dimension]);
      const Size sizes(box.begin() + static_cast<std::ptrdiff_t>(size.size()), box.end());
      boxes.push_back(std::move(box));
      strides.push_back(byte_strides(sizes, item_size(tensor->dtype())));
      begins.push_back(bytes);
      bytes += static_cast<std::size_t>(sizes[0] * strides.back()[0]);
      wanted.push_back({.fqn = tensor->fqn(), .size = size, .box_count = 1, .boxes = boxes.back(), .dtype = {}});
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i].boxes = boxes[i];
    plan = expect(plan_load(metadata, wanted));
    std::byte* const to = memory(bytes);
    for (std::uint32_t i = 0; i < plan.size(); ++i) {
      const std::uint32_t tensor = plan.item(i).wanted();
      destinations.push_back({to + begins[tensor], strides[tensor]});
    }
  }

  std::vector<Size> boxes, strides;
  std::vector<std::size_t> begins;
  std::size_t bytes = 0;
  std::vector<Wanted> wanted;
  LoadPlan plan;
  std::vector<data::Destination> destinations;
};

TensorView whole_of(const MetadataView& metadata) { return *metadata.find("whole")->tensor(); }

double read_whole(const MetadataView& metadata, const std::filesystem::path& folder) {
  const TensorView tensor = whole_of(metadata);
  std::byte* const to = memory(expect(data::box_bytes(tensor, tensor.size())));
  const Size corner(tensor.size().size(), 0);
  return seconds([&] {
    const auto reader = expect(data::Reader::open(metadata, folder));
    expect(reader.read(tensor, corner, tensor.size(), {.data = to, .byte_strides = {}}));
  });
}

double read_plain(const MetadataView& metadata, const std::filesystem::path& folder) {
  const TensorView tensor = whole_of(metadata);
  std::byte* to = memory(expect(data::box_bytes(tensor, tensor.size())));
  const auto reader = expect(data::Reader::open(metadata, folder));
  std::vector<std::pair<std::string, data::ByteRange>> ranges;
  for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
    const auto range = expect(reader.locate(tensor, *tensor.chunk(i))).range;
    ranges.emplace_back((folder / *metadata.file_name(range.file)).string(), range);
  }
  return seconds([&] {
    for (const auto& [path, range] : ranges) {
      const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
      for (std::uint64_t done = 0; done < range.length;) {
        const ssize_t n = ::pread(file, to + done, range.length - done, static_cast<off_t>(range.offset + done));
        if (n <= 0) std::exit(1);
        done += static_cast<std::uint64_t>(n);
      }
      to += range.length;
      ::close(file);
    }
  });
}

void run_command(std::string line) {
  std::vector<char*> words;
  for (std::size_t begin = 0; begin < line.size();) {
    words.push_back(line.data() + begin);
    const std::size_t end = std::min(line.find('\t', begin), line.size());
    if (end < line.size()) line[end] = '\0';
    begin = end + 1;
  }
  words.push_back(nullptr);
  rusage usage{};
  int status = 0;
  const double wall = seconds([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
      ::execvp(words[0], words.data());
      ::_exit(127);
    }
    ::wait4(child, &status, 0, &usage);
  });
  if (status != 0) std::exit(1);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  std::cout << wall << ' ' << of(usage.ru_utime) + of(usage.ru_stime) << ' ' << usage.ru_maxrss * 1024 << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  std::string line;
  std::cout.precision(9);
  if (argc == 1) {
    while (std::getline(std::cin, line)) run_command(line);
    return 0;
  }
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  const auto pickle = expect(dcp::open_checkpoint(folder / dcp::kPickleName));
  const auto found = expect(data::find_data(pickle.file.view(), folder));
  const auto file = expect(MetadataFile::from_bytes(found.bytes.bytes()));
  const MetadataView metadata = file.view();
  while (std::getline(std::cin, line)) {
    const std::string word = line.substr(0, line.find(' '));
    double answer = 0;
    if (word == "find" || word == "find-cpu") {
      const auto find = [&] { expect(data::find_data(pickle.file.view(), folder)); };
      answer = (word == "find" ? seconds(find) : cpu_seconds(find)) /
               static_cast<double>(std::max<std::uint64_t>(found.chunks, 1));
    } else if (word == "whole") {
      answer = read_whole(metadata, folder);
    } else if (word == "plain") {
      answer = read_plain(metadata, folder);
    } else {
      unsigned long dimension = 0;
      long world = 0, rank = 0;
      if (std::sscanf(line.c_str() + word.size(), "%lu %ld %ld", &dimension, &world, &rank) != 3) return 2;
      const RankPlan wanted(metadata, dimension, world, rank);
      data::ReadReport report;
      answer = seconds([&] {
        const auto reader = expect(data::Reader::open(metadata, folder));
        report = expect(reader.read(wanted.plan, wanted.destinations));
      });
      if (word == "read") answer = static_cast<double>(report.read_bytes) / static_cast<double>(report.needed_bytes);
    }
    std::cout << answer << std::endl;
  }
  return 0;
}
