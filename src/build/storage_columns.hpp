// build/storage_columns.hpp - where chunks lie: the rows of the chunk columns, their files, the order of storage_data.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "build/draft.hpp"
#include "build/first_use.hpp"
#include "build/pool.hpp"
#include "build/text_builder.hpp"

namespace flatpoint::build {

/// The chunks of one entry in a draft, and the order in which the file keeps them.
struct DraftRows {
  std::size_t begin = 0;  // row of the first
  std::uint32_t count = 0;
  std::span<const std::uint32_t> chunk_of_row;  // empty: as they come
  std::span<const std::int64_t> boxes;          // per chunk `rank` offsets, then `rank` sizes; nothing for bytes
  std::size_t rank = 0;

  [[nodiscard]] std::uint32_t chunk(std::uint32_t row) const noexcept { return chunk_of_row.empty() ? row : chunk_of_row[row]; }
  /// Whether a row has the key of the row before it. REQUIRES: row > 0.
  [[nodiscard]] bool repeats_key(std::uint32_t row) const noexcept;
};

/// Takes the rows of a draft in the file's order, then numbers files and transforms by their first use.
class StorageColumns {
 public:
  explicit StorageColumns(const Draft& draft);

  /// Whether an entry has rows, and the first of them storage information.
  [[nodiscard]] bool is_stored(const DraftEntry& entry) const noexcept { return entry.chunk_count > 0 && is_stored(entry.chunk_begin); }
  /// Adds an entry's rows, or one row of loose storage.
  void add(const DraftRows& rows);
  /// Row and first length of what was added last.
  [[nodiscard]] std::uint32_t row_begin() const noexcept { return row_begin_; }
  [[nodiscard]] std::uint32_t length_begin() const noexcept { return length_begin_; }
  [[nodiscard]] bool lengths_differ() const noexcept { return lengths_differ_; }

  /// After the last row.
  void finish();
  void show(Columns& columns) const;

 private:
  void add_lengths(const DraftRows& rows);
  void number_files();
  void number_transforms();
  void write_order();
  void write_hints();
  [[nodiscard]] bool is_stored(std::size_t draft_row) const noexcept { return draft_.chunk_files[draft_row] != kNoFile; }

  const Draft& draft_;
  static constexpr std::uint32_t kDropped = 0xFFFFFFFF;
  std::vector<std::uint32_t> row_map_;  // row of the draft -> row of the file, or kDropped
  std::uint32_t row_begin_ = 0;
  std::uint32_t length_begin_ = 0;
  bool lengths_differ_ = false;
  std::size_t keys_ = 0;  // rows that are a key of storage_data

  std::vector<std::uint32_t> files_;  // the draft's numbers until `finish`
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint16_t> transforms_;
  Pool<std::uint64_t> lengths_;
  std::vector<std::uint64_t> lengths_scratch_;
  std::vector<std::uint32_t> order_;
  std::vector<IndexHintRow> hints_;
  TextBuilder file_names_;
  TextBuilder transform_names_;
  std::vector<TransformListRow> transform_lists_;
};

}  // namespace flatpoint::build
