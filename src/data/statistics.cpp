
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "data/numbers.hpp"
#include "data/slabs.hpp"
#include "flatpoint/data.hpp"

namespace flatpoint::data {
namespace {

constexpr std::size_t kElements = 4096;  // elements that are looked at together; their floats stay in the L1 cache

/// Moments of some numbers, which can be joined.
struct Moments {
  std::uint64_t zeros = 0;
  std::uint64_t nans = 0;
  std::uint64_t infinities = 0;
  std::uint64_t finite = 0;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  double mean = 0;
  double squares = 0;  // of the differences from the mean

  /// Joins `count` finite numbers (Chan, Golub, LeVeque): the sums are those of their differences from `origin`.
  void add_finite(std::uint64_t count, double origin, double sum, double sum_of_squares) {
    if (count == 0) return;
    const double from_origin = sum / static_cast<double>(count);
    const double other_squares = std::max(0.0, sum_of_squares - sum * from_origin);
    const double other_mean = origin + from_origin;
    const double total = static_cast<double>(finite + count);
    const double difference = other_mean - mean;
    squares +=
        other_squares + difference * difference * static_cast<double>(finite) * static_cast<double>(count) / total;
    mean += difference * static_cast<double>(count) / total;
    finite += count;
  }
};

/// One by one, in double.
template <class Number>
void add_slowly(std::span<const Number> numbers, Moments& moments) {
  for (const Number number : numbers) {
    const auto x = static_cast<double>(number);
    if (std::isnan(x)) {
      ++moments.nans;
      continue;
    }
    moments.min = std::min(moments.min, x);
    moments.max = std::max(moments.max, x);
    moments.zeros += x == 0 ? 1 : 0;
    if (std::isinf(x)) {
      ++moments.infinities;
    } else {
      moments.add_finite(1, x, 0, 0);
    }
  }
}

/// A number that the next ones are probably near to.
inline float near_mean_of(const float* at, const Moments& moments) {
  const float first = moments.finite > 0 ? static_cast<float>(moments.mean) : *at;
  return std::isfinite(first) ? first : 0.0F;
}

constexpr std::size_t kLanes = 8;
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Ints = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

/// Eight lanes side by side; the compiler makes instructions of them as the caller's target allows. Sums in float are
/// those of at most 512 numbers a lane. False where numbers are so large that float would not do. REQUIRES: kLanes
/// divides the count.
__attribute__((always_inline)) inline bool add_lanes(const float* at, std::size_t count, Moments& moments) {
  Floats least = Floats{} + std::numeric_limits<float>::infinity();
  Floats most = Floats{} - std::numeric_limits<float>::infinity();
  const float near_mean = near_mean_of(at, moments);
  Floats sum{};  // of the differences from near_mean, and below of their squares: what is added up stays small
  Floats squares{};
  Ints nans{};
  Ints infinities{};
  Ints zeros{};
  const Ints magnitude = Ints{} + 0x7FFFFFFF;
  const Ints infinite = Ints{} + 0x7F800000;
  for (std::size_t i = 0; i < count; i += kLanes) {
    Floats x;
    std::memcpy(&x, at + i, sizeof x);
    Ints bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits &= magnitude;
    nans -= bits > infinite;
    infinities -= bits == infinite;
    zeros -= bits == 0;
    least = x < least ? x : least;
    most = x > most ? x : most;
    const Ints is_finite = bits < infinite;
    const Floats difference = x - near_mean;
    Ints kept;
    std::memcpy(&kept, &difference, sizeof kept);
    kept &= is_finite;
    Floats finite;
    std::memcpy(&finite, &kept, sizeof finite);
    sum += finite;
    squares += finite * finite;
  }
  double total = 0;
  double total_of_squares = 0;
  std::uint64_t special = 0;
  Moments found;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    found.min = std::min(found.min, static_cast<double>(least[lane]));
    found.max = std::max(found.max, static_cast<double>(most[lane]));
    total += static_cast<double>(sum[lane]);
    total_of_squares += static_cast<double>(squares[lane]);
    found.nans += static_cast<std::uint64_t>(nans[lane]);
    found.infinities += static_cast<std::uint64_t>(infinities[lane]);
    found.zeros += static_cast<std::uint64_t>(zeros[lane]);
  }
  special = found.nans + found.infinities;
  constexpr double kLarge = 1e15;  // squares of these, added up, would leave float
  const bool large = found.infinities == 0 && found.nans < count && (found.max > kLarge || found.min < -kLarge);
  if (large || (found.infinities > 0 && !std::isfinite(total_of_squares))) return false;
  if (!std::isfinite(total_of_squares)) return false;
  moments.min = std::min(moments.min, found.min);
  moments.max = std::max(moments.max, found.max);
  moments.nans += found.nans;
  moments.infinities += found.infinities;
  moments.zeros += found.zeros;
  moments.add_finite(count - special, static_cast<double>(near_mean), total, total_of_squares);
  return true;
}

bool add_lanes_default(const float* at, std::size_t count, Moments& moments) { return add_lanes(at, count, moments); }

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) bool add_lanes_avx2(const float* at, std::size_t count, Moments& moments) {
  return add_lanes(at, count, moments);
}
const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#endif

