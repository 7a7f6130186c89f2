#include "support/random_model.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

namespace flatpoint::test {
namespace {

class Generator {
 public:
  explicit Generator(std::mt19937_64& random) : random_(random) {}

  Model run() {
    const std::size_t count = below(4) == 0 ? below(40) : below(9);
    std::set<std::string> names;
    while (names.size() < count) names.insert(name());
    for (const std::string& name : names) model_.entries.push_back(entry(name));
    if (once_in(2)) shuffle(model_.entries);
    if (!once_in(6)) storage_data();
    if (!once_in(4)) planner_data();
    if (!once_in(3)) storage_meta();
    if (once_in(2)) model_.version = pick<std::string>({"1.0.0", "", std::string("x\0y", 3)});
    if (once_in(3)) opaque();
    if (once_in(8)) model_.metadata_class = "megatron.core MCoreMetadata";
    if (once_in(8)) model_.storage_info_class = "olmo_core.distributed.checkpoint.filesystem _StorageInfo";
    if (once_in(3))
      model_.source = SourceRecord{random_(), random_(), static_cast<std::int64_t>(random_()), random_() % 2 == 0,
                                   random_() % 2 == 0 ? "\"5d41402a\"" : ""};
    if (once_in(5)) model_.fragment_rank = static_cast<std::int32_t>(below(1000));
    return std::move(model_);
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool once_in(std::uint64_t n) { return below(n) == 0; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
  }
  template <class T>
  T pick(std::initializer_list<T> choices) {
    return *(choices.begin() + below(choices.size()));
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    std::shuffle(items.begin(), items.end(), random_);
  }

  std::string name() {
    using namespace std::string_literals;
    if (once_in(12))
      return pick<std::string>(
          {""s, "\0"s, "a\0b"s, "a"s, "\xED\xA0\x80"s, "\xFF\xFE."s, ".."s, "."s, std::string(300, 'n')});
    static constexpr const char* kParts[] = {"model",  "layers", "0",         "1",     "17",      "-3", "007",
                                             "weight", "bias",   "optimizer", "state", "exp_avg", ""};
    std::string name;
    for (std::uint64_t i = 0, parts = 1 + below(5); i < parts; ++i) {
      if (i > 0) name += '.';
      name += kParts[below(std::size(kParts))];
    }
    return name;
  }

  ModelEntry entry(const std::string& name) {
    ModelEntry entry;
    entry.fqn = name;
    entry.type = pick({StorageType::Tensor, StorageType::Tensor, StorageType::Tensor, StorageType::Tensor,
                       StorageType::Bytes, StorageType::Opaque});
    if (entry.type != StorageType::Tensor) return entry;
    boxes(entry);
    if (once_in(3)) shuffle(entry.chunks);
    properties(entry);
    return entry;
  }

  void boxes(ModelEntry& entry) {
    const std::size_t ndim = once_in(60) ? 255 : pick<std::size_t>({0, 1, 1, 1, 2, 2, 2, 3, 4});
    for (std::size_t d = 0; d < ndim; ++d)
      entry.size.push_back(ndim > 4 ? between(1, 2) : once_in(12) ? 0 : between(1, 24));
    switch (below(ndim > 4 ? 3 : 9)) {
      case 0: entry.chunks = {{Size(ndim, 0), entry.size}}; break;
      case 1: break;  // no chunk
      case 2: entry.chunks = even_grid(entry.size, parts(ndim)); break;
      case 3: entry.chunks = grid(uneven_splits(entry.size)); break;
      case 4:  // HSDP and other replicas: a grid in an order of its own, maybe twice
        entry.chunks = even_grid(entry.size, parts(ndim));
        shuffle(entry.chunks);
        break;
      case 5:  // holes
        entry.chunks = even_grid(entry.size, parts(ndim));
        std::erase_if(entry.chunks, [&](const auto&) { return once_in(4); });
        break;
      case 6:  // a grid with a chunk that is there twice, or starts where another does
        entry.chunks = grid(uneven_splits(entry.size));
        entry.chunks.push_back(entry.chunks[below(entry.chunks.size())]);
        if (ndim > 0 && once_in(2)) entry.chunks.back().sizes[0] += between(-1, 1);
        break;
      default:
        for (std::uint64_t i = 0, chunks = below(6); i < chunks; ++i) entry.chunks.push_back(any_box(ndim));
    }
  }

  Size parts(std::size_t ndim) {
    Size parts;
    std::int64_t cells = 1;
    for (std::size_t d = 0; d < ndim; ++d) {
      parts.push_back(cells > 16 || ndim > 4 ? 1 : between(1, 6));
      cells *= parts.back();
    }
    if (ndim > 4) parts[below(ndim)] = 3;
    return parts;
  }

  std::vector<Size> uneven_splits(const Size& size) {
    std::vector<Size> splits;
    for (const std::int64_t n : size) {
      Size& points = splits.emplace_back(Size{0, n});
      for (std::uint64_t i = 0, cuts = below(3); i < cuts; ++i) points.push_back(between(0, n));
      if (once_in(6)) points.push_back(n + between(1, 5));  // reaches outside
      std::sort(points.begin(), points.end());
      if (once_in(6)) points.erase(points.begin());
    }
    for (Size& points : splits) {
      if (points.size() < 2) points.push_back(points[0] + 1);
    }
    return splits;
  }

  ChunkStorageMetadata any_box(std::size_t ndim) {
    ChunkStorageMetadata box;
    for (std::size_t d = 0; d < ndim; ++d) {
      box.offsets.push_back(once_in(20) ? extreme() : between(-1, 4));
      box.sizes.push_back(once_in(20) ? extreme() : between(-1, 4));
    }
    return box;
  }
  std::int64_t extreme() {
    using Limits = std::numeric_limits<std::int64_t>;
    return pick({Limits::max(), Limits::min(), Limits::max() - 1, std::int64_t{1} << 40});
  }

  void properties(ModelEntry& entry) {
    TensorProperties& p = entry.properties;
    p.dtype = once_in(8) ? ScalarType::Other : static_cast<ScalarType>(below(47));
    if (p.dtype == ScalarType::Other) p.dtype_name = pick<std::string>({"float3_e1m1", "", "int13"});
    p.layout = once_in(8) ? Layout::Other : static_cast<Layout>(below(8));
    if (p.layout == Layout::Other) p.layout_name = pick<std::string>({"float3_e1m1", "sparse_new"});
    p.memory_format = static_cast<MemoryFormat>(below(3));
    p.requires_grad = once_in(2);
    p.pin_memory = once_in(2);
    if (once_in(3)) return;
    p.strides = contiguous_strides(entry.chunks.empty() ? entry.size : entry.chunks[0].sizes);
    if (once_in(3) && !p.strides->empty()) (*p.strides)[below(p.strides->size())] = between(0, 3);
  }

  void storage_data() {
    store_all(model_, 1 + below(5));
    auto& items = *model_.storage_data;
    if (once_in(3)) shuffle(items);
    if (once_in(3)) std::erase_if(items, [&](const auto&) { return once_in(3); });
    if (once_in(3)) loose_items();
    for (ModelItem& item : items) {
      item.index = model_.usual_index(item);
      if (once_in(15))
        item.index =
            pick<std::optional<std::int64_t>>({std::nullopt, 0, -1, 1 << 20, std::numeric_limits<std::int64_t>::max()});
      if (once_in(10)) item.info.offset = pick<std::uint64_t>({0, 1, 5'000'000'000, ~0ULL});
      if (once_in(10)) item.info.length = pick<std::uint64_t>({0, 1, 5'000'000'000, ~0ULL});
      if (once_in(12)) transforms(item);
    }
  }

  void transforms(ModelItem& item) {
    item.transforms_type = pick({SequenceType::List, SequenceType::Tuple});
    auto& descriptors = item.info.transform_descriptors.emplace();
    for (std::uint64_t i = 0, n = below(3); i < n; ++i)
      descriptors.push_back(pick<std::string>({"stream.zstd/1", "a@b", ""}));
  }

  void loose_items() {
    auto& items = *model_.storage_data;
    std::set<std::pair<std::string, std::optional<Size>>> seen;
    for (const ModelItem& item : items) seen.emplace(item.fqn, item.offset);
    for (std::uint64_t i = 0, n = 1 + below(5); i < n; ++i) {
      ModelItem item;
      item.fqn = once_in(2) && !model_.entries.empty() ? model_.entries[below(model_.entries.size())].fqn : name();
      if (!once_in(3)) {
        auto& offset = item.offset.emplace();
        for (std::uint64_t d = 0, ndim = below(3); d < ndim; ++d) offset.push_back(between(-2, 30));
      }
      if (!seen.emplace(item.fqn, item.offset).second) continue;
      item.info = {pick<std::string>({"loose", "__0_0.distcp", ""}), below(1000), below(1000), std::nullopt};
      items.insert(items.begin() + static_cast<std::ptrdiff_t>(below(items.size() + 1)), item);
    }
  }

  void planner_data() {
    auto& keys = model_.planner_data.emplace();
    for (std::uint32_t e = 0; e < model_.entries.size(); ++e) {
      if (once_in(8)) continue;
      model_.entries[e].path = path(model_.entries[e].fqn);
      keys.push_back(e);
    }
    if (once_in(3)) shuffle(keys);
  }

  /// Cuts a name at some of its dots.
  std::vector<PathElementRow> path(const std::string& fqn) {
    if (fqn.empty() && once_in(2)) return {};
    std::vector<PathElementRow> path;
    std::size_t begin = 0;
    std::uint16_t components = 0;
    for (std::size_t i = 0; i <= fqn.size(); ++i) {
      if (i < fqn.size() && fqn[i] != '.') continue;
      ++components;
      if (i < fqn.size() && once_in(3)) continue;
      const std::string text = fqn.substr(begin, i - begin);
      const bool number = components == 1 && (text == "0" || text == "1" || text == "17" || text == "-3");
      path.push_back({components, static_cast<std::uint8_t>(number && once_in(2)), 0});
      components = 0;
      begin = i + 1;
    }
    return path;
  }

  void storage_meta() {
    StorageMeta& meta = model_.storage_meta.emplace();
    const auto text = [&]() -> std::optional<std::string> { return once_in(3) ? std::nullopt : std::optional(name()); };
    meta.checkpoint_id = text();
    meta.save_id = text();
    meta.load_id = text();
    meta.checkpoint_id_type = static_cast<PathType>(below(6));
    meta.modules.reset();
    if (once_in(2)) return;
    meta.modules.emplace();
    for (std::uint64_t i = 0, n = below(3); i < n; ++i) meta.modules->push_back(name());
  }

  void opaque() {
    for (std::uint64_t i = 0, n = 1 + below(4); i < n; ++i) {
      ModelOpaque record;
      record.kind = static_cast<OpaqueKind>(below(9));
      record.position = static_cast<std::uint32_t>(below(3));
      record.name = name();
      record.pickle = std::string("\x80\x04N.", 4) + name();
      model_.opaque.push_back(record);
    }
  }

  std::mt19937_64& random_;
  Model model_;
};

}  // namespace

Model random_model(std::mt19937_64& random) { return Generator(random).run(); }

}  // namespace flatpoint::test
