// dcp/exporter.hpp - from a metadata file to the pickle that DCP would have written.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/large_vector.hpp"
#include "base/text_map.hpp"
#include "dcp/box_reader.hpp"
#include "dcp/heap.hpp"
#include "dcp/value_writer.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/pickle_writer.hpp"
#include "flatpoint/records.hpp"
#include "pickle/audit_walk.hpp"
#include "pickle/globals.hpp"

namespace flatpoint::dcp {

/// Writes the instructions that Python's pickle writes for these objects, memo entries included, so that the result
/// loads as fast, and the importer's fast lane knows it. Equal texts are one str. One exporter writes one pickle, once.
class Exporter {
 public:
  /// What they refer to outlives the exporter.
  Exporter(const MetadataView& metadata, const ExportOptions& options);
  [[nodiscard]] Result<Exported> run();

 private:
  using Status = Result<void>;
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  /// What is written again and again; the first time in full, then fetched.
  enum class Word { Offsets, Sizes, Fqn, Index, Offset, RelativePath, Length, Properties, SizeOfTensor, Chunks, Count };
  enum class Class {
    TensorStorageMetadata,
    BytesStorageMetadata,
    ChunkStorageMetadata,
    TensorProperties,
    MemFormat,
    MetadataIndex,
    Size,
    GetLayout,
    StorageMeta,
    Count
  };

  using Batches = pickle::PickleBatches;

  /// Where a row of the chunk columns belongs, and where the offset of its chunk stands in the pickle.
  struct Row {
    std::uint64_t offset_at = 0;  // the tuple of numbers, which torch.Size is called with
    std::uint32_t offset_size = 0;
    std::uint32_t entry = kNone;
    std::uint32_t position = 0;   // among the entry's chunks, in DCP's order
    std::uint32_t length_at = 0;  // in chunk_lengths
  };

  // exporter.cpp
  Status check_totals() const;
  Status check_items() const;
  Status check_size() const;
  /// Reads the finished pickle once more, by a list of its own.
  [[nodiscard]] Status audit(std::span<const std::byte> pickle) const;
  Status sort_records();
  Status root();
  Status attributes(Batches& items);
  Status storage_meta(const StorageMetaColumns& meta);
  Status checkpoint_id(const StorageMetaColumns& meta);
  /// The class that the file names, where it names one and may keep it; else DCP's own.
  [[nodiscard]] Result<ModuleAndName> class_of(const std::optional<ByteColumn>& named, ModuleAndName own);
  static constexpr std::uint32_t kFirstWithStrides = 15;  // minor version
  [[nodiscard]] bool older_than(std::uint32_t minor) const noexcept {
    return options_.torch_major < 2 || (options_.torch_major == 2 && options_.torch_minor < minor);
  }

  // export_opaque.cpp
  struct Record {
    std::unique_ptr<Heap> heap;  // null: it is dropped
    Value value;
    bool unjudged = false;  // it needs foreign names, and is kept nevertheless
  };
  [[nodiscard]] Result<Record> open_record(std::uint32_t number);
  ValueWriter writer_of(const Record& record);
  Status write_record(const Record& record);
  /// Writes one of the values of a record; `continues`: not its first.
  Status write_value(const Record& record, ValueWriter& writer, Value value, bool continues);
  /// Writes the attribute that a record of this kind holds as a whole; None where it is dropped.
  Status whole_attribute(OpaqueKind kind);
  Status other_attributes(Batches& items);
  /// Writes a key and a value, unless the record is dropped.
  Status item_record(std::uint32_t number, Batches& items);
  [[nodiscard]] static std::string describe(const OpaqueRecordView& record);
  [[nodiscard]] const std::vector<std::uint32_t>& records(OpaqueKind kind) const {
    return records_[static_cast<std::size_t>(kind)];
  }
  /// Writes a dict of `count` items, `other(i, items)` each, and of this kind's records at their positions among them.
  template <class Other>
  Status dict(OpaqueKind kind, std::size_t count, Other other);

