#include "data/copy_box.hpp"

#include <algorithm>
#include <cstring>

#include "base/failing.hpp"

namespace flatpoint::data {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{16} << 20;    // of a long run: so often a stop is looked for
constexpr std::uint64_t kLongRun = std::uint64_t{64} << 10;  // worth a call of its own, whatever lies around
constexpr std::uint64_t kRunCost = std::uint64_t{1} << 10;   // a call costs as much as reading so many bytes
constexpr std::size_t kBatch = 64;                           // runs that are asked for at once

template <std::size_t kSize>
void copy_elements(std::byte* to, const std::byte* from, const BoxDimension& dimension) noexcept {
  for (std::int64_t i = 0; i < dimension.length; ++i) {
    std::memcpy(to, from, kSize);
    to += dimension.to;
    from += dimension.from;
  }
}

/// Puts the runs of a tile in place.
void scatter(std::byte* to, const std::byte* from, std::span<const BoxDimension> dimensions,
             std::uint64_t run) noexcept {
  if (dimensions.empty()) {
    std::memcpy(to, from, run);
    return;
  }
  const BoxDimension& dimension = dimensions.front();
  if (dimensions.size() == 1) {
    switch (run) {
      case 1: return copy_elements<1>(to, from, dimension);
      case 2: return copy_elements<2>(to, from, dimension);
      case 4: return copy_elements<4>(to, from, dimension);
      case 8: return copy_elements<8>(to, from, dimension);
      default: break;
    }
  }
  for (std::int64_t i = 0; i < dimension.length; ++i) {
    scatter(to + i * dimension.to, from + i * dimension.from, dimensions.subspan(1), run);
  }
}

/// One copy. Levels are dimensions, outermost first; `Place` is where a level begins on both sides.
class Copier {
 public:
  Copier(CopySource& source, const BoxRuns& runs, const ReadOptions& options, Scratch& scratch, ReadReport& report)
      : source_(source), runs_(runs), options_(options), scratch_(scratch), report_(report) {
    const std::size_t levels = runs.dimensions.size();
    extents_.resize(levels + 1, runs.run);
    counts_.resize(levels + 1, 1);
    for (std::size_t level = levels; level-- > 0;) {
      const BoxDimension& dimension = runs.dimensions[level];
      const auto length = static_cast<std::uint64_t>(dimension.length);
      extents_[level] = extents_[level + 1] + (length - 1) * static_cast<std::uint64_t>(dimension.from);
      counts_[level] = counts_[level + 1] * length;
    }
  }

  Result<void> copy(std::uint64_t from, std::byte* to) {
    return copy_level(0, from, to).and_then([this] { return flush(); });
  }

 private:
  Result<void> copy_level(std::size_t level, std::uint64_t from, std::byte* to) {
    if (level == runs_.dimensions.size()) return add_run(from, to);
    if (pays(extents_[level], counts_[level])) return read_tile(level, from, to, runs_.dimensions[level].length);
    const BoxDimension& dimension = runs_.dimensions[level];
    const std::int64_t group = group_size(level);
    for (std::int64_t i = 0; i < dimension.length; i += group) {
      if (options_.stop.stop_requested()) return fail(ErrorCode::Io, "reading was stopped");
      const std::uint64_t from_here = from + static_cast<std::uint64_t>(i * dimension.from);
      std::byte* const to_here = to + i * dimension.to;
      auto done = group == 1 ? copy_level(level + 1, from_here, to_here)
                             : read_tile(level, from_here, to_here, std::min(group, dimension.length - i));
      RETURN_IF_ERROR(done);
    }
    return {};
  }

  /// Whether so many runs are better read together, with what lies between them.
  [[nodiscard]] bool pays(std::uint64_t extent, std::uint64_t count) const noexcept {
    if (extent > options_.block || runs_.run >= kLongRun) return false;
    const std::uint64_t needed = count * runs_.run;
    return static_cast<double>(extent) <=
           static_cast<double>(needed) * options_.max_over_read + static_cast<double>(count * kRunCost);
  }

