#include "dcp/translator.hpp"

#include <algorithm>
#include <array>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "dcp/opaque_writer.hpp"
#include "pickle/made_for_nothing.hpp"

namespace flatpoint::dcp {
namespace {

/// What a root that is not DCP's Metadata is, for people.
std::string describe(const Heap& heap, Value value) {
  const auto name_of_global = [&](Value global) {
    if (!global.is(Tag::Global)) return std::string("something that is not a name");
    const GlobalName& name = heap.globals[global.number()];
    return fmt::format("{}.{}", name.module, name.name);
  };
  switch (value.tag()) {
    case Tag::Object: {
      const auto* const object = value.node<Object>();
      const bool is_call = object->kind == Object::Kind::Reduce;
      return fmt::format("{} {}", is_call ? "a call of" : "an object of", name_of_global(object->callable));
    }
    case Tag::Global: return fmt::format("the name {}", name_of_global(value));
    case kSizeTag: return fmt::format("a call of {}", name_of_global(heap.size_class));
    case kChunkTag: return fmt::format("an object of {}", name_of_global(heap.chunk_class));
    case kIndexTag: return fmt::format("an object of {}", name_of_global(heap.index_class));
    case kInfoTag: return fmt::format("an object of {}", name_of_global(heap.info_class));
    case Tag::Dict: return "a dict";
    case Tag::List: return "a list";
    case Tag::Tuple: return "a tuple";
    case Tag::Text:
    case Tag::LongText: return "a str";
    default: return "another value";
  }
}

}  // namespace

Result<write::Draft> Translator::run(Value root) {
  const auto refuse = [](std::string why) {
    return fail(ErrorCode::NotPickle, fmt::format("not a pickle of DCP's Metadata: {}", why));
  };
  const Value cls = root.is(Tag::Object) ? class_of(heap_, root) : Value();
  if (cls.is(Tag::Unset) || (heap_.known(cls) != Known::Metadata && !may_stand_in(heap_, cls))) {
    return refuse(fmt::format("it holds {}", describe(heap_, root)));
  }

  std::vector<Attribute> attributes;
  base::TextMap<std::string_view, std::size_t> numbers;
  // A second state would go to the __setstate__ that the first may have given.
  const BlockList& states = root.node<Object>()->blocks;
  const bool plain = visit_attributes(*root.node<Object>(), [&](Value key, Value value) {
    const auto name = heap_.text(key);
    if (!name || !numbers.try_emplace(*name, attributes.size()).second) return false;
    attributes.push_back({*name, value});
    return true;
  });
  if (!plain || states.first != states.last)
    return refuse(fmt::format("{} has a state that is not attributes, each once", describe(heap_, root)));

  const auto find = [&](std::string_view name) {
    const auto found = numbers.find(name);
    return found == numbers.end() ? Value() : attributes[found->second].value;
  };
  const Value entries = find("state_dict_metadata");
  if (!is_dict(heap_, entries))
    return refuse(fmt::format("{} without a dict state_dict_metadata", describe(heap_, root)));
  if (heap_.known(cls) != Known::Metadata) {
    draft_.metadata_class = class_name(cls);
    if (draft_.metadata_class->empty()) return refuse(fmt::format("{} has a name with spaces", describe(heap_, root)));
  }

  RETURN_IF_ERROR(refuse_dropped(root));

  // The others refer to its FQNs.
  RETURN_IF_ERROR(state_dict(entries));
  for (const Attribute& each : attributes) {
    RETURN_IF_ERROR(attribute(each.name, each.value));
  }
  if (!draft_.has_storage_data) draft_.rows.resize(rows_.rows());
  draft_.boxes = std::move(heap_.records.boxes);
  return std::move(draft_);
}

Status Translator::attribute(std::string_view name, Value value) {
  if (name == "state_dict_metadata") return {};
  if (name == "planner_data") return planner_data(value);
  if (name == "storage_data") return storage_data(value);
  if (name == "storage_meta") return storage_meta(value);
  if (name != "version") return keep(OpaqueKind::Attribute, attributes_kept_++, heap_.arena.copy(name), value);
  if (value.is(Tag::None)) return {};
  const auto version = heap_.text(value);
  if (!version) return keep(OpaqueKind::Version, 0, {}, value);
  draft_.version = heap_.arena.copy(*version);
  return {};
}

Status Translator::storage_meta(Value value) {
  if (value.is(Tag::None)) return {};
  write::DraftStorageMeta meta;
  if (!read_storage_meta(value, meta)) return keep(OpaqueKind::StorageMeta, 0, {}, value);
  draft_.storage_meta = std::move(meta);
  return {};
}

bool Translator::read_storage_meta(Value value, write::DraftStorageMeta& meta) {
  std::array<Attribute, 4> attributes{{{"checkpoint_id"}, {"save_id"}, {"load_id"}, {"modules"}}};
  if (known_class_of(heap_, value) != Known::StorageMeta || !read_attributes(heap_, value, attributes)) return false;
  const auto& [checkpoint_id, save_id, load_id, modules] = attributes;
  const auto absent = [](Value v) { return v.is(Tag::Unset) || v.is(Tag::None); };
  const auto read_id = [&](Value id, std::optional<std::string_view>& out) {
    if (absent(id)) return true;
    const auto text = heap_.text(id);
    if (text) out = heap_.arena.copy(*text);
    return text.has_value();
  };
  if (!read_id(save_id.value, meta.save_id) || !read_id(load_id.value, meta.load_id)) return false;
  if (const auto path = read_path(heap_, checkpoint_id.value)) {
    meta.checkpoint_id = heap_.arena.copy(path->text);
    meta.checkpoint_id_type = path->type;
  } else {
    if (!read_id(checkpoint_id.value, meta.checkpoint_id)) return false;
    meta.checkpoint_id_type = meta.checkpoint_id ? PathType::Str : PathType::Absent;
  }
  meta.has_modules = !modules.value.is(Tag::Unset);
  if (!meta.has_modules) return true;
  return modules.value.is(Tag::List) && visit_list(modules.value, [&](Value item) {
           const auto text = heap_.text(item);
           if (text) meta.modules.push_back(heap_.arena.copy(*text));
           return text.has_value();
         });
}

Result<std::vector<Translator::Item>> Translator::items_of(Value dict, std::string_view attribute) {
  std::vector<Item> items;
  if (dict.is(Tag::Dict)) items.reserve(dict.node<Container>()->count / 2);
  std::vector<bool> is_there(heap_.texts.size());
  OddKeys odd_keys;
  for (const Block* block = dict_blocks(dict).first; block != nullptr; block = block->next) {
    const auto values = block->values();
    for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
      const auto text = heap_.text(values[i]);
      if (!text) {
        const auto answer = odd_keys.add(heap_, values[i]);
        if (answer != OddKeys::Answer::New) {
          return tl::unexpected(ambiguous_key(attribute, items.size(), answer));
        }
        items.push_back({values[i], values[i + 1], kNone});
        continue;
      }
      const std::uint32_t fqn = heap_.texts.intern(*text);
      if (fqn >= is_there.size()) is_there.resize(fqn + std::size_t{1});
      if (is_there[fqn]) return tl::unexpected(ambiguous_key(attribute, items.size(), OddKeys::Answer::Repeated));
      is_there[fqn] = true;
      items.push_back({values[i], values[i + 1], fqn});
    }
  }
  return items;
}

