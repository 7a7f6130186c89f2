#include "archive/plain_value.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <vector>

#include "base/failing.hpp"
#include "base/format.hpp"

namespace flatpoint::archive {
namespace {

constexpr std::size_t kMaxBigInt = 1024;  // bytes of a number: its digits take quadratic time

/// Appends a JSON string; lone surrogates, which str may hold, become \udXXX. REQUIRES: UTF-8, surrogates passed.
void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i];
    } else if (byte < 0x20 || byte == 0x7F) {
      fmt::append(out, "\\u{:04x}", byte);
    } else if (byte == 0xED && i + 2 < text.size() && static_cast<unsigned char>(text[i + 1]) >= 0xA0) {
      const auto middle = static_cast<unsigned char>(text[i + 1]);
      const auto last = static_cast<unsigned char>(text[i + 2]);
      fmt::append(out, "\\u{:04x}", 0xD000U + ((middle & 0x3FU) << 6U) + (last & 0x3FU));
      i += 2;
    } else {
      out += text[i];
    }
  }
  out += '"';
}

/// The digits of a two's complement number.
std::string digits_of(std::string_view little_endian) {
  std::vector<unsigned char> bytes(little_endian.begin(), little_endian.end());
  const bool negative = !bytes.empty() && bytes.back() >= 0x80;
  if (negative) {
    unsigned carry = 1;
    for (unsigned char& byte : bytes) {
      carry += 0xFFU - byte;
      byte = static_cast<unsigned char>(carry);
      carry >>= 8U;
    }
  }
  std::string digits;
  while (!bytes.empty()) {
    unsigned rest = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
      rest = rest << 8U | bytes[i];
      bytes[i] = static_cast<unsigned char>(rest / 10);
      rest %= 10;
    }
    digits += static_cast<char>('0' + rest);
    while (!bytes.empty() && bytes.back() == 0) bytes.pop_back();
  }
  if (negative) digits += '-';
  std::ranges::reverse(digits);
  return digits;
}

/// "1.0", "1e+20"; what JSON has no number for is named as Python names it.
std::string float_text(double number) {
  if (std::isnan(number)) return "\"nan\"";
  if (std::isinf(number)) return number > 0 ? "\"inf\"" : "\"-inf\"";
  std::string text = fmt::format("{}", number);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

/// Writes one value. The first failure stops everything.
class JsonWriter {
 public:
  explicit JsonWriter(const Unpickled& pickle) : pickle_(pickle) {}

  Result<std::string> write() {
    return value(pickle_.root, 0).map([this] { return std::move(out_); });
  }

 private:
  Result<void> value(Value value, int depth);
  Result<void> object(const Object& object, int depth);
  Result<void> array(std::span<const Value> items, int depth);
  Result<void> list(const BlockList& blocks, int depth);
  Result<void> dict(const BlockList& blocks, int depth);
  Result<void> key(Value key);
  Result<void> scalar(Value value);

  const Unpickled& pickle_;
  std::string out_;
};

Result<void> JsonWriter::value(Value value, int depth) {
  RETURN_IF_ERROR(check_plain_size(depth, out_.size()));
  switch (value.tag()) {
    case Tag::Tuple:
    case Tag::FrozenSet: return array(value.node<Tuple>()->values(), depth);
    case Tag::List:
    case Tag::Set: return list(value.node<Container>()->blocks, depth);
    case Tag::Dict: return dict(value.node<Container>()->blocks, depth);
    case Tag::Object: return object(*value.node<Object>(), depth);
    default: return scalar(value);
  }
}

Result<void> JsonWriter::scalar(Value value) {
  switch (value.tag()) {
    case Tag::None: out_ += "null"; return {};
    case Tag::False: out_ += "false"; return {};
    case Tag::True: out_ += "true"; return {};
    case Tag::Float: out_ += float_text(*value.node<double>()); return {};
    case Tag::BinaryInt: {
      const std::string_view bytes = value.node<TextNode>()->view();
      if (bytes.size() > kMaxBigInt) return fail(ErrorCode::TooLarge, fmt::format("an int of {} bytes", bytes.size()));
      out_ += digits_of(bytes);
      return {};
    }
    case Tag::Global: return not_plain_value(pickle_.global(value));
    case Tag::Bytes:
    case Tag::ByteArray: return not_plain_value("bytes");
    default: break;
  }
  if (const auto number = Heap::integer(value)) {
    fmt::append(out_, "{}", *number);
  } else if (const auto text = pickle_.heap->text(value)) {
    append_string(out_, *text);
  } else {
    return not_plain_value("a number as protocol 0 writes it");
  }
  return {};
}

Result<void> JsonWriter::object(const Object& object, int depth) {
  const auto form = plain_form(pickle_, object);
  RETURN_IF_ERROR(form);
  switch (form->kind) {
    case PlainForm::Kind::Dict: return dict(*form->items, depth);
    case PlainForm::Kind::Tuple: return array(form->values, depth);
    case PlainForm::Kind::Bytes: return not_plain_value("bytes");
    default: return list(*form->items, depth);
  }
}

Result<void> JsonWriter::array(std::span<const Value> items, int depth) {
  out_ += '[';
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_ += ", ";
    RETURN_IF_ERROR(value(items[i], depth + 1));
  }
  out_ += ']';
  return {};
}

