#include "support/editable_file.hpp"

#include <algorithm>
#include <stdexcept>

#include "flatpoint/verify.hpp"
#include "format/decode.hpp"
#include "format/encode.hpp"
#include "format/fqn_slots.hpp"
#include "format/trailer.hpp"
#include "support/taken.hpp"

namespace flatpoint::test {
EditableFile::EditableFile(Buffer file) : file_(std::move(file)), columns_(taken(format::decode(bytes()))) {}

EditableFile::EditableFile(const Columns& columns) : EditableFile(taken(format::encode(columns))) {}

std::size_t EditableFile::field_position(flatbuffers::voffset_t field) {
  auto* table = reinterpret_cast<flatbuffers::Table*>(root());
  const auto* at = table->GetAddressOf(field);
  if (at == nullptr) throw std::runtime_error("no such field");
  return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(at) - bytes().data());
}

void EditableFile::refill_slots() {
  const auto slots = format::make_fqn_slots(static_cast<std::uint32_t>(columns_.entries.size()), [&](std::uint32_t i) {
    const EntryRow& row = columns_.entries[i];
    return std::string_view(reinterpret_cast<const char*>(columns_.fqns.data()) + row.fqn_begin, row.fqn_length);
  });
  std::copy(slots.begin(), slots.end(), &at(columns_.fqn_slots));
}

void EditableFile::reseal() { format::write_trailer(bytes()); }

std::set<std::string> broken_rules(std::span<const std::byte> bytes) {
  const auto report = verify_bytes(bytes);
  if (!report) return {report.error().rule};
  std::set<std::string> rules;
  for (const BrokenRule& broken : report->broken_rules) rules.insert(broken.rule);
  return rules;
}

}  // namespace flatpoint::test