// What is made and thrown away is in no column and in no record, and Python may fail at it.
Status Translator::refuse_dropped(Value root) const {
  const Value object = pickle::made_for_nothing(heap_, root);
  if (object.is(Tag::Unset)) return {};
  return fail(ErrorCode::BadPickle, fmt::format("{} is made and not kept", describe(heap_, object)));
}

// No writer makes such a pickle. Of equal keys Python keeps the first, with the last value; what the other values were,
// and whether a call among them fails, would be lost.
Error Translator::ambiguous_key(std::string_view attribute, std::size_t position, OddKeys::Answer answer) {
  return {ErrorCode::BadPickle,
          fmt::format("item {} of {}: {}", position, attribute,
                      answer == OddKeys::Answer::Repeated ? "a key that comes twice"
                                                          : "a key that only Python can hash and compare")};
}

// Sizes and boxes that are shared through the memo multiply when they are spelled out.
Status Translator::check_size() const {
  const std::uint64_t bytes = (draft_.sizes.size() + heap_.records.boxes.size()) * sizeof(std::int64_t);
  if (bytes <= limits_.max_output_bytes) return {};
  return fail(ErrorCode::TooLarge, fmt::format("sizes and offsets of {} bytes exceed the limit max_output_bytes = {}",
                                               bytes, limits_.max_output_bytes));
}

