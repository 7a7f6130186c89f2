#include "safetensors/header.hpp"

#include <algorithm>
#include <array>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "flatpoint/safetensors.hpp"
#include "safetensors/json_reader.hpp"

namespace flatpoint::safetensors {
namespace {

constexpr std::size_t kMaxNdim = 255;
constexpr std::uint64_t kMaxSize = INT64_MAX;

tl::unexpected<Error> broken(std::string what) { return fail(ErrorCode::BadItem, std::move(what)); }

std::pair<std::uint64_t, std::uint64_t> place_of(const HeaderTensor& tensor) noexcept {
  return {tensor.offset, tensor.length};
}

/// A tensor as its member of the header has it.
struct Stated {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> data_offsets;
};

class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : json_(text) {}

  Result<Header> read(std::optional<std::uint64_t> data_bytes) {
    const bool sound = json_.read_object([this](std::string& key) {
      return key == kMetadataKey ? read_metadata() : read_tensor(key);
    }) && json_.at_end();
    if (refused_) return tl::unexpected(std::move(*refused_));
    if (!sound) return broken(json_.error());
    if (auto error = check_names()) return tl::unexpected(std::move(*error));
    if (auto error = check_places(data_bytes)) return tl::unexpected(std::move(*error));
    return std::move(header_);
  }

 private:
  bool read_metadata() {
    if (std::exchange(has_metadata_, true)) return json_.refuse(fmt::format("'{}' is there twice", kMetadataKey));
    return json_.read_object([this](std::string& key) {
      std::string value;
      if (!json_.read_string(value)) return false;
      if (header_.metadata.contains(key))
        return json_.refuse(fmt::format("'{}' of '{}' is there twice", key, kMetadataKey));
      header_.metadata.emplace(std::move(key), std::move(value));
      return true;
    });
  }

  bool read_tensor(std::string& name) {
    Stated stated;
    std::array<bool, 3> has{};
    const auto first = [&](bool& seen, std::string_view key) {
      return !std::exchange(seen, true) || json_.refuse(fmt::format("tensor '{}': '{}' is there twice", name, key));
    };
    const bool sound = json_.read_object([&](std::string& key) {
      if (key == "dtype") return first(has[0], key) && json_.read_string(stated.dtype);
      if (key == "shape") return first(has[1], key) && read_numbers(stated.shape);
      if (key == "data_offsets") return first(has[2], key) && read_numbers(stated.data_offsets);
      return json_.skip();
    });
    if (!sound) return false;
    if (!has[0] || !has[1] || !has[2] || stated.data_offsets.size() != 2)
      return json_.refuse(fmt::format("tensor '{}' needs a dtype, a shape and two data_offsets", name));
    auto tensor = tensor_of(std::move(name), stated);
    if (!tensor) {
      refused_ = std::move(tensor.error());
      return false;
    }
    header_.tensors.push_back(std::move(*tensor));
    return true;
  }

  bool read_numbers(std::vector<std::uint64_t>& to) {
    return json_.read_array([&] {
      if (to.size() == kMaxNdim) return json_.refuse(fmt::format("more than {} numbers", kMaxNdim));
      return json_.read_unsigned(to.emplace_back());
    });
  }

  static Result<HeaderTensor> tensor_of(std::string name, const Stated& stated) {
    const auto dtype = scalar_type_from_safetensors(stated.dtype);
    if (!dtype) {
      return fail(ErrorCode::NotPlain,
                  fmt::format("tensor '{}': the dtype '{}' is none that flatpoint's schema has", name, stated.dtype));
    }
    HeaderTensor tensor{std::move(name), *dtype, {}, stated.data_offsets[0], 0};
    for (const std::uint64_t size : stated.shape) {
      if (size > kMaxSize) return broken(fmt::format("tensor '{}': a dimension of {}", tensor.name, size));
      tensor.shape.push_back(static_cast<std::int64_t>(size));
    }
    if (*dtype == ScalarType::Float4_e2m1fn_x2) {  // two values to a byte
      if (tensor.shape.empty() || tensor.shape.back() % 2 != 0) {
        return broken(fmt::format("tensor '{}': an F4 of shape [{}], whose last dimension holds no whole bytes",
                                  tensor.name, fmt::join(stated.shape, ", ")));
      }
      tensor.shape.back() /= 2;
    }
    std::uint64_t bytes = item_size(*dtype);
    const bool is_empty = std::ranges::find(tensor.shape, 0) != tensor.shape.end();
    for (const std::int64_t size : tensor.shape) {
      if (is_empty) {
        bytes = 0;
      } else if (!base::multiply(bytes, static_cast<std::uint64_t>(size), bytes) || bytes > kMaxSize) {
        return broken(fmt::format("tensor '{}': the bytes of shape [{}] leave 63 bits", tensor.name,
                                  fmt::join(stated.shape, ", ")));
      }
    }
    const std::uint64_t begin = stated.data_offsets[0];
    const std::uint64_t end = stated.data_offsets[1];
    if (end < begin || end - begin != bytes) {
      return broken(fmt::format("tensor '{}': shape [{}] of {} takes {} bytes, its data_offsets are [{}, {}]",
                                tensor.name, fmt::join(stated.shape, ", "), stated.dtype, bytes, begin, end));
    }
    tensor.length = bytes;
    return tensor;
  }

