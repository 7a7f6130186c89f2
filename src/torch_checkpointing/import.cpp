#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <unordered_map>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "base/hash.hpp"
#include "flatpoint/torch_checkpointing.hpp"
#include "pickle/machine.hpp"
#include "torch_checkpointing/boxes.hpp"
#include "torch_checkpointing/json_path.hpp"
#include "torch_checkpointing/manifest.hpp"
#include "write/draft.hpp"

namespace flatpoint::torch_checkpointing {
namespace {

constexpr std::size_t kMaxFindings = 100;

/// The distinct boxes of a tensor, each at the rank from which the library would read it.
struct Boxes {
  std::size_t begin = 0;             // in Draft::boxes
  std::vector<std::uint32_t> ranks;  // of each box
  bool has_split_shard = false;      // a rank has several, of one shard
};

/// A tensor before its FQN is settled.
struct Named {
  std::string fqn;
  std::vector<PathElement> path;
  std::string_view key;
  Value groups;
};

class Importer {
 public:
  Importer(const Heap& heap, std::uint64_t max_chunks)
      : manifest_(heap), max_chunks_(std::min(max_chunks, (std::uint64_t{1} << 22) + 16 * heap.input.size())) {}

  Result<write::Draft> run(Value root) {
    auto items = manifest_.read(root);
    RETURN_IF_ERROR(items);
    items_ = std::move(*items);
    std::ranges::sort(items_, {}, &Item::name);  // their order in the file differs from save to save
    for (const Item& item : items_) {
      auto added = add(item);
      if (!added) return fail_at(fmt::format("item '{}'", item.name), std::move(added.error()));
    }
    for (const auto& [key, count] : manifest_.unknown_keys())
      find("unknown_key", fmt::format("the key '{}' is none of the schema's; it is dropped ({} times)", key, count));
    if (suppressed_ > 0) findings_.push_back({"suppressed", fmt::format("and {} more findings", suppressed_)});
    draft_.has_storage_data = true;
    draft_.has_planner_data = true;
    draft_.metadata_class = kMetadataClass;
    return std::move(draft_);
  }
  std::vector<Finding>& findings() noexcept { return findings_; }

 private:
  void find(std::string_view kind, std::string message) {
    if (findings_.size() < kMaxFindings) {
      findings_.push_back({std::string(kind), std::move(message)});
    } else {
      ++suppressed_;
    }
  }

  Result<void> add(const Item& item) {
    auto tensors = named(item);
    RETURN_IF_ERROR(tensors);
    files_.assign(item.layouts->size(), kNoFile);
    for (Named& tensor : *tensors) {
      auto added = add(item, tensor);
      if (!added) return fail_at(fmt::format("path '{}'", tensor.key), std::move(added.error()));
    }
    return {};
  }

  /// The tensors of an item, by FQN. Of several with one FQN each gets its path's JSON text behind the item's name.
  Result<std::vector<Named>> named(const Item& item) {
    std::vector<Named> tensors;
    for (const Path& path : item.paths) {
      auto elements = parse_path(path.key);
      if (!elements) return fail_at(fmt::format("path '{}'", path.key.substr(0, 200)), std::move(elements.error()));
      if (manifest_.paths_name_items()) elements->erase(elements->begin());
      Named tensor{std::string(item.name), std::move(*elements), path.key, path.groups};
      for (const PathElement& element : tensor.path) tensor.fqn.append(1, '.').append(element.text);
      tensors.push_back(std::move(tensor));
    }
    std::ranges::sort(tensors, [](const Named& a, const Named& b) {
      return std::tie(a.fqn, a.path, a.key) < std::tie(b.fqn, b.path, b.key);
    });
    for (std::size_t begin = 0, end = 0; begin < tensors.size(); begin = end) {
      while (end < tensors.size() && tensors[end].fqn == tensors[begin].fqn) ++end;
      if (end - begin == 1) continue;
      for (std::size_t i = begin + 1; i < end; ++i) {
        if (tensors[i].path == tensors[i - 1].path)
          return fail(ErrorCode::BadPickle,
                      fmt::format("the paths '{}' and '{}' are one", tensors[i - 1].key, tensors[i].key));
      }
      find("fqn_collision",
           fmt::format("item '{}': {} paths give the FQN '{}'; torch_checkpointing refuses to reshard the item",
                       item.name, end - begin, tensors[begin].fqn));
      for (std::size_t i = begin; i < end; ++i) {
        tensors[i].fqn = fmt::format("{}{}", item.name, tensors[i].key);
        tensors[i].path.clear();
        collided_.insert(tensors[i].fqn);
      }
    }
    std::ranges::sort(tensors, {}, &Named::fqn);
    return tensors;
  }

