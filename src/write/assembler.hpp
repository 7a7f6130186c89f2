// write/assembler.hpp - puts a file together from entries that come in the file's order, one at a time.
//
// The one way into the format: finish (for a draft), the builder and merge all end here. Memory is the file's columns,
// and at the end the encoded file beside them: twice the file, whatever the input was.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/large_vector.hpp"
#include "columns/stored_rows.hpp"
#include "write/chunk_layout.hpp"
#include "write/draft.hpp"
#include "write/pool.hpp"

namespace flatpoint::write {

/// An entry with its rows, in DCP's order. Borrows; read while `Assembler::add` runs.
struct EntryParts {
  std::string_view fqn;
  StorageType type = StorageType::Tensor;
  TensorPropertiesRow properties{};  // dtype_name, layout_name: in DraftAttributes::type_names
  std::span<const std::int64_t> size{};
  std::span<const std::int64_t> strides{};  // where properties.strides is Explicit: as many as `size`
  std::span<const std::int64_t> boxes{};    // per chunk offsets, then sizes
  StoredColumns rows{};                     // a file per chunk. Of chunks with equal offsets, which have one key, the
                                            // first with elements and a file speaks for all, else the first with a file
  std::uint32_t path = kNoPath;             // in DraftAttributes::paths

  [[nodiscard]] std::size_t row_count() const noexcept { return rows.files.size(); }
};

/// One item of storage_data whose key names no chunk.
struct LooseParts {
  std::string_view fqn;
  std::optional<std::span<const std::int64_t>> offset{};
  columns::StoredRow row{};
};

class Assembler {
 public:
  /// Makes room. What stays unused costs address space only. `box_values`, `name_bytes`: of explicit boxes and of FQNs
  /// at most; 0 where unknown.
  void reserve(std::size_t entries, std::size_t rows, std::size_t box_values = 0, std::size_t name_bytes = 0);

  /// Of chunks with one offset the first says whether storage_data has their key: a draft states its keys' order.
  void keep_absent_keys() noexcept { keeps_absent_keys_ = true; }

  /// What is no tensor and has no storage information gets no row. REQUIRES: the FQN sorts behind that of the entry
  /// added before.
  void add(EntryParts entry);

  /// REQUIRES: all entries are added; loose storage comes sorted by FQN, no offset first, then offset, each key once.
  void add(const LooseParts& loose);

  /// Rows so far.
  [[nodiscard]] std::size_t row_count() const noexcept { return rows_.size(); }
  /// How the tensor added last was laid out. REQUIRES: it has chunks.
  [[nodiscard]] const ChunkLayoutFinder& layout() const noexcept { return layout_; }

  /// The finished file. In `attributes`, rows and entries are the file's: entry i and row i in the order in which they
  /// were added. `fqn_order`: DCP's order of the entries; empty: the sorted one. `file_order`: where there is no
  /// storage_order, the order of attributes.files that takes its place; empty: as they stand. Errors: TooLarge.
  [[nodiscard]] Result<Buffer> finish(DraftAttributes&& attributes, std::vector<std::uint32_t> fqn_order = {},
                                      std::span<const std::uint32_t> file_order = {}) &&;

 private:
  struct Tail;  // what `finish` adds to the columns

  std::uint32_t add_name(std::string_view name);
  void add_tensor(const EntryParts& entry, EntryRow& row);
  void add_size(const EntryParts& entry, EntryRow& row);
  void add_rows(const EntryParts& entry, EntryRow& row);
  void repeat_storage();
  void note_begins(const StoredColumns& rows, std::size_t count);
  void add_lengths(std::span<const std::uint64_t> lengths, EntryRow& row);
  [[nodiscard]] Result<void> check_limits(const DraftAttributes& attributes) const;
  [[nodiscard]] Result<void> check_numbers(const Tail& tail) const;
  void number_files(const DraftAttributes& attributes, std::span<const std::uint32_t> file_order, Tail& tail);
  void put_data();
  void number_types(const DraftAttributes& attributes, Tail& tail);
  void number_transforms(const DraftAttributes& attributes, Tail& tail);
  void put_storage(DraftAttributes& attributes, Tail& tail);
  void put_planner(DraftAttributes& attributes, std::span<const std::uint32_t> fqn_order, Tail& tail);
  Columns columns(const DraftAttributes& attributes, const Tail& tail) const;

  ChunkLayoutFinder layout_;
  std::vector<std::int64_t> size_and_strides_;

  base::LargeVector<EntryRow> entries_;
  base::LargeVector<char> fqns_;
  Pool<std::int64_t> sizes_;
  Pool<std::int64_t> boxes_;
  Pool<std::uint32_t> orders_;
  Pool<std::uint64_t> lengths_;
  columns::StoredRows rows_;             // numbers of the producer until `finish`; no lengths, which lengths_ shares
  columns::StoredRows arranged_;         // of the entry being added, where its rows are not taken as they come
  std::vector<std::uint32_t> in_place_;  // 0, 1, 2, ...
  std::optional<std::uint32_t> data_begin_;  // of the chunks with a file so far, where they agree
  bool begins_differ_ = false;
  std::size_t keys_ = 0;                    // rows that are a key of storage_data
  base::LargeVector<std::uint32_t> paths_;  // per entry; the producer's number or kNoPath
  std::vector<LooseStorageRow> loose_;
  bool keeps_absent_keys_ = false;
};

}  // namespace flatpoint::write
