// What fragments hold beside entries and rows.

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "base/text_map.hpp"
#include "change/attributes_reader.hpp"
#include "change/merge_source.hpp"

namespace flatpoint::change {
namespace {

/// Common numbers for equal things, by first come.
template <class T, class Map, class Key>
std::uint32_t number_of(Map& numbers, std::vector<T>& things, Key&& key, const T& thing) {
  const auto [known, is_new] = numbers.try_emplace(std::forward<Key>(key), static_cast<std::uint32_t>(things.size()));
  if (is_new) things.push_back(thing);
  return known->second;
}

class AttributesMerge {
 public:
  explicit AttributesMerge(std::span<MergeSource> sources) : sources_(sources) {}

  Result<write::DraftAttributes> run() {
    for (MergeSource& source : sources_) {
      auto attributes = read_attributes(source.columns());
      if (!attributes) return source.blame(std::move(attributes.error()));
      source.attributes = std::move(*attributes);
      number(source);
      RETURN_IF_ERROR(join_facts(source));
      if (joined_.checksum_kind == ChecksumKind::Absent) joined_.checksum_kind = source.attributes.checksum_kind;
      source.keeps_checksums = source.attributes.checksum_kind == joined_.checksum_kind;
      joined_.has_storage_data |= source.attributes.has_storage_data;
      joined_.has_planner_data |= source.attributes.has_planner_data;
      constexpr std::size_t kMaxNumber = std::numeric_limits<std::uint16_t>::max();
      if (joined_.type_names.size() >= kMaxNumber || joined_.transform_lists.size() >= kMaxNumber) {
        return fail(ErrorCode::TooLarge,
                    fmt::format("more than {} names of dtypes or lists of transform descriptors", kMaxNumber - 1));
      }
    }
    auto joined =
        join_text("version", &write::DraftAttributes::version).and_then([&] { return join_classes(); }).and_then([&] {
          return join_opaque();
        });
    RETURN_IF_ERROR(joined);
    return std::move(joined_);
  }

 private:
  void number(MergeSource& source) {
    const write::DraftAttributes& a = source.attributes;
    for (const std::string_view file : a.files) source.files.push_back(number_of(files_, joined_.files, file, file));
    for (const std::string_view name : a.type_names) {
      source.type_names.push_back(static_cast<std::uint16_t>(number_of(types_, joined_.type_names, name, name)));
    }
    for (const write::DraftTransformList& list : a.transform_lists) {
      const std::uint32_t number =
          number_of(lists_, joined_.transform_lists, std::pair(list.type, list.descriptors), list);
      source.transform_lists.push_back(static_cast<std::uint16_t>(number));
    }
    for (const auto& path : a.paths) {
      std::vector<std::pair<std::uint16_t, std::uint8_t>> key;
      for (const PathElementRow& element : path) key.emplace_back(element.components, element.is_index);
      source.paths.push_back(number_of(paths_, joined_.paths, std::move(key), path));
    }
  }

  /// Files that several fragments write into: their facts are those that all of them state.
  Result<void> join_facts(const MergeSource& source) {
    const std::size_t known_before = joined_.file_facts.size();
    joined_.file_facts.resize(joined_.files.size());
    for (std::size_t i = 0; i < source.files.size(); ++i) {
      const std::uint32_t file = source.files[i];
      const FileFacts here = source.attributes.file_facts.empty() ? FileFacts() : source.attributes.file_facts[i];
      FileFacts& facts = joined_.file_facts[file];
      if (file >= known_before) {
        facts = here;
      } else if (facts.length && here.length && facts.length != here.length) {
        return fail(ErrorCode::Conflict,
                    fmt::format("data file '{}': rank {} knows one of {} bytes, a lower rank one of {}",
                                joined_.files[file], source.rank(), *here.length, *facts.length));
      } else {
        facts = write::joined(facts, here);
      }
    }
    return {};
  }

  static std::string quoted(const std::optional<std::string_view>& text) {
    return text ? fmt::format("'{}'", *text) : "none";
  }

  static tl::unexpected<Error> differ(std::string_view what, const MergeSource& a, std::string_view said,
                                      const MergeSource& b, std::string_view says) {
    return fail(ErrorCode::Conflict,
                fmt::format("{} differs: {} in rank {}, {} in rank {}", what, said, a.rank(), says, b.rank()));
  }

  /// A text that those who state it agree on.
  Result<void> join_text(const char* what, std::optional<std::string_view> write::DraftAttributes::*member) {
    const MergeSource* first = nullptr;
    for (const MergeSource& source : sources_) {
      const auto& text = source.attributes.*member;
      if (!text) continue;
      if (first != nullptr && joined_.*member != text)
        return differ(what, *first, quoted(joined_.*member), source, quoted(text));
      if (first == nullptr) first = &source;
      joined_.*member = text;
    }
    return {};
  }

  /// No class stands for DCP's own, so that here absence counts; a fragment without storage data has no _StorageInfo.
  Result<void> join_classes() {
    joined_.metadata_class = sources_.front().attributes.metadata_class;
    const MergeSource* stored = nullptr;
    for (const MergeSource& source : sources_) {
      const write::DraftAttributes& a = source.attributes;
      if (a.metadata_class != joined_.metadata_class) {
        return differ("the class of the metadata", sources_.front(), quoted(joined_.metadata_class), source,
                      quoted(a.metadata_class));
      }
      if (!joined_.storage_meta) joined_.storage_meta = a.storage_meta;
      if (!a.has_storage_data) continue;
      if (stored != nullptr && a.storage_info_class != joined_.storage_info_class) {
        return differ("the class of the storage information", *stored, quoted(joined_.storage_info_class), source,
                      quoted(a.storage_info_class));
      }
      if (stored == nullptr) stored = &source;
      joined_.storage_info_class = a.storage_info_class;
    }
    return {};
  }