  Result<void> add(const Item& item, const Named& tensor) {
    const auto groups = manifest_.groups(tensor.groups);
    RETURN_IF_ERROR(groups);
    const Group& first = *(*groups)->front();
    const auto boxes = boxes_of(**groups, tensor.groups);
    RETURN_IF_ERROR(boxes);
    const auto is_other = [&](const Group* group) {
      return group->shape != first.shape || group->dtype != first.dtype;
    };
    if (std::ranges::any_of(**groups, is_other)) {
      find("groups_disagree",
           fmt::format("item '{}', path '{}': its groups have different shapes or dtypes, of which a "
                       "load by torch_checkpointing makes a mixture; here the first counts",
                       item.name, tensor.key));
    }
    if ((*boxes)->has_split_shard) {
      find("strided_disjoint", fmt::format("item '{}', path '{}': a rank's rows are no single run; torch_checkpointing "
                                           "loads the wrong ones, here each run is a chunk",
                                           item.name, tensor.key));
    }
    if ((*boxes)->ranks.size() > max_chunks_ - draft_.rows.size()) {
      return fail(ErrorCode::TooLarge,
                  fmt::format("more chunks than max_chunks and 16 to a byte allow: {}", max_chunks_));
    }
    fqns_.push_back(tensor.fqn);
    write::DraftEntry entry;
    entry.fqn = fqns_.back();
    entry.properties.dtype = scalar_type_from_name(first.dtype).value_or(ScalarType::Other);
    if (entry.properties.dtype == ScalarType::Other) entry.properties.dtype_name = type_name(first.dtype);
    entry.ndim = static_cast<std::uint8_t>(first.shape.size());
    entry.size_begin = draft_.sizes.size();
    for (const std::int64_t size : first.shape) draft_.sizes.push_back(size);
    entry.box_begin = (*boxes)->begin;
    entry.chunk_begin = draft_.rows.size();
    entry.chunk_count = static_cast<std::uint32_t>((*boxes)->ranks.size());
    for (const std::uint32_t rank : (*boxes)->ranks) draft_.rows.push_back({.file = file_of(item, rank)});
    if (!collided_.contains(tensor.fqn)) entry.path = path_number(item, tensor.path);
    draft_.entries.push_back(entry);
    return {};
  }

  Result<const Boxes*> boxes_of(const std::vector<const Group*>& groups, Value value) {
    if (const auto known = boxes_of_value_.find(value.word()); known != boxes_of_value_.end()) return known->second;
    std::string key;
    for (const Group* group : groups) key += group->key;
    auto& boxes = boxes_[std::move(key)];
    if (!boxes) {
      auto made = join(groups);
      RETURN_IF_ERROR(made);
      boxes = std::make_unique<Boxes>(std::move(*made));
    }
    boxes_of_value_.emplace(value.word(), boxes.get());
    return boxes.get();
  }

  /// A group that has all ranks of its mesh has the whole tensor, and the others are copies. Else they are parts.
  Result<Boxes> join(const std::vector<const Group*>& groups) {
    const auto is_whole = [](const Group* group) {
      return group->mesh != nullptr && group->ranks->size() == group->mesh->positions.size();
    };
    const auto whole = std::ranges::find_if(groups, is_whole);
    Boxes boxes;
    boxes.begin = draft_.boxes.size();
    std::set<FlatBox> seen;
    for (const Group* group : groups) {
      if (whole != groups.end() && group != *whole) continue;
      if (group->shape != groups.front()->shape) continue;  // said by a finding
      for (const std::uint32_t rank : *group->ranks) {
        auto added =
            group->mesh != nullptr ? add_shard(*group, rank, boxes, seen) : add_boxes(*group, rank, boxes, seen);
        RETURN_IF_ERROR(added);
      }
    }
    return boxes;
  }

