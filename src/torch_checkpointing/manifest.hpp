// torch_checkpointing/manifest.hpp - reads what a manifest's values say: items, layouts, groups.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/sharding.hpp"
#include "flatpoint/types.hpp"
#include "torch_checkpointing/values.hpp"

namespace flatpoint::torch_checkpointing {

/// The file of an item that one rank wrote.
struct LayoutInfo {
  std::string file_path;  // empty: none is recorded, so `<item>_<rank>.pt`
  FileFormat format = FileFormat::Archive;
};
using Layouts = std::vector<LayoutInfo>;  // by rank

struct Mesh {
  std::vector<std::int64_t> shape;
  std::unordered_map<std::uint32_t, std::uint32_t> positions;  // of global ranks, row-major
};

/// An offset and a size per dimension.
using FlatBox = std::vector<std::int64_t>;

/// One GlobalObjectMetadata: how some ranks hold a tensor.
struct Group {
  std::string_view dtype;  // without "torch."
  Size shape;
  const Mesh* mesh = nullptr;  // null: default_tensor_v1, explicit boxes
  std::vector<Placement> placements;
  std::vector<FlatBox> boxes;
  const std::vector<std::uint32_t>* ranks = nullptr;
  std::string key;  // equal keys: the same boxes on the same ranks
};

struct Path {
  std::string_view key;  // the JSON text
  Value groups;
};

struct Item {
  std::string_view name;
  std::shared_ptr<const Layouts> layouts;
  std::vector<Path> paths;
};

/// What was met may be fetched again through the memo, so it is read once and interned. Errors: BadPickle; the caller
/// knows the path.
class ManifestReader {
 public:
  explicit ManifestReader(const Heap& heap) noexcept : values_(heap), heap_(heap) {}

  /// Errors also: NotPickle (no manifest at all).
  [[nodiscard]] Result<std::vector<Item>> read(Value root);
  /// Of one path. The same pointer for the same list.
  [[nodiscard]] Result<const std::vector<const Group*>*> groups(Value value);
  /// Of schema 1.0: the first element of each path is the item's name.
  [[nodiscard]] bool paths_name_items() const noexcept { return paths_name_items_; }
  /// Keys that the schema does not have, once each: "mesh_spec.colour".
  [[nodiscard]] const std::map<std::string, std::uint64_t>& unknown_keys() const noexcept { return unknown_keys_; }

 private:
  [[nodiscard]] Result<std::vector<Value>> fields(Value value, std::string_view what,
                                                  std::initializer_list<std::string_view> keys);
  [[nodiscard]] Result<std::vector<Item>> items_of_2(Value metadata);
  [[nodiscard]] Result<std::vector<Item>> items_of_1(Value metadata, Value mappings);
  [[nodiscard]] Result<std::shared_ptr<const Layouts>> layouts(Value value);
  [[nodiscard]] Result<std::uint32_t> rank_key(Value key, bool may_be_text) const;
  [[nodiscard]] Result<LayoutInfo> layout(Value value);
  [[nodiscard]] Result<void> check_files(const std::vector<Item>& items) const;
  [[nodiscard]] Result<const Group*> group(Value value);
  [[nodiscard]] Result<void> dtensor(Value data, Group& group);
  [[nodiscard]] Result<void> explicit_boxes(Value data, Group& group);
  [[nodiscard]] Result<void> shape_and_dtype(Value shape, Value dtype, Group& group) const;
  [[nodiscard]] Result<const Mesh*> mesh(Value value);
  [[nodiscard]] Result<Placement> placement(Value value, std::size_t ndim);
  [[nodiscard]] Result<const std::vector<std::uint32_t>*> ranks(Value value);

  Values values_;
  const Heap& heap_;
  std::uint32_t world_size_ = 0;
  bool paths_name_items_ = false;
  std::map<std::string, std::uint64_t> unknown_keys_;
  std::unordered_map<std::uint64_t, std::shared_ptr<const Layouts>> layouts_;  // by the value's word
  std::unordered_map<std::uint64_t, std::unique_ptr<Group>> groups_;           // likewise
  std::unordered_map<std::uint64_t, std::vector<const Group*>> group_lists_;
  std::unordered_map<std::uint64_t, const Mesh*> mesh_of_;
  std::map<std::vector<std::int64_t>, std::unique_ptr<Mesh>> meshes_;  // by dimensions, shape, ranks
  std::set<std::vector<std::uint32_t>> rank_lists_;                    // equal lists once
};

}  // namespace flatpoint::torch_checkpointing