  [[nodiscard]] std::optional<Error> check_names() const {
    std::vector<std::string_view> names;
    names.reserve(header_.tensors.size());
    for (const HeaderTensor& tensor : header_.tensors) names.push_back(tensor.name);
    std::ranges::sort(names);
    const auto twice = std::ranges::adjacent_find(names);
    if (twice == names.end()) return std::nullopt;
    return Error{ErrorCode::BadItem, fmt::format("tensor '{}' is there twice", *twice)};
  }

  /// Tensors follow each other without gaps and fill the file: no byte of it is hidden, none belongs to two.
  [[nodiscard]] std::optional<Error> check_places(std::optional<std::uint64_t> data_bytes) {
    std::ranges::stable_sort(header_.tensors, {}, place_of);
    std::uint64_t at = 0;
    for (const HeaderTensor& tensor : header_.tensors) {
      if (tensor.offset != at) {
        return Error{
            ErrorCode::BadItem,
            fmt::format("tensor '{}' begins at byte {} of the data, where byte {} is expected: {}", tensor.name,
                        tensor.offset, at, tensor.offset < at ? "it overlaps another" : "there is a hole before it")};
      }
      at += tensor.length;  // below 2^64: it begins where the others end, and each is below 2^63
      if (at > kMaxSize) return Error{ErrorCode::BadItem, fmt::format("tensor '{}' ends beyond 2^63", tensor.name)};
    }
    if (!data_bytes || *data_bytes == at) return std::nullopt;
    if (*data_bytes < at) {
      return Error{ErrorCode::Truncated,
                   fmt::format("{} bytes follow the header, its tensors take {}", *data_bytes, at)};
    }
    return Error{
        ErrorCode::BadItem,
        fmt::format("{} bytes follow the header, its tensors take {}: there is a hole at the tail", *data_bytes, at)};
  }

  JsonReader json_;
  Header header_;
  bool has_metadata_ = false;
  std::optional<Error> refused_;
};

std::uint64_t little_endian(std::span<const std::byte> bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return value;
}

}  // namespace

std::span<const HeaderTensor> Header::at(std::uint64_t begin, std::uint64_t length) const noexcept {
  if (begin < data_begin) return {};
  const auto found = std::ranges::equal_range(tensors, std::pair(begin - data_begin, length), {}, place_of);
  return {found.begin(), found.end()};
}

const HeaderTensor* Header::find(std::string_view name) const noexcept {
  const auto found = std::ranges::find(tensors, name, &HeaderTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

Result<std::uint64_t> header_length(std::span<const std::byte> first_bytes, std::optional<std::uint64_t> total) {
  if (first_bytes.size() < kLengthBytes) return broken("no safetensors header: fewer than 8 bytes");
  const std::uint64_t length = little_endian(first_bytes);
  if (length > kMaxHeaderBytes) {
    return fail(ErrorCode::TooLarge,
                fmt::format("a safetensors header of {} bytes; {} are allowed", length, kMaxHeaderBytes));
  }
  if (total && !base::in_range(kLengthBytes, length, *total)) {
    return fail(ErrorCode::Truncated,
                fmt::format("a safetensors header of {} bytes in a file of {} bytes", length, *total));
  }
  return length;
}

Result<Header> parse_header(std::string_view json, std::optional<std::uint64_t> data_bytes) {
  if (!json.starts_with('{')) return broken("no safetensors header: it does not begin with '{'");
  auto header = HeaderReader(json).read(data_bytes);
  if (!header) {
    return fail(header.error().code, fmt::format("safetensors header: {}", header.error().message));
  }
  header->data_begin = kLengthBytes + json.size();
  return header;
}

Result<Header> read_header(const base::ByteSource& bytes, std::uint64_t begin, std::optional<std::uint64_t> total) {
  if (total && *total < kLengthBytes) return broken("no safetensors header: fewer than 8 bytes");
  std::array<std::byte, kLengthBytes> first;
  if (!bytes.read(begin, first)) return fail(ErrorCode::Io, "the header could not be read");
  const auto length = header_length(first, total);
  RETURN_IF_ERROR(length);
  std::string json(*length, '\0');
  if (!bytes.read(begin + kLengthBytes, std::as_writable_bytes(std::span(json))))
    return fail(ErrorCode::Io, "the header could not be read");
  return parse_header(json, total ? std::optional(*total - kLengthBytes - *length) : std::nullopt);
}

bool looks_like_header(std::span<const std::byte> first_bytes) noexcept {
  return first_bytes.size() > kLengthBytes && little_endian(first_bytes) <= kMaxHeaderBytes &&
         first_bytes[kLengthBytes] == std::byte{'{'};
}

}  // namespace flatpoint::safetensors
