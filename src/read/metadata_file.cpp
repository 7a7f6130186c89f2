#include "flatpoint/metadata_file.hpp"

#include <cstring>
#include <utility>
#include <variant>

#include "base/failing.hpp"
#include "base/mapping.hpp"
#include "format/decode.hpp"

namespace flatpoint {
namespace {

/// A file up to here is opened through its mapping. In a larger one the lengths of the columns lie far apart, each on a
/// page of its own, and touching a page for the first time costs as much as ten system calls that read a number.
constexpr std::size_t kTouchedSize = 256 * 1024;

}  // namespace

/// On the heap, so that views stay valid when the file moves.
struct MetadataFile::State {
  std::variant<Buffer, base::Mapping, std::span<const std::byte>> owner;
  std::span<const std::byte> bytes;
  Columns columns;

  /// `decoded` is what decoding `state->bytes` gave; `name` goes before the message of an error.
  static Result<MetadataFile> make(std::unique_ptr<State> state, Result<Columns> decoded,
                                   const std::string& name = {}) {
    if (!decoded) {
      Error error = std::move(decoded.error());
      if (!name.empty()) error.message.insert(0, name + ": ");
      return tl::unexpected(std::move(error));
    }
    state->columns = *decoded;
    return MetadataFile(std::move(state));
  }
};

Result<MetadataFile> MetadataFile::open(const std::filesystem::path& path, OpenMode mode) {
  const auto file = base::File::open(path);
  RETURN_IF_ERROR(file);
  auto mapping = base::Mapping::map(*file, path, mode == OpenMode::Copy);
  RETURN_IF_ERROR(mapping);
  const bool touch = mapping->is_copy() || mapping->bytes().size() <= kTouchedSize;
  auto state = std::make_unique<State>(State{std::move(*mapping), {}, {}});
  state->bytes = std::get<base::Mapping>(state->owner).bytes();
  auto columns = touch ? format::decode(state->bytes) : format::decode(state->bytes, base::FileSource(*file));
  return State::make(std::move(state), std::move(columns), path.string());
}

Result<MetadataFile> MetadataFile::from_buffer(Buffer bytes) {
  auto state = std::make_unique<State>(State{std::move(bytes), {}, {}});
  state->bytes = std::get<Buffer>(state->owner).bytes();
  auto columns = format::decode(state->bytes);
  return State::make(std::move(state), std::move(columns));
}

Result<MetadataFile> MetadataFile::from_bytes(std::span<const std::byte> bytes) {
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 != 0) {
    Buffer copy(bytes.size());
    std::memcpy(copy.mutable_bytes().data(), bytes.data(), bytes.size());
    return from_buffer(std::move(copy));
  }
  return State::make(std::make_unique<State>(State{bytes, bytes, {}}), format::decode(bytes));
}

MetadataFile::MetadataFile(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
MetadataFile::MetadataFile(MetadataFile&&) noexcept = default;
MetadataFile& MetadataFile::operator=(MetadataFile&&) noexcept = default;
MetadataFile::~MetadataFile() = default;

MetadataView MetadataFile::view() const& noexcept { return MetadataView(state_->columns); }
std::span<const std::byte> MetadataFile::bytes() const& noexcept { return state_->bytes; }

}  // namespace flatpoint
