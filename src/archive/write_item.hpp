// archive/write_item.hpp - an item of DCP around the bytes of a tensor: the archive that torch.save would write.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/types.hpp"

namespace flatpoint::archive {

/// Whether `head_of_item` knows how torch stores such a tensor.
[[nodiscard]] bool can_store(ScalarType dtype) noexcept;

/// The frame of one row-major tensor. Every record's data begin at a multiple of 64 from the item's start, as torch has
/// it. REQUIRES: can_store(dtype); `bytes` are those of the box.
class TensorItem {
 public:
  TensorItem(ScalarType dtype, std::span<const std::int64_t> sizes, std::uint64_t bytes);

  /// What comes before the bytes.
  [[nodiscard]] const std::string& head() const noexcept { return head_; }
  /// What comes behind them. Its length does not depend on the checksum.
  [[nodiscard]] std::string tail(std::uint32_t crc32) const;

 private:
  struct Record {
    std::string name;
    std::uint64_t at;
    std::uint64_t bytes;
    std::uint32_t crc32;
  };
  void add(std::string& to, std::uint64_t before, std::string_view name, std::string_view data,
           std::vector<Record>& records) const;

  std::string head_;
  std::uint64_t bytes_;
  std::vector<Record> records_;
  std::uint64_t data_record_;  // where the header of the tensor's record lies
};

}  // namespace flatpoint::archive
