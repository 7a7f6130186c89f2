#include "torch_checkpointing/manifest.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "torch_checkpointing/json_path.hpp"

namespace flatpoint::torch_checkpointing {
namespace {

constexpr std::int64_t kMaxRank = INT32_MAX - 1;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 62;  // so that sums of positions stay in 63 bits
constexpr std::size_t kMaxNdim = 255;

tl::unexpected<Error> broken(std::string what) { return fail(ErrorCode::BadPickle, std::move(what)); }

void append(std::string& key, std::int64_t number) {
  key.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

/// Item names are parts of file names.
bool is_item_name(std::string_view name) noexcept {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// R of "<item>_<R>.pt", the file of an item and a rank of which no layout is recorded.
std::optional<std::pair<std::string_view, std::uint32_t>> default_owner(std::string_view path) {
  constexpr std::string_view kEnding = ".pt";
  const std::size_t bar = path.rfind('_');
  if (bar == std::string_view::npos || !path.ends_with(kEnding)) return std::nullopt;
  const std::string_view digits = path.substr(bar + 1, path.size() - bar - 1 - kEnding.size());
  std::uint32_t rank = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (error != std::errc() || end != digits.data() + digits.size() || fmt::format("{}", rank) != digits)
    return std::nullopt;
  return std::pair(path.substr(0, bar), rank);
}

}  // namespace

Result<std::vector<Value>> ManifestReader::fields(Value value, std::string_view what,
                                                  std::initializer_list<std::string_view> keys) {
  std::vector<std::string_view> others;
  auto found = values_.fields(value, what, keys, others);
  for (const std::string_view other : others) ++unknown_keys_[fmt::format("{}.{}", what, other)];
  return found;
}

Result<std::vector<Item>> ManifestReader::read(Value root) {
  constexpr std::string_view kRoot = "the manifest";
  auto found = fields(root, kRoot, {"metadata", "world_size", "version", "rank_to_layout_info_mappings"});
  if (!found || (*found)[0].is(Tag::Unset)) {
    return fail(ErrorCode::NotPickle, fmt::format("no manifest of torch_checkpointing: {}",
                                                  found ? "it has no 'metadata'" : found.error().message));
  }
  const Value metadata = (*found)[0];
  const Value world_size = (*found)[1];
  const Value version = (*found)[2];
  const Value mappings = (*found)[3];
  std::string_view schema = "1.0";  // which did not always say so
  if (!version.is(Tag::Unset)) {
    const auto text = values_.text(version, "'version'");
    RETURN_IF_ERROR(text);
    schema = *text;
  }
  const bool is_1 = schema == "1.0";
  if (!is_1 && schema != "2.0")
    return broken(fmt::format("schema version '{}' of torch_checkpointing; 2.0 and 1.0 are known", schema));
  if (is_1 && mappings.is(Tag::Unset)) {
    return broken(version.is(Tag::Unset) ? "it has no 'version', and no 'rank_to_layout_info_mappings' as 1.0 has"
                                         : "version 1.0 without 'rank_to_layout_info_mappings'");
  }
  const auto size = values_.integer(world_size, "'world_size'", 1, kMaxRank + 1);
  RETURN_IF_ERROR(size);
  world_size_ = static_cast<std::uint32_t>(*size);
  paths_name_items_ = is_1;
  auto items = is_1 ? items_of_1(metadata, mappings) : items_of_2(metadata);
  RETURN_IF_ERROR(items);
  RETURN_IF_ERROR(check_files(*items));
  return items;
}

Result<std::vector<Item>> ManifestReader::items_of_2(Value metadata) {
  const auto dict = values_.dict(metadata, "'metadata'");
  RETURN_IF_ERROR(dict);
  std::vector<Item> items;
  std::set<std::string_view> names;
  for (const auto& [key, value] : *dict) {
    const auto name = values_.text(key, "an item's name");
    RETURN_IF_ERROR(name);
    if (!is_item_name(*name))
      return broken(fmt::format("item '{}': a name of other than letters, digits, _ and -", *name));
    if (!names.insert(*name).second) return broken(fmt::format("item '{}' is there twice", *name));
    const std::string place = fmt::format("item '{}'", *name);
    const auto parts = fields(value, "item", {"nested_path_to_metadata", "rank_to_layout_info"});
    if (!parts) return fail_at(place, parts.error());
    const auto paths = values_.dict((*parts)[0], "'nested_path_to_metadata'");
    if (!paths) return fail_at(place, paths.error());
    auto files = layouts((*parts)[1]);
    if (!files) return fail_at(place, std::move(files.error()));
    Item item{*name, std::move(*files), {}};
    for (const auto& [path, groups] : *paths) {
      const auto text = values_.text(path, "a path");
      if (!text) return fail_at(place, text.error());
      item.paths.push_back({*text, groups});
    }
    items.push_back(std::move(item));
  }
  return items;
}

/// The first element of a 1.0 path is the item; `key` keeps the whole text.
Result<std::vector<Item>> ManifestReader::items_of_1(Value metadata, Value mappings) {
  const auto ranks = values_.dict(mappings, "'rank_to_layout_info_mappings'");
  RETURN_IF_ERROR(ranks);
  if (ranks->size() != world_size_) {
    return broken(fmt::format("'rank_to_layout_info_mappings' has {} ranks, the world {}", ranks->size(), world_size_));
  }
  std::map<std::string_view, std::shared_ptr<Layouts>> layouts;
  std::vector<bool> seen(world_size_, false);
  std::uint64_t count = 0;
  for (const auto& [key, value] : *ranks) {
    const auto rank = rank_key(key, true);
    RETURN_IF_ERROR(rank);
    if (seen[*rank]) return broken(fmt::format("'rank_to_layout_info_mappings' has rank {} twice", *rank));
    seen[*rank] = true;
    const auto items = values_.dict(value, fmt::format("the layouts of rank {}", *rank));
    RETURN_IF_ERROR(items);
    if ((count += items->size()) > heap_.input.size())
      return fail(ErrorCode::TooLarge, "more layouts than the pickle has bytes: they are shared through the memo");
    for (const auto& [name, recorded] : *items) {
      const auto item = values_.text(name, "an item's name");
      RETURN_IF_ERROR(item);
      auto& of_item = layouts[*item];
      if (!of_item) {
        if ((count += world_size_) > heap_.input.size() + world_size_)
          return fail(ErrorCode::TooLarge, "more items and ranks than the pickle has bytes");
        of_item = std::make_shared<Layouts>(world_size_);
      }
      auto info = layout(recorded);
      if (!info) return fail_at(fmt::format("item '{}' of rank {}", *item, *rank), std::move(info.error()));
      (*of_item)[*rank] = std::move(*info);
    }
  }
  const auto paths = values_.dict(metadata, "'metadata'");
  RETURN_IF_ERROR(paths);
  std::vector<Item> items;
  std::map<std::string_view, std::size_t> numbers;
  for (const auto& [key, groups] : *paths) {
    const auto text = values_.text(key, "a path");
    RETURN_IF_ERROR(text);
    const auto path = parse_path(*text);
    if (!path) return fail_at(fmt::format("path '{}'", *text), path.error());
    if (path->empty() || path->front().kind != PathElement::Kind::Text || !is_item_name(path->front().text))
      return broken(fmt::format("path '{}': its first element is no item's name", *text));
    const auto files = layouts.find(path->front().text);
    if (files == layouts.end()) return broken(fmt::format("path '{}': no layout is recorded of its item", *text));
    const auto [number, is_new] = numbers.emplace(files->first, items.size());
    if (is_new) items.push_back({files->first, files->second, {}});
    items[number->second].paths.push_back({*text, groups});
  }
  return items;
}

Result<std::uint32_t> ManifestReader::rank_key(Value key, bool may_be_text) const {
  const auto text = may_be_text ? heap_.text(key) : std::nullopt;
  if (text) {
    std::uint32_t rank = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), rank);
    if (error != std::errc() || end != text->data() + text->size() || rank >= world_size_)
      return broken(fmt::format("'{}' is no rank below the world size {}", *text, world_size_));
    return rank;
  }
  const auto rank = values_.integer(key, "a rank", 0, std::int64_t{world_size_} - 1);
  RETURN_IF_ERROR(rank);
  return static_cast<std::uint32_t>(*rank);
}

Result<std::shared_ptr<const Layouts>> ManifestReader::layouts(Value value) {
  if (const auto known = layouts_.find(value.word()); known != layouts_.end()) return known->second;
  const auto dict = values_.dict(value, "'rank_to_layout_info'");
  RETURN_IF_ERROR(dict);
  if (dict->size() != world_size_) {
    return broken(fmt::format("'rank_to_layout_info' has {} ranks, the world {}: each has to be there once",
                              dict->size(), world_size_));
  }
  auto result = std::make_shared<Layouts>(world_size_);
  std::vector<bool> seen(world_size_, false);
  for (const auto& [key, recorded] : *dict) {
    const auto rank = rank_key(key, false);
    if (!rank) return fail_at("'rank_to_layout_info'", rank.error());
    if (seen[*rank]) return broken(fmt::format("'rank_to_layout_info' has rank {} twice", *rank));
    seen[*rank] = true;
    auto info = layout(recorded);
    if (!info) return fail_at(fmt::format("layout of rank {}", *rank), std::move(info.error()));
    (*result)[*rank] = std::move(*info);
  }
  layouts_.emplace(value.word(), result);
  return std::shared_ptr<const Layouts>(std::move(result));
}

Result<LayoutInfo> ManifestReader::layout(Value value) {
  if (value.is(Tag::None)) return LayoutInfo{};
  const auto parts = fields(value, "layout", {"file_path", "serialization_format"});
  RETURN_IF_ERROR(parts);
  const auto path = values_.text((*parts)[0], "'file_path'");
  RETURN_IF_ERROR(path);
  if (path->empty()) return broken("'file_path' is empty");
  // `cls` of JsonSerialization names a Python class: the library imports it, nothing here does.
  const auto format = fields((*parts)[1], "serialization_format", {"type", "cls", "metadata"});
  RETURN_IF_ERROR(format);
  const auto type = values_.text((*format)[0], "the serialization format's 'type'");
  RETURN_IF_ERROR(type);
  if (*type == "TorchSerialization") return LayoutInfo{std::string(*path), FileFormat::Archive};
  if (*type == "SafetensorsSerialization") return LayoutInfo{std::string(*path), FileFormat::Safetensors};
  if (*type == "JsonSerialization" || *type == "RawSerialization")
    return LayoutInfo{std::string(*path), FileFormat::Unknown};
  return broken(fmt::format("the serialization format '{}' is not known", *type));
}

/// No two items or ranks write one file.
Result<void> ManifestReader::check_files(const std::vector<Item>& items) const {
  std::map<std::string_view, const Item*> by_name;
  for (const Item& item : items) by_name.emplace(item.name, &item);
  std::map<std::string_view, std::pair<std::string_view, std::size_t>> owners;
  for (const Item& item : items) {
    for (std::size_t rank = 0; rank < item.layouts->size(); ++rank) {
      const std::string_view path = (*item.layouts)[rank].file_path;
      if (path.empty()) continue;
      auto [owner, is_new] = owners.emplace(path, std::pair(item.name, rank));
      const auto implied = default_owner(path);
      const auto named = implied ? by_name.find(implied->first) : by_name.end();
      const bool is_default = named != by_name.end() && implied->second < named->second->layouts->size() &&
                              (*named->second->layouts)[implied->second].file_path.empty();
      if (is_default) owner->second = {implied->first, implied->second};
      if (!is_new || is_default) {
        return broken(fmt::format("item '{}' of rank {} and item '{}' of rank {} have one file, '{}'",
                                  owner->second.first, owner->second.second, item.name, rank, path));
      }
    }
  }
  return {};
}

Result<const std::vector<const Group*>*> ManifestReader::groups(Value value) {
  if (const auto known = group_lists_.find(value.word()); known != group_lists_.end()) return &known->second;
  const auto list = values_.sequence(value, "the list of groups");
  RETURN_IF_ERROR(list);
  if (list->empty()) return broken("it has no group");
  std::vector<const Group*> groups;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto read = group((*list)[i]);
    if (!read) return fail_at(fmt::format("group {}", i), read.error());
    groups.push_back(*read);
  }
  return &group_lists_.emplace(value.word(), std::move(groups)).first->second;
}

