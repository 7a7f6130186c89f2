// change/comparison.hpp - the state of a comparison of two files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "columns/file_rows.hpp"
#include "flatpoint/diff.hpp"
#include "read/view_access.hpp"

namespace flatpoint::change {

inline constexpr std::uint32_t kNone = 0xFFFFFFFF;

template <class T>
bool equal_values(std::span<const T> a, std::span<const T> b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

/// Numbers of one file's names or lists in the other file; kNone where it has none like it.
class Translation {
 public:
  Translation(const std::vector<std::string>& a, const std::vector<std::string>& b);
  /// Whether number i of a's texts and number j of b's are equal texts. A file may state one twice.
  [[nodiscard]] bool same(std::uint32_t i, std::uint32_t j) const noexcept {
    return i < in_a_.size() && j < in_b_.size() && in_a_[i] == in_b_[j];
  }

 private:
  std::vector<std::uint32_t> in_a_;  // of each text the first equal one of b's, or kNone
  std::vector<std::uint32_t> in_b_;
};

/// Compares entry by entry, then what belongs to no entry.
class Comparison {
 public:
  Comparison(const MetadataView& a, const MetadataView& b, Aspects aspects);
  [[nodiscard]] Result<Diff> run();

 private:
  [[nodiscard]] bool wants(Aspect aspect) const noexcept { return holds(aspects_, aspect); }
  void add(Aspect aspect, std::string what, std::string a = {}, std::string b = {});

  // diff.cpp: entries
  [[nodiscard]] Result<void> walk();
  [[nodiscard]] Result<void> compare(const EntryView& x, const EntryView& y);
  void compare_tensors(const TensorView& x, const TensorView& y, ChangedEntry& changed);
  [[nodiscard]] bool equal_boxes(const TensorView& x, const TensorView& y, bool same_size, bool& same_rows) const;
  [[nodiscard]] static bool equal_box_lists(const TensorView& x, const TensorView& y);
  void compare_locations(const EntryRow& p, const EntryRow& q, ChangedEntry& changed);
  [[nodiscard]] bool same_place(const columns::StoredRow& x, const columns::StoredRow& y) const noexcept;

  // diff_file.cpp: the rest
  [[nodiscard]] bool same_order(bool keys) const;
  [[nodiscard]] bool same_file_order() const noexcept;
  void compare_orders();
  [[nodiscard]] bool same_loose_storage() const;
  void compare_rest();
  void compare_text(Aspect aspect, const char* what, const std::optional<ByteColumn>& a,
                    const std::optional<ByteColumn>& b);
  void compare_presence(Aspect aspect, const char* what, bool in_a, bool in_b);
  void compare_meta();
  void compare_ids();

  MetadataView a_;
  MetadataView b_;
  const Columns& ca_;
  const Columns& cb_;
  Aspects aspects_;
  Translation files_;
  Translation lists_;
  std::vector<std::uint32_t> in_b_;  // entry of the first file -> entry of the second
  bool same_rows_ = true;            // so far: equal boxes
  bool same_places_ = true;          // so far: equal locations
  Diff diff_;
};

}  // namespace flatpoint::change