  struct Kept {
    const MergeSource* source;
    std::string_view pickle;
  };

  /// Records that can be there once must be equal; items of dictionaries are kept each, equal ones once.
  Result<void> join_opaque() {
    std::map<std::pair<OpaqueKind, std::string_view>, Kept> single;
    std::map<std::tuple<OpaqueKind, std::string_view, std::string_view>, bool> items;
    for (const MergeSource& source : sources_) {
      for (const write::DraftOpaque& record : source.attributes.opaque) {
        switch (record.kind) {
          case OpaqueKind::StateDictItem:
          case OpaqueKind::PlannerItem:
          case OpaqueKind::StorageItem:
            if (items.emplace(std::tuple(record.kind, record.name, record.pickle), true).second)
              joined_.opaque.push_back(record);
            continue;
          case OpaqueKind::StorageMeta:
            if (joined_.storage_meta || single.contains({record.kind, {}})) continue;
            break;
          default: break;
        }
        const auto [kept, is_new] = single.try_emplace({record.kind, record.name}, Kept{&source, record.pickle});
        if (!is_new && kept->second.pickle != record.pickle) {
          return fail(ErrorCode::Conflict, fmt::format("opaque record '{}' differs between rank {} and rank {}",
                                                       record.name, kept->second.source->rank(), source.rank()));
        }
        if (is_new) joined_.opaque.push_back(record);
      }
    }
    return check_whole(single);
  }

  /// A dictionary that is opaque as a whole has no other facts beside it in another fragment.
  Result<void> check_whole(const std::map<std::pair<OpaqueKind, std::string_view>, Kept>& single) const {
    for (const auto& [key, kept] : single) {
      const OpaqueKind kind = key.first;
      for (const MergeSource& source : sources_) {
        const write::DraftAttributes& a = source.attributes;
        const bool beside = (kind == OpaqueKind::PlannerData && a.has_planner_data) ||
                            (kind == OpaqueKind::StorageData && a.has_storage_data) ||
                            (kind == OpaqueKind::Version && a.version);
        if (!beside) continue;
        return fail(ErrorCode::Conflict, fmt::format("rank {} keeps as an opaque record what rank {} states in columns",
                                                     kept.source->rank(), source.rank()));
      }
    }
    return {};
  }

  std::span<MergeSource> sources_;
  write::DraftAttributes joined_;
  base::TextMap<std::string_view, std::uint32_t> files_;
  std::map<std::string_view, std::uint32_t> types_;
  std::map<std::pair<SequenceType, std::vector<std::string_view>>, std::uint32_t> lists_;
  std::map<std::vector<std::pair<std::uint16_t, std::uint8_t>>, std::uint32_t> paths_;
};

/// Calls visit(entry) in the order of state_dict_metadata. What a broken order leaves out comes last.
template <class Visit>
void for_each_entry(const MergeSource& source, Visit&& visit) {
  for (const std::uint32_t entry : source.columns().fqn_order) {
    if (entry < source.entries.size()) visit(entry);
  }
  for (std::uint32_t entry = 0; entry < source.entries.size(); ++entry) visit(entry);
}

/// Numbers in the order in which they first come.
template <class Order>
class FirstCome {
 public:
  explicit FirstCome(std::size_t count) : seen_(count, false) {}
  void add(std::uint32_t number) {
    if (seen_[number]) return;
    seen_[number] = true;
    order_.push_back(number);
  }
  Order take() && { return std::move(order_); }

 private:
  std::vector<bool> seen_;
  Order order_;
};

}  // namespace

tl::unexpected<Error> MergeSource::blame(Error&& error) const {
  return fail_at(fragment->name.empty() ? fmt::format("fragment of rank {}", fragment->rank) : fragment->name, error);
}

bool states_orders(const Columns& columns) noexcept {
  return columns.source || !columns.fqn_order.empty() || !columns.storage_order.empty() ||
         !columns.planner_order.empty() || !columns.chunk_order.empty();
}

Result<write::DraftAttributes> merge_attributes(std::span<MergeSource> sources) {
  return AttributesMerge(sources).run();
}

MergedOrders merge_orders(std::span<const MergeSource> sources, std::size_t entry_count, std::size_t row_count) {
  FirstCome<std::vector<std::uint32_t>> fqns(entry_count);
  FirstCome<base::LargeVector<std::uint32_t>> rows(row_count);
  for (const MergeSource& source : sources) {
    for_each_entry(source, [&](std::uint32_t entry) { fqns.add(source.entries[entry]); });
    const auto add_row = [&](std::uint32_t row) {
      if (source.rows[row] != kNoRow && source.columns().chunk_files[row] != kNoFile) rows.add(source.rows[row]);
    };
    const auto& stated = source.attributes.storage_order;
    for (const std::uint32_t row : stated.empty() ? default_storage_order(source.columns()) : stated) add_row(row);
    for (std::uint32_t row = 0; row < source.rows.size(); ++row) add_row(row);  // what a broken order leaves out
  }
  // Torch joins planner data in a ChainMap, which goes through its last dictionary first.
  FirstCome<std::vector<std::uint32_t>> keys(entry_count);
  for (std::size_t i = sources.size(); i-- > 0;) {
    const MergeSource& source = sources[i];
    const auto& paths = source.columns().fqn_paths;
    const auto add_key = [&](std::uint32_t entry) {
      if (!paths.empty() && paths[entry] != 0) keys.add(source.entries[entry]);
    };
    for (const std::uint32_t entry : source.attributes.planner_order) add_key(entry);
    for_each_entry(source, add_key);
  }
  return {std::move(fqns).take(), std::move(rows).take(), std::move(keys).take()};
}

}  // namespace flatpoint::change