Result<const Group*> ManifestReader::group(Value value) {
  if (const auto known = groups_.find(value.word()); known != groups_.end()) return known->second.get();
  const auto parts = fields(value, "group", {"sharding_metadata", "ranks"});
  RETURN_IF_ERROR(parts);
  const auto sharding = fields((*parts)[0], "sharding_metadata", {"type", "data"});
  RETURN_IF_ERROR(sharding);
  const auto type = values_.text((*sharding)[0], "the sharding's 'type'");
  RETURN_IF_ERROR(type);
  auto group = std::make_unique<Group>();
  const auto holders = ranks((*parts)[1]);
  RETURN_IF_ERROR(holders);
  group->ranks = *holders;
  if (*type == "DTensorShardingMetadata") {
    RETURN_IF_ERROR(dtensor((*sharding)[1], *group));
  } else if (*type == "default_tensor_v1") {
    RETURN_IF_ERROR(explicit_boxes((*sharding)[1], *group));
  } else {
    return broken(fmt::format("the sharding type '{}' is not known", *type));
  }
  std::string& key = group->key;
  append(key, std::ssize(group->shape));
  for (const std::int64_t size : group->shape) append(key, size);
  append(key, static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(group->mesh)));
  append(key, static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(group->ranks)));
  for (const Placement& placement : group->placements) key += to_string(placement);
  append(key, std::ssize(group->boxes));
  for (const FlatBox& box : group->boxes) {
    for (const std::int64_t number : box) append(key, number);
  }
  return groups_.emplace(value.word(), std::move(group)).first->second.get();
}

