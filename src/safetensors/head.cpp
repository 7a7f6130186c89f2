// What comes before the bytes of tensors in a safetensors file.
#include "base/format.hpp"
#include "flatpoint/safetensors.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::safetensors {
namespace {

/// REQUIRES: strict UTF-8.
void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::append(out, "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

bool is_tensor_name(std::string_view name) noexcept { return name != "__metadata__" && pickle::is_strict_utf8(name); }

std::string json_string(std::string_view name) {
  std::string out;
  append_json(out, name);
  return out;
}

Result<std::string> head_of(std::span<const NamedTensor> tensors, const HeadOptions& options) {
  constexpr std::size_t kMostBytes = 100'000'000;
  constexpr std::size_t kLengthBytes = 8;
  std::string text = "{";
  if (!options.format.empty()) {
    text += "\"__metadata__\":{\"format\":";
    append_json(text, options.format);
    text += '}';
  }
  std::uint64_t at = 0;
  for (const NamedTensor& tensor : tensors) {
    Size shape = tensor.sizes;
    const std::string_view dtype = safetensors_name_of(tensor.dtype);
    const bool is_pairs = tensor.dtype == ScalarType::Float4_e2m1fn_x2;  // the format counts values
    if (dtype.empty() || !is_tensor_name(tensor.name) || (is_pairs && shape.empty())) {
      return fail(ErrorCode::InvalidArgument, fmt::format("FQN '{}' of shape [{}] has no place in a safetensors file",
                                                          tensor.name, fmt::join(shape, ", ")));
    }
    if (is_pairs) shape.back() *= 2;
    if (text.size() > 1) text += ',';
    append_json(text, tensor.name);
    fmt::append(text, ":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", dtype, fmt::join(shape, ","), at,
                at + tensor.bytes);
    at += tensor.bytes;
  }
  text += '}';
  const std::size_t over = (kLengthBytes + text.size()) % options.alignment;
  if (over != 0) text.append(options.alignment - over, ' ');
  if (text.size() > kMostBytes)
    return fail(ErrorCode::TooLarge,
                fmt::format("a safetensors header of {} bytes exceeds {}", text.size(), kMostBytes));
  std::string head;
  for (unsigned byte = 0; byte < kLengthBytes; ++byte) head += static_cast<char>(text.size() >> (8 * byte) & 0xFFU);
  return head + text;
}

}  // namespace flatpoint::safetensors