Result<void> JsonWriter::list(const BlockList& blocks, int depth) {
  out_ += '[';
  bool first = true;
  for (const Block* block = blocks.first; block != nullptr; block = block->next) {
    for (const Value item : block->values()) {
      if (!first) out_ += ", ";
      first = false;
      RETURN_IF_ERROR(value(item, depth + 1));
    }
  }
  out_ += ']';
  return {};
}

Result<void> JsonWriter::dict(const BlockList& blocks, int depth) {
  out_ += '{';
  bool first = true;
  for (const Block* block = blocks.first; block != nullptr; block = block->next) {
    if (block->kind != Block::Kind::SetItem && block->kind != Block::Kind::SetItems)
      return not_plain_value("a dict with a state of its own");
    const auto values = block->values();
    for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
      if (!first) out_ += ", ";
      first = false;
      RETURN_IF_ERROR(key(values[i]));
      out_ += ": ";
      RETURN_IF_ERROR(value(values[i + 1], depth + 1));
    }
  }
  out_ += '}';
  return {};
}

Result<void> JsonWriter::key(Value key) {
  if (pickle_.heap->text(key)) return scalar(key);
  const bool nests = key.is(Tag::Tuple) || key.is(Tag::FrozenSet) || key.is(Tag::Object);
  if (nests) return not_plain_value("a dict with keys that are neither str nor numbers");
  if (key.is(Tag::Float) && !std::isfinite(*key.node<double>())) return scalar(key);
  out_ += '"';
  auto written = scalar(key);
  out_ += '"';
  return written;
}

}  // namespace

tl::unexpected<Error> not_plain_value(std::string_view what) {
  return fail(ErrorCode::NotPlain, fmt::format("not a plain value: {}", what));
}

Result<void> check_plain_size(int depth, std::size_t written) {
  if (depth > kMaxPlainDepth)
    return fail(ErrorCode::TooLarge, fmt::format("a value nested deeper than {}", kMaxPlainDepth));
  if (written > kMaxPlainOutput)
    return fail(ErrorCode::TooLarge, fmt::format("a value that takes more than {} bytes", kMaxPlainOutput));
  return {};
}

namespace {

/// The bytes of a text that stands for one byte per character.
std::optional<std::string> latin_1(std::string_view utf8) {
  std::string bytes;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    auto byte = static_cast<unsigned char>(utf8[i]);
    if (byte >= 0x80) {
      if ((byte != 0xC2 && byte != 0xC3) || ++i == utf8.size()) return std::nullopt;
      byte = static_cast<unsigned char>((byte & 3U) << 6U | (static_cast<unsigned char>(utf8[i]) & 0x3FU));
    }
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

/// set([...]), frozenset([...]), bytes(), _codecs.encode("...", "latin1"): as Python's pickle writes them in
/// protocol 2.
std::optional<PlainForm> builtin_form(const Unpickled& pickle, std::string_view callable,
                                      std::span<const Value> arguments) {
  if (callable == "_codecs encode" && arguments.size() == 2 && pickle.heap->text(arguments[1]) == "latin1") {
    const auto text = pickle.heap->text(arguments[0]);
    auto bytes = text ? latin_1(*text) : std::nullopt;
    if (bytes) return PlainForm{PlainForm::Kind::Bytes, nullptr, {}, std::move(*bytes)};
  }
  for (const std::string_view module : {"__builtin__ ", "builtins "}) {
    if (!callable.starts_with(module)) continue;
    const std::string_view name = callable.substr(module.size());
    if (name == "bytes" && arguments.empty()) return PlainForm{PlainForm::Kind::Bytes, nullptr, {}, {}};
    if (arguments.size() != 1 || !arguments[0].is(Tag::List)) continue;
    const BlockList* const items = &arguments[0].node<Container>()->blocks;
    if (name == "set") return PlainForm{PlainForm::Kind::Set, items, {}, {}};
    if (name == "frozenset") return PlainForm{PlainForm::Kind::FrozenSet, items, {}, {}};
  }
  return std::nullopt;
}

}  // namespace

Result<PlainForm> plain_form(const Unpickled& pickle, const Object& object) {
  const std::string callable = pickle.callable(object);
  const auto arguments = Unpickled::arguments(object.args);
  if (callable == "collections OrderedDict" && arguments.empty())
    return PlainForm{PlainForm::Kind::Dict, &object.blocks, {}, {}};
  const bool is_reduced = object.kind == Object::Kind::Reduce;
  const bool is_changed = object.blocks.first != nullptr;
  if (!is_changed && callable == "torch Size" && arguments.size() == 1 && arguments[0].is(Tag::Tuple))
    return PlainForm{PlainForm::Kind::Tuple, nullptr, Unpickled::arguments(arguments[0]), {}};
  if (is_reduced && !is_changed) {
    if (auto form = builtin_form(pickle, callable, arguments)) return std::move(*form);
  }
  const std::string cls =
      is_reduced && !arguments.empty() && callable.starts_with("copyreg ") ? pickle.global(arguments[0]) : callable;
  return not_plain_value(cls.empty() ? "an object" : cls);
}

Result<std::string> to_json(const Unpickled& pickle) { return JsonWriter(pickle).write(); }

}  // namespace flatpoint::archive