  void add_box(FlatBox box, std::uint32_t rank, Boxes& boxes, std::set<FlatBox>& seen) {
    const auto [at, is_new] = seen.insert(std::move(box));
    if (!is_new) return;
    for (const std::int64_t number : *at) draft_.boxes.push_back(number);
    boxes.ranks.push_back(rank);
  }

  Result<void> add_boxes(const Group& group, std::uint32_t rank, Boxes& boxes, std::set<FlatBox>& seen) {
    const auto ndim = static_cast<std::ptrdiff_t>(group.shape.size());
    for (const FlatBox& box : group.boxes) {
      RETURN_IF_ERROR(count_work());
      if (std::find(box.begin() + ndim, box.end(), 0) == box.end()) add_box(box, rank, boxes, seen);
    }
    return {};
  }

  Result<void> count_work() {
    if (++work_ <= max_chunks_) return {};
    return fail(ErrorCode::TooLarge,
                fmt::format("more pieces of shards than max_chunks and 16 to a byte allow: {}", max_chunks_));
  }

  /// All combinations of the runs of each dimension.
  Result<void> add_shard(const Group& group, std::uint32_t rank, Boxes& boxes, std::set<FlatBox>& seen) {
    const std::uint32_t position = group.mesh->positions.at(rank);
    if (!local_runs(group.shape, group.mesh->shape, group.placements, position, max_chunks_, work_, runs_))
      work_ = max_chunks_;
    RETURN_IF_ERROR(count_work());
    const std::size_t ndim = group.shape.size();
    if (std::ranges::any_of(runs_, &Runs::empty)) return {};
    std::vector<std::size_t> at(ndim, 0);
    for (bool more = true; more;) {
      RETURN_IF_ERROR(count_work());
      FlatBox box(2 * ndim);
      for (std::size_t d = 0; d < ndim; ++d) {
        box[d] = runs_[d][at[d]].begin;
        box[ndim + d] = runs_[d][at[d]].count;
      }
      add_box(std::move(box), rank, boxes, seen);
      more = false;
      for (std::size_t d = ndim; d-- > 0 && !more;) {
        more = ++at[d] < runs_[d].size();
        if (!more) at[d] = 0;
      }
      boxes.has_split_shard |= more;
    }
    return {};
  }

  std::uint32_t file_of(const Item& item, std::uint32_t rank) {
    std::uint32_t& number = files_[rank];
    if (number != kNoFile) return number;
    number = static_cast<std::uint32_t>(draft_.files.size());
    const LayoutInfo& layout = (*item.layouts)[rank];
    names_.push_back(layout.file_path.empty() ? fmt::format("{}_{}.pt", item.name, rank) : layout.file_path);
    draft_.files.push_back(names_.back());
    draft_.file_facts.push_back({.format = layout.format});
    return number;
  }

  std::uint16_t type_name(std::string_view name) {
    const auto known = std::ranges::find(draft_.type_names, name);
    if (known == draft_.type_names.end()) {
      draft_.type_names.push_back(name);
      return static_cast<std::uint16_t>(draft_.type_names.size() - 1);
    }
    return static_cast<std::uint16_t>(known - draft_.type_names.begin());
  }

  /// kNoPath where more paths differ in shape than a file numbers.
  std::uint32_t path_number(const Item& item, const std::vector<PathElement>& path) {
    constexpr std::size_t kMaxPaths = 0xFFFF - 1;
    const auto components = [](std::string_view text) { return std::ranges::count(text, '.') + 1; };
    std::vector<PathElementRow> rows{{static_cast<std::uint16_t>(components(item.name)), 0, 0}};
    std::string key;
    for (const PathElement& element : path) {
      const auto count = components(element.text);
      if (count > UINT16_MAX) return write::kNoPath;
      const bool is_index = element.kind == PathElement::Kind::Int && element.text.size() < 19;
      rows.push_back({static_cast<std::uint16_t>(count), is_index, 0});
    }
    for (const PathElementRow& row : rows) key += fmt::format("{}{}", row.components, row.is_index != 0 ? 'i' : 's');
    const auto known = path_numbers_.find(key);
    if (known != path_numbers_.end()) return known->second;
    if (draft_.paths.size() >= kMaxPaths) return write::kNoPath;
    const auto number = static_cast<std::uint32_t>(draft_.paths.size());
    path_numbers_.emplace(std::move(key), number);
    draft_.paths.push_back(std::move(rows));
    return number;
  }

