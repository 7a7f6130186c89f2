// dcp/translator.hpp - from the values of a pickle to a draft of a metadata file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/text_map.hpp"
#include "dcp/chunk_rows.hpp"
#include "dcp/heap.hpp"
#include "dcp/odd_keys.hpp"
#include "dcp/shapes.hpp"
#include "flatpoint/dcp.hpp"
#include "write/draft.hpp"

namespace flatpoint::dcp {

using Status = Result<void>;

/// Recognises DCP's Metadata and puts each fact into its column; what fits none becomes an opaque record as a whole.
/// The draft borrows from the heap. One translator translates one pickle, once.
class Translator {
 public:
  /// `heap` outlives the translator and the draft; `limits` the translator.
  Translator(Heap& heap, const ImportLimits& limits) : heap_(heap), limits_(limits), rows_(heap.records.boxes) {}

  /// Errors: NotPickle where `root` is not DCP's Metadata; TooLarge.
  [[nodiscard]] Result<write::Draft> run(Value root);

  /// After run: values of another type than DCP's whose meaning is certain. The file does not say that they were.
  [[nodiscard]] std::vector<Finding> findings() const;

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  // One (key, value) of a dict whose keys are FQNs.
  struct Item {
    Value key;
    Value value;
    std::uint32_t fqn;  // kNone: the key is not str
  };
  [[nodiscard]] Result<std::vector<Item>> items_of(Value dict, std::string_view attribute);

  // translator.cpp
  Status attribute(std::string_view name, Value value);
  Status storage_meta(Value value);
  bool read_storage_meta(Value value, write::DraftStorageMeta& meta);
  Status refuse_dropped(Value root) const;
  static Error ambiguous_key(std::string_view attribute, std::size_t position, OddKeys::Answer answer);
  Status check_size() const;
  std::optional<std::size_t> read_shape(Value value, base::LargeVector<std::int64_t>& out);
  Status keep(OpaqueKind kind, std::size_t position, std::string_view name, Value value);
  Status keep_item(OpaqueKind kind, std::size_t position, Value key, Value value);
  Status keep_written(OpaqueKind kind, std::size_t position, std::string_view name, Result<std::string_view> pickle);
  std::string_view class_name(Value cls);

  // translate_state_dict.cpp
  enum class Fit { Yes, No, OtherDimensions, TooManyDimensions, TooManyChunks };
  Status state_dict(Value dict);
  Status add_entry(std::uint32_t fqn, std::size_t position, Value value);
  Fit read_tensor(Value value, write::DraftEntry& entry);
  bool read_properties(Value value, write::DraftEntry& entry);
  bool read_strides(Value value, write::DraftEntry& entry);
  Fit read_chunks(Value list, write::DraftEntry& entry);
  Fit append_chunk(Value chunk, std::size_t ndim);
  void note_other_dimensions(std::string_view fqn);
  std::optional<std::uint16_t> type_name(std::string_view name);
  bool is_bytes(Value value) const;

  // translate_planner.cpp
  Status planner_data(Value value);
  bool read_planner_path(Value path, std::string_view fqn, std::vector<PathElementRow>& elements);
  std::optional<std::uint32_t> path_number(const std::vector<PathElementRow>& elements);

  // translate_storage.cpp
  struct Key {
    std::uint32_t fqn = kNone;
    bool has_offset = false;
    std::size_t ndim = 0;
    const std::int64_t* offset = nullptr;
    bool has_hint = false;
    bool hint_fits = true;  // it takes no part in equality: two keys may differ in it alone
    std::int64_t hint = 0;
  };
  struct Location {
    std::uint32_t path = 0;  // in Records::paths
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint16_t transforms = 0;
  };
  Status storage_data(Value value);
  bool place_folded(Value key, Value value);
  Status store(Value key_value, Value value);
  Fit read_key(Value value, Key& key);
  bool read_location(Value value, Location& location);
  bool accept_info_class(Value cls);
  std::optional<std::uint32_t> relative_path(Value value);
  std::optional<std::uint16_t> transform_list(Value list);
  std::optional<std::uint16_t> read_transform_list(Value list);
  std::optional<std::uint32_t> chunk_row(const Key& key, std::optional<std::int64_t>& usual_hint) const;
  static std::string name_of(const Key& key);
  Status place(const Key& key, const Location& location);
  Status keep_storage_item(const Key& key, Value key_value, Value value);
  void append_to_order(std::uint32_t row);
  [[nodiscard]] Result<std::uint32_t> loose_row(const Key& key, bool& is_new);
  std::uint32_t file_number(std::uint32_t path);
  void share_locations();
  void prefetch(Value key) const;

  [[nodiscard]] std::uint64_t rows_left() const noexcept;
  Error too_many_dimensions(std::string_view fqn) const;
  Error too_many_chunks() const;

  Heap& heap_;
  const ImportLimits& limits_;
  write::Draft draft_;
  std::uint64_t opaque_bytes_ = 0;
  std::size_t attributes_kept_ = 0;
  std::uint64_t lists_for_sizes_ = 0;
  std::uint64_t paths_for_texts_ = 0;
  std::vector<Finding> other_dimensions_;

  std::vector<std::uint32_t> entry_of_fqn_;  // by number in Records::fqns
  ChunkRows rows_;                           // by entry
  base::TextMap<std::string, std::uint32_t> path_numbers_;
  base::TextMap<std::string_view, std::uint16_t> type_numbers_;

  std::vector<std::uint32_t> file_of_path_;  // by number in Records::paths
  Value info_class_;
  std::size_t storage_items_ = 0;                                               // so far
  OddKeys odd_storage_keys_;                                                    // that are no MetadataIndex
  base::TextMap<std::string, bool> opaque_storage_keys_;                        // whose item is kept as a record
  std::unordered_map<std::uint64_t, std::uint32_t> paths_;                      // by word of a path of pathlib
  std::unordered_map<std::uint64_t, std::optional<std::uint16_t>> transforms_;  // by word of the list or tuple
  base::TextMap<std::string, std::uint16_t> transform_numbers_;
  base::TextMap<std::string, std::uint32_t> loose_rows_;
  base::LargeVector<std::int64_t> scratch_;
  std::uint32_t last_file_ = 0;
  std::uint64_t last_offset_ = 0;
  bool in_default_order_ = true;
};

}  // namespace flatpoint::dcp