Result<void> ManifestReader::shape_and_dtype(Value shape, Value dtype, Group& group) const {
  auto sizes = values_.integers(shape, "'global_shape'", 0, kMaxElements);
  RETURN_IF_ERROR(sizes);
  if (sizes->size() > kMaxNdim) return broken(fmt::format("'global_shape' has more than {} dimensions", kMaxNdim));
  std::uint64_t elements = 1;
  for (const std::int64_t size : *sizes) {
    if (size == 0) continue;
    if (!base::multiply(elements, static_cast<std::uint64_t>(size), elements) || elements > std::uint64_t{kMaxElements})
      return broken(fmt::format("'global_shape' [{}] has more than 2^62 elements", fmt::join(*sizes, ", ")));
  }
  group.shape = std::move(*sizes);
  constexpr std::string_view kPrefix = "torch.";
  const auto name = values_.text(dtype, "'dtype'");
  RETURN_IF_ERROR(name);
  if (!name->starts_with(kPrefix) || name->size() == kPrefix.size())
    return broken(fmt::format("'dtype' is '{}', which is none of torch", *name));
  group.dtype = name->substr(kPrefix.size());
  return {};
}

Result<void> ManifestReader::dtensor(Value data, Group& group) {
  const auto parts = fields(data, "data", {"global_shape", "dtype", "stride", "mesh_spec", "placements"});
  RETURN_IF_ERROR(parts);
  RETURN_IF_ERROR(shape_and_dtype((*parts)[0], (*parts)[1], group));
  const auto stride = values_.integers((*parts)[2], "'stride'", INT64_MIN, INT64_MAX);
  RETURN_IF_ERROR(stride);
  if (stride->size() != group.shape.size()) {
    return broken(fmt::format("'stride' has {} numbers, 'global_shape' {}", stride->size(), group.shape.size()));
  }
  const auto of_mesh = mesh((*parts)[3]);
  RETURN_IF_ERROR(of_mesh);
  group.mesh = *of_mesh;
  const auto placements = values_.sequence((*parts)[4], "'placements'");
  RETURN_IF_ERROR(placements);
  if (placements->size() != group.mesh->shape.size()) {
    return broken(
        fmt::format("{} placements on a mesh of {} dimensions", placements->size(), group.mesh->shape.size()));
  }
  for (const Value value : *placements) {
    const auto read = placement(value, group.shape.size());
    RETURN_IF_ERROR(read);
    group.placements.push_back(*read);
  }
  for (const std::uint32_t rank : *group.ranks) {
    if (!group.mesh->positions.contains(rank)) return broken(fmt::format("rank {} is not in the mesh", rank));
  }
  return {};
}