  ManifestReader manifest_;
  const std::uint64_t max_chunks_;
  std::vector<Item> items_;
  write::Draft draft_;  // borrows from the next two, and from the pickle
  std::deque<std::string> fqns_;
  std::deque<std::string> names_;  // of files
  std::set<std::string> collided_;
  std::vector<std::uint32_t> files_;  // of the item, by rank
  std::unordered_map<std::string, std::unique_ptr<Boxes>> boxes_;
  std::unordered_map<std::uint64_t, const Boxes*> boxes_of_value_;
  std::unordered_map<std::string, std::uint32_t> path_numbers_;
  std::vector<Runs> runs_;
  std::uint64_t work_ = 0;
  std::vector<Finding> findings_;
  std::size_t suppressed_ = 0;
};

}  // namespace

bool is_manifest(std::span<const std::byte> pickle) noexcept {
  std::string_view text(reinterpret_cast<const char*>(pickle.data()), std::min<std::size_t>(pickle.size(), 64));
  if (text.starts_with('\x80')) text.remove_prefix(std::min<std::size_t>(text.size(), 2));
  if (text.starts_with('\x95')) text.remove_prefix(std::min<std::size_t>(text.size(), 9));
  const bool is_dict = text.starts_with('}') || text.starts_with("(d");
  return is_dict && text.find("metadata") < 16;
}

Result<Imported> import_pickle(std::span<const std::byte> bytes, const ImportOptions& options) {
  const ImportLimits& limits = options.limits;
  const std::uint64_t most = std::min<std::uint64_t>(limits.max_input_bytes, Value::kMaxPosition);
  if (bytes.size() > most)
    return fail(ErrorCode::TooLarge, fmt::format("{} bytes exceed the limit max_input_bytes = {}", bytes.size(), most));
  // A copy: a mapped file may change underneath, and texts are looked at twice.
  const std::string copy(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::span pickle(reinterpret_cast<const std::uint8_t*>(copy.data()), copy.size());
  Heap heap(pickle);
  using Machine = pickle::Machine<pickle::NoFolds>;
  const pickle::Limits machine_limits{.max_depth = limits.max_depth,
                                      .max_memo = std::min<std::uint64_t>(limits.max_memo, pickle.size()),
                                      .max_opcodes = limits.max_opcodes};
  Machine machine(heap, machine_limits, {.names = false}, /*fold=*/false, nullptr);
  if (machine.run() != Machine::Outcome::Done) return tl::unexpected(machine.error());

  Importer importer(heap, limits.max_chunks);
  auto draft = importer.run(machine.result());
  RETURN_IF_ERROR(draft);
  draft->source = SourceRecord{.length = copy.size(),
                               .digest = base::digest(std::as_bytes(std::span(copy))),
                               .modified_ns = options.modified_ns.value_or(0),
                               .modified_recently = options.modified_recently,
                               .etag = options.etag};
  auto finished = write::finish(std::move(*draft));
  RETURN_IF_ERROR(finished);
  if (finished->size() > limits.max_output_bytes) {
    return fail(ErrorCode::TooLarge, fmt::format("the metadata file's {} bytes exceed the limit max_output_bytes = {}",
                                                 finished->size(), limits.max_output_bytes));
  }
  Imported imported{std::move(*finished), std::move(importer.findings())};
  if (machine.end() < copy.size()) {
    imported.findings.push_back(
        {std::string(finding_kind::kBytesAfterStop),
         fmt::format("{} bytes follow the end of the pickle at byte {}", copy.size() - machine.end(), machine.end())});
  }
  return imported;
}

}  // namespace flatpoint::torch_checkpointing
