#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"
#include "data/numbers.hpp"
#include "data/slabs.hpp"
#include "flatpoint/data_diff.hpp"

namespace flatpoint::data {
namespace {

class Comparer {
 public:
  Comparer(const Reader& a, const TensorView& x, const Reader& b, const TensorView& y, const CompareOptions& options)
      : a_(a), b_(b), x_(x), y_(y), options_(options), is_number_(is_number(x.dtype())) {}

  Result<ValueDifference> run() {
    RETURN_IF_ERROR(box_bytes(x_, x_.size()));
    if (item_size(x_.dtype()) == 0) {
      return fail(ErrorCode::NotPlain, fmt::format("FQN '{}': {} has no item size, so that its values cannot be told",
                                                   x_.fqn(), x_.dtype_name()));
    }
    const auto done = has_same_chunks() ? compare_chunks() : compare_box(Size(x_.size().size(), 0), x_.size());
    if (!done && !is_decided_) return tl::unexpected(done.error());
    if (is_number_ && !found_.same && options_.all) found_.largest = largest_;
    return found_;
  }

 private:
  [[nodiscard]] bool has_same_chunks() const {
    if (x_.chunk_count() != y_.chunk_count()) return false;
    for (std::uint32_t i = 0; i < x_.chunk_count(); ++i) {
      const auto p = x_.chunk_by_row(i);
      const auto q = y_.chunk_by_row(i);
      if (!p || !q || p->to_value() != q->to_value()) return false;
    }
    return x_.chunk_count() > 0;
  }

  Result<void> compare_chunks() {
    for (std::uint32_t i = 0; i < x_.chunk_count(); ++i) {
      const ChunkView p = *x_.chunk_by_row(i);
      const ChunkStorageMetadata box = p.to_value();
      if (columns::is_empty(box.sizes)) continue;
      const std::optional<bool> same = by_checksums(p, *y_.chunk_by_row(i));
      if (same == true) continue;
      if (same == false && !options_.all) return differ();
      RETURN_IF_ERROR(compare_box(box.offsets, box.sizes));
    }
    return {};
  }

  /// What checksums say of two chunks; unset where that is nothing. Equal CRC-32s say nothing: these are too short.
  [[nodiscard]] std::optional<bool> by_checksums(const ChunkView& p, const ChunkView& q) const {
    const auto here = a_.locate(x_, p);
    const auto there = b_.locate(y_, q);
    if (!here || !there) return std::nullopt;  // not plain; reading says what else is wrong
    if (here->xxh3 && there->xxh3) return here->xxh3 == there->xxh3;
    if (here->crc32 && there->crc32 && here->crc32 != there->crc32) return false;
    return std::nullopt;
  }

  /// Ends the comparison: the first difference is enough.
  Result<void> differ() {
    found_.same = false;
    is_decided_ = true;
    return fail(ErrorCode::Conflict, "different");
  }

  Result<void> compare_box(std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes) {
    return for_each_slab(offsets, sizes, item_size(x_.dtype()),
                         [this](std::span<const std::int64_t> at, std::span<const std::int64_t> extent,
                                std::uint64_t bytes) { return compare_slab(at, extent, bytes); });
  }

  Result<void> compare_slab(std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes,
                            std::uint64_t bytes) {
    p_.resize(std::max<std::size_t>(p_.size(), bytes));
    q_.resize(p_.size());
    const auto here = a_.read(x_, offsets, sizes, {p_.data(), {}});
    RETURN_IF_ERROR(here);
    const auto there = b_.read(y_, offsets, sizes, {q_.data(), {}});
    RETURN_IF_ERROR(there);
    done_ += bytes;
    if (options_.progress) options_.progress(done_);
    if (std::memcmp(p_.data(), q_.data(), bytes) == 0) return {};
    if (!options_.all) return differ();
    found_.same = false;
    count(bytes);
    return {};
  }

  /// Counts the elements that differ, and how far.
  void count(std::uint64_t bytes) {
    constexpr std::size_t kElements = 1024;
    const std::size_t element = item_size(x_.dtype());
    std::array<double, kElements> left, right;
    for (std::uint64_t done = 0; done < bytes; done += kElements * element) {
      const std::size_t part = std::min<std::uint64_t>(kElements * element, bytes - done);
      const auto p = std::span(p_).subspan(done, part);
      const auto q = std::span(q_).subspan(done, part);
      if (std::ranges::equal(p, q)) continue;
      const std::size_t elements = part / element;
      if (is_number_) to_doubles(x_.dtype(), p, std::span(left).first(elements));
      if (is_number_) to_doubles(x_.dtype(), q, std::span(right).first(elements));
      for (std::size_t i = 0; i < elements; ++i) {
        if (std::memcmp(p.data() + i * element, q.data() + i * element, element) == 0) continue;
        ++found_.elements;
        if (is_number_) add(left[i], right[i]);
      }
    }
  }

  void add(double left, double right) {
    if (std::isnan(left) && std::isnan(right)) return;
    const double difference = left == right ? 0 : std::abs(left - right);  // infinities are equal to themselves
    largest_ = std::isnan(difference) || std::isnan(largest_) ? std::numeric_limits<double>::quiet_NaN()
                                                              : std::max(largest_, difference);
  }

  const Reader& a_;
  const Reader& b_;
  const TensorView& x_;
  const TensorView& y_;
  const CompareOptions& options_;
  const bool is_number_;
  ValueDifference found_;
  bool is_decided_ = false;
  std::uint64_t done_ = 0;
  double largest_ = 0;
  std::vector<std::byte> p_;
  std::vector<std::byte> q_;
};

}  // namespace

Result<ValueDifference> compare(const Reader& a, const TensorView& x, const Reader& b, const TensorView& y,
                                const CompareOptions& options) {
  return Comparer(a, x, b, y, options).run();
}

Result<bool> equal_items(const Reader& a, const EntryView& x, const Reader& b, const EntryView& y) {
  const auto here = a.read_item(x);
  RETURN_IF_ERROR(here);
  const auto there = b.read_item(y);
  RETURN_IF_ERROR(there);
  if (*here == *there) return true;
  const auto left = a.read_value(x);
  const auto right = b.read_value(y);
  return left && right && *left == *right;
}

}  // namespace flatpoint::data