  /// How many indices of a level are read together; 1: they are taken one by one.
  [[nodiscard]] std::int64_t group_size(std::size_t level) const noexcept {
    const BoxDimension& dimension = runs_.dimensions[level];
    const std::uint64_t inner = extents_[level + 1];
    if (dimension.from == 0 || inner >= options_.block) return 1;
    const std::uint64_t more = (options_.block - inner) / static_cast<std::uint64_t>(dimension.from);
    const auto group =
        static_cast<std::int64_t>(std::min<std::uint64_t>(more, static_cast<std::uint64_t>(dimension.length) - 1)) + 1;
    if (group == 1) return 1;
    const std::uint64_t extent = inner + static_cast<std::uint64_t>((group - 1) * dimension.from);
    return pays(extent, static_cast<std::uint64_t>(group) * counts_[level + 1]) ? group : 1;
  }

  Result<void> read_tile(std::size_t level, std::uint64_t from, std::byte* to, std::int64_t length) {
    BoxDimension first = runs_.dimensions[level];
    first.length = length;
    const std::uint64_t extent = extents_[level + 1] + static_cast<std::uint64_t>((length - 1) * first.from);
    if (scratch_.size() < extent) scratch_.resize(std::max(extent, options_.block));
    const RangeReader::Request request{from, std::span(scratch_).first(extent)};
    RETURN_IF_ERROR(source_.read({&request, 1}));
    report_.read_bytes += extent;
    const auto inner = std::span(runs_.dimensions).subspan(level + 1);
    if (inner.empty()) {
      scatter(to, scratch_.data(), {&first, 1}, runs_.run);
      return {};
    }
    for (std::int64_t i = 0; i < length; ++i)
      scatter(to + i * first.to, scratch_.data() + i * first.from, inner, runs_.run);
    return {};
  }

  Result<void> add_run(std::uint64_t from, std::byte* to) {
    report_.read_bytes += runs_.run;
    for (std::uint64_t done = 0; done < runs_.run; done += kPiece) {
      if (runs_.run > kPiece && options_.stop.stop_requested()) return fail(ErrorCode::Io, "reading was stopped");
      batch_.push_back({from + done, {to + done, static_cast<std::size_t>(std::min(kPiece, runs_.run - done))}});
      if (batch_.size() < kBatch && runs_.run < kPiece) continue;
      RETURN_IF_ERROR(flush());
    }
    return {};
  }

  Result<void> flush() {
    if (batch_.empty()) return {};
    auto done = source_.read(batch_);
    batch_.clear();
    return done;
  }

  CopySource& source_;
  const BoxRuns& runs_;
  const ReadOptions& options_;
  Scratch& scratch_;
  ReadReport& report_;
  std::vector<std::uint64_t> extents_;  // bytes from the first to the last of a level, in the file
  std::vector<std::uint64_t> counts_;   // runs of a level
  std::vector<RangeReader::Request> batch_;
};

}  // namespace

BoxRuns runs_of(const BoxCopy& copy) {
  BoxRuns runs{{}, copy.element};
  auto& dimensions = runs.dimensions;
  for (const BoxDimension& dimension : copy.dimensions) {
    if (dimension.length <= 0) return {{}, 0};
    if (dimension.length > 1) dimensions.push_back(dimension);
  }
  std::ranges::stable_sort(dimensions, std::ranges::greater(), &BoxDimension::from);
  const auto run = [&] { return static_cast<std::int64_t>(runs.run); };
  while (!dimensions.empty() && dimensions.back().from == run() && dimensions.back().to == run()) {
    runs.run *= static_cast<std::uint64_t>(dimensions.back().length);
    dimensions.pop_back();
  }
  for (std::size_t i = dimensions.size(); i-- > 1;) {
    const BoxDimension inner = dimensions[i];
    BoxDimension& outer = dimensions[i - 1];
    if (outer.from != inner.from * inner.length || outer.to != inner.to * inner.length) continue;
    outer = {outer.length * inner.length, inner.from, inner.to};
    dimensions.erase(dimensions.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return runs;
}

Result<void> copy_box(CopySource& source, const BoxCopy& copy, const ReadOptions& options, Scratch& scratch,
                      ReadReport& report) {
  const BoxRuns runs = runs_of(copy);
  if (runs.run == 0) return {};
  std::uint64_t needed = runs.run;
  for (const BoxDimension& dimension : runs.dimensions) needed *= static_cast<std::uint64_t>(dimension.length);
  report.needed_bytes += needed;
  return Copier(source, runs, options, scratch, report).copy(copy.begin, copy.to);
}

}  // namespace flatpoint::data
