// archive/zip.hpp - the directory of a zip archive that holds its records uncompressed, as torch.save writes it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_source.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::archive {

/// An item of a data file as a source of its own. Its first and its last KiB are read once: nearly always they hold all
/// that is asked for.
class ItemSource final : public base::ByteSource {
 public:
  ItemSource(const base::ByteSource& file, std::uint64_t begin, std::uint64_t length) noexcept;
  /// False also for what does not lie inside the item.
  bool read(std::uint64_t position, std::span<std::byte> to) const noexcept override;
  [[nodiscard]] std::uint64_t length() const noexcept { return length_; }

 private:
  static constexpr std::size_t kEnd = 1024;
  const base::ByteSource& file_;
  std::uint64_t begin_;
  std::uint64_t length_;
  bool has_ends_ = false;
  std::array<std::byte, kEnd> head_;
  std::array<std::byte, kEnd> tail_;
};

struct ZipRecord {
  std::string_view name;  // without the archive's folder: "data.pkl", "data/0"
  std::uint32_t full_name_size;
  std::uint32_t crc32;   // 0: as good as none, see `known_crc`
  std::uint64_t header;  // where its local header lies
  std::uint64_t size;

  /// torch.save leaves 0 where it was told not to compute it.
  [[nodiscard]] std::optional<std::uint32_t> known_crc() const noexcept {
    return crc32 != 0 || size == 0 ? std::optional(crc32) : std::nullopt;
  }
};

/// Records as the central directory lists them: in one folder, no name twice. Errors of all calls: BadItem, without a
/// place.
class Zip {
 public:
  [[nodiscard]] static Result<Zip> open(const ItemSource& source);

  [[nodiscard]] std::span<const ZipRecord> records() const noexcept { return records_; }
  [[nodiscard]] const ZipRecord* find(std::string_view name) const noexcept;
  /// Where the bytes of a record begin: what its own header says. They lie inside the item.
  [[nodiscard]] Result<std::uint64_t> begin_of(const ZipRecord& record) const;
  /// All bytes of a record of at most `limit`.
  [[nodiscard]] Result<std::string> read(const ZipRecord& record, std::uint64_t limit) const;

 private:
  explicit Zip(const ItemSource& source) : source_(&source) {}
  [[nodiscard]] Result<void> parse(std::uint64_t count);
  [[nodiscard]] Result<void> check_names() const;

  const ItemSource* source_;
  std::vector<char> directory_;  // the names lie here
  std::string_view folder_;
  std::vector<ZipRecord> records_;
};

}  // namespace flatpoint::archive
