// columns/weigher.hpp - random weights of boxes, by which a tiling is told from anything else.
//
// Let f(x) be how many boxes hold element x, and let every unit interval of every dimension have a random weight modulo
// the prime p = 2^61 - 1. The total weight of the boxes less that of the tensor is a polynomial in those random
// numbers; it is the zero polynomial only if f is 1 everywhere in the tensor. Otherwise it is 0 by chance only, at most
// degree / p (Schwartz and Zippel). What is hashed is the prefix sum of the weights, so that a box costs two numbers
// per dimension.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace flatpoint::columns {

/// A number modulo 2^61 - 1.
class Weight {
 public:
  Weight() = default;
  explicit constexpr Weight(std::uint64_t value) noexcept : value_(reduce(value)) {}

  friend constexpr Weight operator+(Weight a, Weight b) noexcept { return Weight(a.value_ + b.value_); }
  friend constexpr Weight operator-(Weight a, Weight b) noexcept { return Weight(a.value_ + kPrime - b.value_); }
  friend constexpr Weight operator*(Weight a, Weight b) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a.value_) * b.value_;
    return Weight((static_cast<std::uint64_t>(product) & kPrime) + static_cast<std::uint64_t>(product >> 61));
  }
  friend constexpr bool operator==(Weight a, Weight b) noexcept = default;

 private:
  static constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61) - 1;
  static constexpr std::uint64_t reduce(std::uint64_t value) noexcept {
    value = (value & kPrime) + (value >> 61);
    return value >= kPrime ? value - kPrime : value;
  }

  std::uint64_t value_ = 0;
};

/// Weighs boxes, interval by interval. Neighbours in a list of boxes share coordinates, so the last interval of each
/// dimension is remembered.
class Weigher {
 public:
  /// Draws the random numbers.
  explicit Weigher(std::size_t ndim);

  /// Weight of [begin, end) along a dimension. REQUIRES: dimension < ndim, begin <= end.
  Weight interval(std::size_t dimension, std::int64_t begin, std::int64_t end) noexcept {
    Last& last = last_[dimension];
    if (begin == last.begin && end == last.end) return last.weight;
    const Weight at_begin = begin == last.end     ? last.at_end
                            : begin == last.begin ? last.at_begin
                                                  : number(last.seed, begin);
    const Weight at_end = end == last.end ? last.at_end : number(last.seed, end);
    last = {last.seed, begin, end, at_begin, at_end, at_end - at_begin};
    return last.weight;
  }

 private:
  struct Last {
    std::uint64_t seed;
    std::int64_t begin, end;
    Weight at_begin, at_end, weight;
  };

  static Weight number(std::uint64_t seed, std::int64_t coordinate) noexcept;

  std::vector<Last> last_;  // per dimension
};

/// What weighing tells of the boxes of a tensor.
struct TilingVerdict {
  bool inside;  // no box reaches outside
  bool tiles;   // the boxes, cut off at the tensor's edges, tile it
  bool any_empty;
};

/// `boxes`: per box as many offsets, then as many sizes as `size` has values; any numbers. REQUIRES: no size is
/// negative; `weigher` was made for as many dimensions.
TilingVerdict weigh(Weigher& weigher, std::span<const std::int64_t> size, std::span<const std::int64_t> boxes,
                    std::uint32_t count) noexcept;

}  // namespace flatpoint::columns
