#include "wanted_file.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/format.hpp"

namespace flatpoint::tool {
namespace {

/// A value for a message. Printing one that holds others would recurse as deep as a file likes.
std::string shown(const nlohmann::json& value) {
  return value.is_primitive() ? value.dump() : value.is_array() ? "an array" : "an object";
}

/// The JSON library would cut off fractions and wrap what is too large.
Result<Size> numbers(const nlohmann::json& from) {
  constexpr auto kMost = std::uint64_t{std::numeric_limits<std::int64_t>::max()};
  if (!from.is_array()) {
    return fail(ErrorCode::InvalidArgument, fmt::format("expected an array of numbers, not {}", shown(from)));
  }
  Size values;
  for (const auto& one : from) {
    if (!one.is_number_integer() || (one.is_number_unsigned() && one.get<std::uint64_t>() > kMost)) {
      return fail(ErrorCode::InvalidArgument, fmt::format("{} is no 64-bit integer", shown(one)));
    }
    values.push_back(one.get<std::int64_t>());
  }
  return values;
}

Result<std::vector<ChunkStorageMetadata>> boxes_of(const nlohmann::json& from) {
  if (!from.is_array()) return fail(ErrorCode::InvalidArgument, fmt::format("boxes are an array, not {}", shown(from)));
  std::vector<ChunkStorageMetadata> boxes;
  for (const auto& box : from) {
    auto offsets = numbers(box.is_array() ? box.at(0) : box.at("offsets"));
    if (!offsets) return tl::unexpected(std::move(offsets.error()));
    auto sizes = numbers(box.is_array() ? box.at(1) : box.at("sizes"));
    if (!sizes) return tl::unexpected(std::move(sizes.error()));
    boxes.push_back({std::move(*offsets), std::move(*sizes)});
  }
  return boxes;
}

/// A misspelt member would ask for something else: "sizes" in place of "size" for bytes.
Result<void> check_members(const nlohmann::json& from) {
  constexpr std::array<std::string_view, 4> kMembers{"fqn", "size", "dtype", "boxes"};
  if (!from.is_object())
    return fail(ErrorCode::InvalidArgument, fmt::format("expected an object, not {}", shown(from)));
  for (const auto& [name, value] : from.items()) {
    if (std::ranges::count(kMembers, name) == 0) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("no member '{}' is known; there are {}", name, fmt::join(kMembers, ", ")));
    }
  }
  const auto missing = [&](const char* name) {
    return fail(ErrorCode::InvalidArgument, fmt::format("member '{}' is missing", name));
  };
  if (!from.contains("fqn")) return missing("fqn");
  if (from.contains("size") != from.contains("boxes")) return missing(from.contains("size") ? "boxes" : "size");
  return {};
}

Result<void> add_tensor(const nlohmann::json& from, const std::string& fqn, WantedList& list) {
  const auto named = [&](const Error& error) { return fail_at(fmt::format("FQN '{}'", fqn), error); };
  auto size = numbers(from.at("size"));
  if (!size) return named(size.error());
  auto boxes = boxes_of(from.at("boxes"));
  if (!boxes) return named(boxes.error());
  std::optional<ScalarType> dtype;
  if (from.contains("dtype")) {
    const auto name = from.at("dtype").get<std::string>();
    dtype = scalar_type_from_name(name);
    if (!dtype) return named({ErrorCode::InvalidArgument, fmt::format("no dtype '{}'", name)});
  }
  return list.add_tensor(fqn, std::move(*size), *boxes, dtype);
}

Result<void> add(const nlohmann::json& from, WantedList& list) {
  if (auto sound = check_members(from); !sound) return sound;
  auto fqn = from.at("fqn").get<std::string>();
  if (from.contains("size")) return add_tensor(from, fqn, list);
  list.add_bytes(std::move(fqn));
  return {};
}

}  // namespace

Result<WantedList> read_wanted_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail(ErrorCode::NotFound, fmt::format("{}: cannot be read", path));
  const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  return parse_wanted(text, path);
}

Result<WantedList> parse_wanted(std::string_view text, const std::string& path) {
  WantedList list;
  try {
    const auto all = nlohmann::json::parse(text);
    if (!all.is_array()) return fail(ErrorCode::InvalidArgument, fmt::format("{}: expected an array of FQNs", path));
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (auto done = add(all[i], list); !done) return fail_at(fmt::format("{}: entry {}", path, i), done.error());
    }
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: {}", path, error.what()));
  }
  return list;
}

}  // namespace flatpoint::tool