void add_floats(std::span<const float> numbers, Moments& moments) {
  const std::size_t whole = numbers.size() - numbers.size() % kLanes;
#if defined(__x86_64__)
  const auto add = kHasAvx2 ? add_lanes_avx2 : add_lanes_default;
#else
  const auto add = add_lanes_default;
#endif
  if (whole > 0 && !add(numbers.data(), whole, moments)) add_slowly(numbers.first(whole), moments);
  add_slowly(numbers.subspan(whole), moments);
}

/// Adds the elements of one dtype, from their bytes.
class Adder {
 public:
  explicit Adder(ScalarType dtype) : dtype_(dtype), table_(byte_table(dtype)) {}

  void add(std::span<const std::byte> bytes, Moments& moments) {
    const std::size_t element = item_size(dtype_);
    for (std::size_t done = 0; done < bytes.size(); done += kElements * element) {
      add_batch(bytes.subspan(done, std::min(kElements * element, bytes.size() - done)), moments);
    }
  }

 private:
  void add_batch(std::span<const std::byte> bytes, Moments& moments) {
    switch (dtype_) {
      case ScalarType::Float64: return add_numbers<double>(bytes, moments);
      case ScalarType::Int16: return add_numbers<std::int16_t>(bytes, moments);
      case ScalarType::Int32: return add_numbers<std::int32_t>(bytes, moments);
      case ScalarType::Int64: return add_numbers<std::int64_t>(bytes, moments);
      case ScalarType::Uint16: return add_numbers<std::uint16_t>(bytes, moments);
      case ScalarType::Uint32: return add_numbers<std::uint32_t>(bytes, moments);
      case ScalarType::Uint64: return add_numbers<std::uint64_t>(bytes, moments);
      case ScalarType::Float32:
        std::memcpy(floats_.data(), bytes.data(), bytes.size());
        return add_floats(std::span(floats_).first(bytes.size() / sizeof(float)), moments);
      case ScalarType::Bfloat16:
        return convert(
            bytes, [](std::uint16_t bits) { return from_bfloat16(bits); }, moments);
      case ScalarType::Float16:
        return convert(
            bytes, [](std::uint16_t bits) { return from_float16(bits); }, moments);
      default: break;
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) floats_[i] = (*table_)[static_cast<std::size_t>(bytes[i])];
    add_floats(std::span(floats_).first(bytes.size()), moments);
  }

  template <class Number>
  void add_numbers(std::span<const std::byte> bytes, Moments& moments) {
    std::array<Number, kElements> numbers;
    std::memcpy(numbers.data(), bytes.data(), bytes.size());
    add_slowly<Number>(std::span(numbers).first(bytes.size() / sizeof(Number)), moments);
  }

  /// `from` is a type of its own, so that no element costs a call.
  template <class Convert>
  void convert(std::span<const std::byte> bytes, Convert from, Moments& moments) {
    const std::size_t count = bytes.size() / sizeof(std::uint16_t);
    std::array<std::uint16_t, kElements> halves;
    std::memcpy(halves.data(), bytes.data(), bytes.size());
    for (std::size_t i = 0; i < count; ++i) floats_[i] = from(halves[i]);
    add_floats(std::span(floats_).first(count), moments);
  }

  ScalarType dtype_;
  std::optional<ByteTable> table_;
  std::array<float, kElements> floats_;
};

/// Every element of a tensor once, a slab of a chunk's rows at a time.
class Pass {
 public:
  Pass(const Reader& reader, const TensorView& tensor, const std::function<void(std::uint64_t)>& progress)
      : reader_(reader), tensor_(tensor), progress_(progress), adder_(tensor.dtype()) {}

  Result<Moments> run() {
    if (!is_number(tensor_.dtype())) {
      return fail(ErrorCode::NotPlain,
                  fmt::format("FQN '{}': {} has no statistics", tensor_.fqn(), tensor_.dtype_name()));
    }
    RETURN_IF_ERROR(box_bytes(tensor_, tensor_.size()));
    const auto add = [this](std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes,
                            std::uint64_t bytes) -> Result<void> {
      slab_.resize(std::max<std::size_t>(slab_.size(), bytes));
      const auto read = reader_.read(tensor_, offsets, sizes, {slab_.data(), {}});
      RETURN_IF_ERROR(read);
      adder_.add(std::span(slab_).first(bytes), moments_);
      if (progress_) progress_(done_ += bytes);
      return {};
    };
    const Size corner(tensor_.size().size(), 0);
    RETURN_IF_ERROR(for_each_slab(corner, tensor_.size(), item_size(tensor_.dtype()), add));
    return moments_;
  }

 private:
  const Reader& reader_;
  const TensorView& tensor_;
  const std::function<void(std::uint64_t)>& progress_;
  std::uint64_t done_ = 0;
  Adder adder_;
  Moments moments_;
  std::vector<std::byte> slab_;
};

}  // namespace

Result<TensorStatistics> statistics(const Reader& reader, const TensorView& tensor,
                                    const std::function<void(std::uint64_t)>& progress) {
  const auto moments = Pass(reader, tensor, progress).run();
  RETURN_IF_ERROR(moments);
  TensorStatistics result;
  result.zeros = moments->zeros;
  result.nans = moments->nans;
  result.infinities = moments->infinities;
  result.elements = moments->finite + moments->nans + moments->infinities;
  if (moments->min <= moments->max) {
    result.min = moments->min;
    result.max = moments->max;
  }
  result.mean = moments->mean;
  if (moments->finite > 0) result.std = std::sqrt(moments->squares / static_cast<double>(moments->finite));
  return result;
}

}  // namespace flatpoint::data