Result<void> ManifestReader::explicit_boxes(Value data, Group& group) {
  const auto parts = fields(data, "data", {"global_shape", "global_offsets", "local_offsets", "local_sizes", "dtype"});
  RETURN_IF_ERROR(parts);
  RETURN_IF_ERROR(shape_and_dtype((*parts)[0], (*parts)[4], group));
  constexpr std::array<std::string_view, 3> kNames{"'global_offsets'", "'local_offsets'", "'local_sizes'"};
  std::array<std::vector<std::vector<std::int64_t>>, 3> lists;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    const auto list = values_.sequence((*parts)[i + 1], kNames[i]);
    RETURN_IF_ERROR(list);
    for (const Value value : *list) {
      auto numbers = values_.integers(value, kNames[i], 0, kMaxElements);
      RETURN_IF_ERROR(numbers);
      if (numbers->size() != group.shape.size()) {
        return broken(
            fmt::format("{}: {} numbers of a tensor of {} dimensions", kNames[i], numbers->size(), group.shape.size()));
      }
      lists[i].push_back(std::move(*numbers));
    }
  }
  if (lists[0].size() != lists[1].size() || lists[0].size() != lists[2].size()) {
    return broken(fmt::format("{} global_offsets, {} local_offsets, {} local_sizes", lists[0].size(), lists[1].size(),
                              lists[2].size()));
  }
  for (std::size_t i = 0; i < lists[0].size(); ++i) {
    FlatBox box = lists[0][i];
    for (std::size_t d = 0; d < group.shape.size(); ++d) {
      const std::int64_t size = lists[2][i][d];
      if (size > group.shape[d] || box[d] > group.shape[d] - size) {
        return broken(fmt::format("the box at [{}] of [{}] leaves the tensor of [{}]", fmt::join(lists[0][i], ", "),
                                  fmt::join(lists[2][i], ", "), fmt::join(group.shape, ", ")));
      }
      box.push_back(size);
    }
    group.boxes.push_back(std::move(box));
  }
  return {};
}

