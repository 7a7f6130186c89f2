#include "write/builder_checks.hpp"

#include <algorithm>
#include <optional>

#include "base/format.hpp"
#include "columns/boxes.hpp"

namespace flatpoint::write {
namespace {

constexpr std::size_t kMaxRows = format::kMaxFileSize / sizeof(std::uint32_t);

/// A column has a value per chunk, one for all, or none where that has a meaning.
Result<void> check_length(const char* column, std::size_t values, std::size_t count, bool may_be_empty) {
  if (values == count || values == 1 || (values == 0 && may_be_empty)) return {};
  return fail(ErrorCode::InvalidArgument, fmt::format("column {} has {} values for {} chunks", column, values, count));
}

template <class T>
Result<void> check_below(const char* what, std::span<const T> numbers, std::uint64_t end,
                         std::optional<T> exception = {}) {
  for (const T number : numbers) {
    if (number < end || number == exception) continue;
    return fail(ErrorCode::InvalidArgument, fmt::format("{} {} is unknown: there are {}", what, number, end));
  }
  return {};
}

}  // namespace

tl::unexpected<Error> invalid(std::string_view fqn, std::string_view what) {
  return fail(ErrorCode::InvalidArgument, fmt::format("FQN '{}': {}", fqn, what));
}

Result<void> check_fqn(std::string_view fqn) {
  if (fqn.size() <= format::kMaxFileSize) return {};
  return fail(ErrorCode::TooLarge, fmt::format("an FQN of {} bytes passes the format's limit of 2 GiB", fqn.size()));
}

Result<void> check_size(std::string_view fqn, std::span<const std::int64_t> size) {
  std::int64_t elements = 1;
  bool overflows = false;
  for (const std::int64_t n : size) {
    if (n < 0) return invalid(fqn, fmt::format("size {} has a negative dimension", columns::to_string(size)));
    overflows |= __builtin_mul_overflow(elements, std::max<std::int64_t>(n, 1), &elements);
  }
  if (overflows) return invalid(fqn, fmt::format("size {} has more than 2^63 - 1 elements", columns::to_string(size)));
  return {};
}

Result<void> check_boxes(std::string_view fqn, std::span<const std::int64_t> size, std::size_t count,
                         const std::int64_t* offsets, const std::int64_t* sizes) {
  const std::size_t ndim = size.size();
  for (std::size_t i = 0; i < count; ++i, offsets += ndim, sizes += ndim) {
    if (columns::lies_inside(size, offsets, sizes)) continue;
    return invalid(fqn, fmt::format("chunk with offsets {} sizes {} is not inside the tensor of size {}",
                                    columns::to_string({offsets, ndim}), columns::to_string({sizes, ndim}),
                                    columns::to_string(size)));
  }
  return {};
}

Result<void> check_columns(const ChunkColumns& chunks, std::size_t box_values, std::size_t files,
                           std::size_t transform_lists, bool is_strict) {
  const std::size_t n = chunks.count;
  if (n > kMaxRows) return fail(ErrorCode::TooLarge, fmt::format("{} chunks pass the format's limit of 2 GiB", n));
  if (chunks.offsets.size() != box_values || chunks.sizes.size() != box_values) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("columns offsets and sizes have {} and {} values; {} chunks need {}", chunks.offsets.size(),
                            chunks.sizes.size(), n, box_values));
  }
  const StoredColumns& stored = chunks.stored;
  const bool unstored = stored.files.empty();
  const auto length = [n](const char* column, const auto& values, bool may_be_empty) {
    return check_length(column, values.size(), n, may_be_empty);
  };
  return length("files", stored.files, true)
      .and_then([&] { return length("byte_offsets", stored.byte_offsets, unstored); })
      .and_then([&] { return length("lengths", stored.lengths, unstored); })
      .and_then([&] { return length("transforms", stored.transforms, true); })
      .and_then([&] { return length("data_begins", stored.data_begins, true); })
      .and_then([&] { return length("checksums", stored.checksums, true); })
      .and_then([&] { return length("ranks", chunks.ranks, true); })
      .and_then([&] { return check_below<std::uint32_t>("file", stored.files, files, kNoFile); })
      .and_then([&] { return check_below<std::uint16_t>("transform list", stored.transforms, transform_lists + 1); })
      .and_then([&]() -> Result<void> {
        for (std::size_t i = 0; is_strict && !unstored && i < n; ++i) {
          const std::uint64_t begin = value_at(stored.byte_offsets, i);
          const std::uint64_t bytes = value_at(stored.lengths, i);
          if (bytes <= std::numeric_limits<std::uint64_t>::max() - begin) continue;
          return fail(ErrorCode::InvalidArgument, fmt::format("{} bytes at {} reach beyond 2^64", bytes, begin));
        }
        return {};
      });
}

}  // namespace flatpoint::write
