#include "dcp/odd_keys.hpp"

#include <array>
#include <bit>
#include <cmath>

#include "dcp/shapes.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::dcp {
namespace {

/// Longer ones are not compared: a value that many keys share would be spelled out for each.
constexpr std::size_t kMaxSpelling = 128;

/// Appends a text that is the same for equal values and for no others. False: there is none.
bool spell(const Heap& heap, Value value, std::string& out);

bool spell_text(char kind, std::string_view text, std::string& out) {
  if (text.size() > kMaxSpelling) return false;
  out.append(1, kind).append(std::to_string(text.size())).append(1, ':').append(text);
  return true;
}

bool spell_all(const Heap& heap, std::span<const Value> values, std::string& out) {
  out.push_back('(');
  for (const Value value : values) {
    if (!spell(heap, value, out)) return false;
  }
  out.push_back(')');
  return true;
}

bool spell_folded_size(const Heap& heap, Value value, std::string& out) {
  base::LargeVector<std::int64_t> numbers;
  read_size(heap, value, numbers);
  out.push_back('(');
  for (const std::int64_t number : numbers) out.append(1, 'i').append(std::to_string(number)).append(1, ';');
  out.push_back(')');
  return true;
}

bool spell_folded_index(const Heap& heap, Value value, std::string& out) {
  const IndexRecord& record = heap.records.indices[value.number()];
  out.push_back('M');
  if (!spell_text('s', heap.texts[record.fqn], out)) return false;
  if (record.has_offset) return spell_folded_size(heap, folded(kSizeTag, record.ndim, record.offset_begin, true), out);
  out.push_back('N');
  return true;
}

/// bytes, as protocols 0 to 2 have them: _codecs.encode(text, "latin1").
bool spell_encoded(const Heap& heap, Value value, std::string& out) {
  const auto* const object = value.node<Object>();
  if (object->kind != Object::Kind::Reduce || object->blocks.first != nullptr) return false;
  if (heap.known(object->callable) != Known::Encode) return false;
  const auto arguments = object->args.node<Tuple>()->values();
  const auto text = arguments.size() == 2 ? heap.text(arguments[0]) : std::nullopt;
  return text && is_ascii(*text) && heap.text(arguments[1]) == "latin1" && spell_text('b', *text, out);
}

/// A MetadataIndex that is not read: its hint takes no part in equality.
bool spell_index(const Heap& heap, Value value, std::string& out) {
  std::array<Attribute, 3> attributes{{{"fqn"}, {"offset"}, {"index"}}};
  if (!has_plain_state(value) || !read_attributes(heap, value, attributes)) return false;
  const auto& [fqn, offset, index] = attributes;
  if (fqn.value.is(Tag::Unset)) return false;
  out.push_back('M');
  return spell(heap, fqn.value, out) && spell(heap, offset.value.is(Tag::Unset) ? Value(Tag::None) : offset.value, out);
}

bool spell(const Heap& heap, Value value, std::string& out) {
  if (out.size() > kMaxSpelling) return false;
  if (const auto text = heap.text(value)) return spell_text('s', *text, out);
  if (const auto items = size_items(heap, value)) return spell_all(heap, *items, out);
  if (const auto number = read_integer(heap, value)) {
    out.append(1, 'i').append(std::to_string(*number)).append(1, ';');
    return true;
  }
  switch (value.tag()) {
    case Tag::None: out.push_back('N'); return true;
    case Tag::Bytes: return spell_text('b', value.node<TextNode>()->view(), out);
    case Tag::BinaryInt: return spell_text('I', value.node<TextNode>()->view(), out);
    case Tag::Float: {
      const double number = *value.node<double>();
      if (!std::isfinite(number) || number == std::floor(number)) return false;  // 1.0 is 1
      return spell_text('f', std::to_string(std::bit_cast<std::uint64_t>(number)), out);
    }
    case kSizeTag: return spell_folded_size(heap, value, out);
    case kIndexTag: return spell_folded_index(heap, value, out);
    case Tag::Object:
      return known_class_of(heap, value) == Known::MetadataIndex ? spell_index(heap, value, out)
                                                                 : spell_encoded(heap, value, out);
    default: return false;
  }
}

}  // namespace

OddKeys::Answer OddKeys::add(const Heap& heap, Value key) {
  std::string spelling;
  if (!spell(heap, key, spelling)) return Answer::Unknown;
  return seen_.try_emplace(std::move(spelling), true).second ? Answer::New : Answer::Repeated;
}

}  // namespace flatpoint::dcp