  // export_state_dict.cpp
  Status state_dict();
  Status entry(const EntryView& entry, Batches& items);
  Status tensor(const TensorView& tensor);
  Status properties(const TensorView& tensor);
  Status chunks(const TensorView& tensor);
  void numbers(const std::int64_t* values, std::size_t ndim);
  void size(const std::int64_t* values, std::size_t ndim);
  Status planner_data();
  Status path(const EntryView& entry, PlannerPathView path);

  // export_storage.cpp
  Status storage_data();
  Status default_order(base::LargeVector<std::uint32_t>& order) const;
  [[nodiscard]] bool repeats_key(std::uint32_t row) const;
  Status item(std::uint32_t row, Batches& items);
  Status loose_item(std::uint32_t row, Batches& items);
  void hint(std::optional<std::int64_t> index);
  Status location(const StorageInfoView& storage, std::uint32_t row, std::string_view fqn);
  Status transforms(const StorageInfoView& storage, std::uint32_t row, std::string_view fqn);

  // Pieces.
  void word(Word word);
  void cls(Class cls);
  /// The memo entry of the name.
  std::uint32_t global(ModuleAndName name);
  /// A str. Each is written once. REQUIRES: is_utf8(text).
  void text(std::string_view text);
  /// The same for what comes from the file. Errors: InvalidArgument, with `what` it is.
  Status text(std::string_view text, std::string_view what);
  /// An object of the class on the stack, and its state, a dict.
  void begin_object();
  void end_object();
  /// Calls what lies below the argument on the stack; the result's memo entry.
  std::uint32_t call();
  static tl::unexpected<Error> refuse(std::string_view fqn, std::string_view why);
  static tl::unexpected<Error> corrupt(std::string_view what);

  MetadataView metadata_;
  const Columns& columns_;
  const ExportOptions& options_;
  PickleWriter pickle_;
  std::vector<std::string> dropped_;
  std::vector<audit::Span> unjudged_;         // where the kept records stand that need foreign names
  std::vector<std::string> foreign_classes_;  // "module name", kept

  std::array<std::uint32_t, static_cast<std::size_t>(Word::Count)> words_;
  std::array<std::uint32_t, static_cast<std::size_t>(Class::Count)> classes_;
  base::TextMap<std::string_view, std::uint32_t> texts_;
  base::TextMap<std::string, std::uint32_t> globals_;  // "module name"
  base::TextMap<std::string, std::uint32_t> layouts_;
  std::array<std::uint32_t, 3> memory_formats_;

  std::array<std::vector<std::uint32_t>, 9> records_;  // by OpaqueKind, in order of position
  base::TextMap<std::string_view, std::uint32_t> record_of_fqn_;
  std::vector<std::uint32_t> fqns_;   // by entry: memo entry of its FQN; kNone where it was dropped
  base::LargeVector<Row> rows_;       // by row of the chunk columns
  std::vector<std::uint32_t> paths_;  // by data file: memo entry of its relative_path
  BoxReader boxes_;
  ModuleAndName info_class_;
  std::uint32_t info_class_id_ = kNone;
};

template <class Other>
Result<void> Exporter::dict(OpaqueKind kind, std::size_t count, Other other) {
  pickle_.opcode(Opcode::EMPTY_DICT);
  pickle_.memoize();
  const auto& at_positions = records(kind);
  Batches items(pickle_, count + at_positions.size(), Opcode::SETITEM, Opcode::SETITEMS);
  std::size_t next = 0;
  for (std::size_t i = 0; i + next < count + at_positions.size();) {
    const bool is_record = next < at_positions.size() &&
                           (i == count || base::read_once(columns_.opaque, at_positions[next]).position <= i + next);
    const Status done = is_record ? item_record(at_positions[next++], items) : other(i++, items);
    RETURN_IF_ERROR(done);
    if (const Status fits = check_size(); !fits) return fits;
    pickle_.next_frame();
  }
  items.finish();
  return {};
}

}  // namespace flatpoint::dcp
