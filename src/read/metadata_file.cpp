#include "flatpoint/metadata_file.hpp"

#include <cstring>
#include <utility>
#include <variant>

#include "format/decode.hpp"
#include "read/mapping.hpp"

namespace flatpoint {

/// On the heap, so that views stay valid when the file moves.
struct MetadataFile::State {
  std::variant<Buffer, read::Mapping, std::span<const std::byte>> owner;
  std::span<const std::byte> bytes;
  Columns columns;

  /// Decodes `bytes`; `name` goes before the message of an error.
  static Result<MetadataFile> make(std::unique_ptr<State> state, const std::string& name) {
    auto columns = format::decode(state->bytes);
    if (!columns) {
      Error error = std::move(columns.error());
      if (!name.empty()) error.message.insert(0, name + ": ");
      return tl::unexpected(std::move(error));
    }
    state->columns = *columns;
    return MetadataFile(std::move(state));
  }
};

Result<MetadataFile> MetadataFile::open(const std::filesystem::path& path, OpenMode mode) {
  auto mapping = read::Mapping::open(path, mode == OpenMode::Copy);
  if (!mapping) return tl::unexpected(std::move(mapping.error()));
  auto state = std::make_unique<State>(State{std::move(*mapping), {}, {}});
  state->bytes = std::get<read::Mapping>(state->owner).bytes();
  return State::make(std::move(state), path.string());
}

Result<MetadataFile> MetadataFile::from_buffer(Buffer bytes) {
  auto state = std::make_unique<State>(State{std::move(bytes), {}, {}});
  state->bytes = std::get<Buffer>(state->owner).bytes();
  return State::make(std::move(state), {});
}

Result<MetadataFile> MetadataFile::from_bytes(std::span<const std::byte> bytes) {
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 != 0) {
    Buffer copy(bytes.size());
    std::memcpy(copy.mutable_bytes().data(), bytes.data(), bytes.size());
    return from_buffer(std::move(copy));
  }
  return State::make(std::make_unique<State>(State{bytes, bytes, {}}), {});
}

MetadataFile::MetadataFile(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
MetadataFile::MetadataFile(MetadataFile&&) noexcept = default;
MetadataFile& MetadataFile::operator=(MetadataFile&&) noexcept = default;
MetadataFile::~MetadataFile() = default;

MetadataView MetadataFile::view() const& noexcept { return MetadataView(state_->columns); }
std::span<const std::byte> MetadataFile::bytes() const& noexcept { return state_->bytes; }

}  // namespace flatpoint