Result<const Mesh*> ManifestReader::mesh(Value value) {
  if (const auto known = mesh_of_.find(value.word()); known != mesh_of_.end()) return known->second;
  const auto parts = fields(value, "mesh_spec", {"device_type", "mesh_shape", "mesh_data", "mesh_dim_names"});
  RETURN_IF_ERROR(parts);
  RETURN_IF_ERROR(values_.text((*parts)[0], "'device_type'"));
  auto shape = values_.integers((*parts)[1], "'mesh_shape'", 1, kMaxRank);
  RETURN_IF_ERROR(shape);
  const auto ranks = values_.integers((*parts)[2], "'mesh_data'", 0, kMaxRank);
  RETURN_IF_ERROR(ranks);
  if (!(*parts)[3].is(Tag::None)) {
    const auto names = values_.sequence((*parts)[3], "'mesh_dim_names'");
    RETURN_IF_ERROR(names);
    if (names->size() != shape->size())
      return broken(fmt::format("{} 'mesh_dim_names' of {} dimensions", names->size(), shape->size()));
    for (const Value name : *names) {
      RETURN_IF_ERROR(values_.text(name, "a name of 'mesh_dim_names'"));
    }
  }
  std::uint64_t count = 1;
  for (const std::int64_t size : *shape) {
    if (!base::multiply(count, static_cast<std::uint64_t>(size), count)) count = UINT64_MAX;
  }
  if (count != ranks->size() || shape->size() > kMaxNdim) {
    return broken(fmt::format("'mesh_shape' [{}] and 'mesh_data' of {} ranks do not fit", fmt::join(*shape, ", "),
                              ranks->size()));
  }
  std::vector<std::int64_t> key{std::ssize(*shape)};
  key.insert(key.end(), shape->begin(), shape->end());
  key.insert(key.end(), ranks->begin(), ranks->end());
  auto& mesh = meshes_[std::move(key)];
  if (!mesh) {
    auto made = std::make_unique<Mesh>();
    made->shape = std::move(*shape);
    for (std::size_t i = 0; i < ranks->size(); ++i) {
      const auto rank = static_cast<std::uint32_t>((*ranks)[i]);
      if (!made->positions.emplace(rank, static_cast<std::uint32_t>(i)).second)
        return broken(fmt::format("'mesh_data' has rank {} twice", rank));
    }
    mesh = std::move(made);
  }
  mesh_of_.emplace(value.word(), mesh.get());
  return mesh.get();
}

Result<Placement> ManifestReader::placement(Value value, std::size_t ndim) {
  const auto parts = fields(value, "placement", {"type", "dim", "split_factor"});
  RETURN_IF_ERROR(parts);
  const auto type = values_.text((*parts)[0], "the placement's 'type'");
  RETURN_IF_ERROR(type);
  if (*type == "Replicate") return Replicate{};
  if (*type != "Shard" && *type != "StridedShard") return broken(fmt::format("the placement '{}' is not known", *type));
  const auto dim =
      values_.integer((*parts)[1], fmt::format("'dim' of a {}", *type), 0, static_cast<std::int64_t>(ndim) - 1);
  RETURN_IF_ERROR(dim);
  if (*type == "Shard") return Shard{*dim};
  const auto factor = values_.integer((*parts)[2], "'split_factor'", 1, INT32_MAX);
  RETURN_IF_ERROR(factor);
  return StridedShard{*dim, *factor};
}

Result<const std::vector<std::uint32_t>*> ManifestReader::ranks(Value value) {
  const auto numbers = values_.integers(value, "'ranks'", 0, std::int64_t{world_size_} - 1);
  RETURN_IF_ERROR(numbers);
  std::vector<std::uint32_t> ranks(numbers->begin(), numbers->end());
  std::vector<std::uint32_t> sorted = ranks;
  std::ranges::sort(sorted);
  if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
    return broken(fmt::format("'ranks' has rank {} twice", *twice));
  return &*rank_lists_.insert(std::move(ranks)).first;
}

}  // namespace flatpoint::torch_checkpointing