std::optional<std::size_t> Translator::read_shape(Value value, base::LargeVector<std::int64_t>& out) {
  lists_for_sizes_ += value.is(Tag::List) ? 1 : 0;
  return read_size(heap_, value, out);
}

std::vector<Finding> Translator::findings() const {
  std::vector<Finding> findings = other_dimensions_;
  if (lists_for_sizes_ > 0) {
    findings.push_back({std::string(finding_kind::kOtherTypes),
                        fmt::format("{} sizes, offsets or strides are lists, and read as torch.Size; an "
                                    "export writes torch.Size",
                                    lists_for_sizes_)});
  }
  if (paths_for_texts_ > 0) {
    findings.push_back({std::string(finding_kind::kOtherTypes),
                        fmt::format("{} relative paths are paths of pathlib, and read as their text; an "
                                    "export writes str",
                                    paths_for_texts_)});
  }
  return findings;
}

Status Translator::keep(OpaqueKind kind, std::size_t position, std::string_view name, Value value) {
  OpaqueWriter writer(heap_, limits_, limits_.max_output_bytes - opaque_bytes_);
  return keep_written(kind, position, name, writer.write(value));
}

Status Translator::keep_item(OpaqueKind kind, std::size_t position, Value key, Value value) {
  OpaqueWriter writer(heap_, limits_, limits_.max_output_bytes - opaque_bytes_);
  return keep_written(kind, position, {}, writer.write_pair(key, value));
}

Status Translator::keep_written(OpaqueKind kind, std::size_t position, std::string_view name,
                                Result<std::string_view> pickle) {
  RETURN_IF_ERROR(pickle);
  opaque_bytes_ += std::min(pickle->size(), limits_.max_output_bytes - opaque_bytes_);
  draft_.opaque.push_back({kind, static_cast<std::uint32_t>(position), name, heap_.arena.copy(*pickle)});
  return {};
}

// "module qualname"; empty where the parts could not be told apart.
std::string_view Translator::class_name(Value cls) {
  const GlobalName& name = heap_.globals[cls.number()];
  if (name.module.find(' ') != std::string::npos || name.name.find(' ') != std::string::npos) return {};
  return heap_.arena.copy(fmt::format("{} {}", name.module, name.name));
}

// How many more rows of chunk columns there may be; their numbers have 32 bits.
std::uint64_t Translator::rows_left() const noexcept {
  const std::uint64_t most = std::min<std::uint64_t>(limits_.max_chunks, INT32_MAX);
  const std::uint64_t rows = std::max<std::uint64_t>(rows_.rows(), draft_.rows.size());
  return most - std::min(rows, most);
}

Error Translator::too_many_dimensions(std::string_view fqn) const {
  return {ErrorCode::TooLarge,
          fmt::format("FQN '{}': more than {} dimensions, the format's limit", fqn, kMaxDimensions)};
}

Error Translator::too_many_chunks() const {
  return {ErrorCode::TooLarge, fmt::format("more chunks than the limit max_chunks = {}", limits_.max_chunks)};
}

}  // namespace flatpoint::dcp
