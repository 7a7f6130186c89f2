
#include <charconv>
#include <stdexcept>
#include <vector>

#include "base/format.hpp"
#include "canonical.hpp"
#include "flatpoint/box_ranges.hpp"
#include "flatpoint/overlap.hpp"

namespace flatpoint::conformance {
namespace {

/// Cuts a text at a separator; an empty text is one empty piece.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (;;) {
    const std::size_t end = text.find(separator);
    pieces.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return pieces;
    text.remove_prefix(end + 1);
  }
}

template <class Number>
Number number(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw std::runtime_error(fmt::format("not a number: {}", text));
  }
  return value;
}

Size numbers(std::string_view text) {
  Size values;
  if (text == "()") return values;
  for (const std::string_view piece : split(text, ',')) values.push_back(number<std::int64_t>(piece));
  return values;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<std::uint8_t>(byte));
  return text;
}

std::string no_answer(LookupStatus status) { return status == LookupStatus::Absent ? "absent" : "corrupt"; }

std::string find(const MetadataView& metadata, std::string_view fqn) {
  const auto entry = metadata.find(fqn);
  return entry ? fmt::format("found\t{}", entry->position()) : no_answer(entry.status());
}

std::string storage(const MetadataView& metadata, std::string_view fqn, std::string_view offset) {
  MetadataIndex index{std::string(fqn), std::nullopt, std::nullopt};
  if (offset != "-") index.offset = numbers(offset);
  const auto found = metadata.find(index);
  if (!found) return no_answer(found.status());
  return fmt::format("found\t{}\t{}\t{}", hex(found->relative_path()), found->byte_offset(), found->length());
}

std::string prefix(const MetadataView& metadata, std::string_view text) {
  const auto range = metadata.prefix(text);
  return range ? fmt::format("found\t{}\t{}", range->begin, range->end) : no_answer(range.status());
}

std::string overlap(const MetadataView& metadata, std::string_view fqn, const Size& offsets, const Size& sizes) {
  const auto entry = metadata.find(fqn);
  if (!entry) return no_answer(entry.status());
  const auto tensor = entry->tensor();
  if (!tensor) return no_answer(tensor.status());
  if (offsets.size() != tensor->ndim() || sizes.size() != tensor->ndim()) return "absent";
  std::vector<std::uint32_t> rows;
  for (Overlaps hit(*tensor, offsets, sizes); !hit.done(); hit.next()) rows.push_back(hit.chunk());
  return rows.empty() ? "absent" : fmt::format("found\t{}", fmt::join(rows, ","));
}

std::string ranges(const MetadataView& metadata, std::string_view fqn, const Size& offsets, const Size& sizes) {
  const auto entry = metadata.find(fqn);
  if (!entry) return no_answer(entry.status());
  const auto tensor = entry->tensor();
  if (!tensor) return no_answer(tensor.status());
  const auto found = box_ranges(*tensor, offsets, sizes);
  if (!found) return std::string(to_string(found.error().code));
  std::vector<std::string> texts;
  for (const BoxRange& range : *found)
    texts.push_back(fmt::format("{}:{}:{}:{}", range.file, range.byte_offset, range.length, range.box_offset));
  return fmt::format("found\t{}", texts.empty() ? "()" : fmt::format("{}", fmt::join(texts, ",")));
}

}  // namespace

std::string unhex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes += static_cast<char>(number<std::uint8_t>(text.substr(i, 2), 16));
  }
  return bytes;
}

std::string answer(const MetadataView& metadata, std::string_view question) {
  const auto fields = split(question, '\t');
  const auto is = [&](std::string_view name, std::size_t count) { return fields[0] == name && fields.size() == count; };
  if (is("find", 2)) return find(metadata, unhex(fields[1]));
  if (is("storage", 3)) return storage(metadata, unhex(fields[1]), fields[2]);
  if (is("prefix", 2)) return prefix(metadata, unhex(fields[1]));
  if (is("overlap", 4)) return overlap(metadata, unhex(fields[1]), numbers(fields[2]), numbers(fields[3]));
  if (is("ranges", 4)) return ranges(metadata, unhex(fields[1]), numbers(fields[2]), numbers(fields[3]));
  throw std::runtime_error(fmt::format("no question: {}", question));
}

}  // namespace flatpoint::conformance
