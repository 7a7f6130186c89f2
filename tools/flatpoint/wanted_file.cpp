#include "wanted_file.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

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

/// Offsets, then sizes of each box.
Result<Size> boxes_of(const nlohmann::json& from, std::size_t ndim) {
  if (!from.is_array()) return fail(ErrorCode::InvalidArgument, fmt::format("boxes are an array, not {}", shown(from)));
  Size values;
  for (const auto& box : from) {
    for (std::size_t part = 0; part < 2; ++part) {
      const char* const name = part == 0 ? "offsets" : "sizes";
      const auto given = numbers(box.is_array() ? box.at(part) : box.at(name));
      if (!given) return given;
      if (given->size() != ndim) {
        return fail(ErrorCode::InvalidArgument,
                    fmt::format("a box with {} {} of a tensor of {} dimensions", given->size(), name, ndim));
      }
      values.insert(values.end(), given->begin(), given->end());
    }
  }
  return values;
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

}  // namespace

Result<WantedFile> WantedFile::read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail(ErrorCode::NotFound, fmt::format("{}: cannot be read", path));
  const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  return parse(text, path);
}

Result<WantedFile> WantedFile::parse(std::string_view text, const std::string& path) {
  WantedFile file;
  try {
    const auto all = nlohmann::json::parse(text);
    if (!all.is_array()) return fail(ErrorCode::InvalidArgument, fmt::format("{}: expected an array of FQNs", path));
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (auto done = file.add(all[i]); !done) return fail_at(fmt::format("{}: entry {}", path, i), done.error());
    }
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: {}", path, error.what()));
  }
  return file;
}

Result<void> WantedFile::add(const nlohmann::json& from) {
  if (auto sound = check_members(from); !sound) return sound;
  Wanted to;
  to.fqn = names_.emplace_back(from.at("fqn").get<std::string>());
  const auto named = [&](const Error& error) {
    return fail(error.code, fmt::format("FQN '{}': {}", to.fqn, error.message));
  };
  if (from.contains("size") || from.contains("boxes")) {
    auto size = numbers(from.at("size"));
    if (!size) return named(size.error());
    auto boxes = boxes_of(from.at("boxes"), size->size());
    if (!boxes) return named(boxes.error());
    to.box_count = static_cast<std::uint32_t>(from.at("boxes").size());
    to.size = numbers_.emplace_back(std::move(*size));
    to.boxes = numbers_.emplace_back(std::move(*boxes));
  } else {
    to.type = StorageType::Bytes;
  }
  if (from.contains("dtype")) {
    const auto name = from.at("dtype").get<std::string>();
    to.dtype = scalar_type_from_name(name);
    if (!to.dtype) return named({ErrorCode::InvalidArgument, fmt::format("no dtype '{}'", name)});
  }
  wanted_.push_back(to);
  return {};
}

}  // namespace flatpoint::tool
