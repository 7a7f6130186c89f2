#include "support/walk.hpp"

#include <algorithm>

#include "base/format.hpp"
#include "flatpoint/generated.hpp"
#include "flatpoint/records.hpp"
#include "flatpoint/verify.hpp"

namespace flatpoint::test {
namespace {

class Walker {
 public:
  /// `random`: asks some at random; null: all, in order.
  Walker(const MetadataFile& file, std::uint64_t budget, std::mt19937_64* random)
      : view_(file.view()), bytes_(file.bytes()), budget_(budget), random_(random) {}

  Walk run(std::span<const Place> places = {}) {
    for (const Place& place : places) ask_place(place);
    each(view_.size(), [&](std::uint32_t i) {
      if (const auto entry = count(view_.entry_in_dcp_order(i))) ask_entry(*entry);
      if (const auto entry = count(view_.entry(i)); entry && entry->position() != i) wrong("entry at another position");
    });
    each(view_.file_count(), [&](std::uint32_t i) {
      if (const auto name = count(view_.file_name(i))) inside(*name);
    });
    each(view_.columns().loose_storage.size(), [&](std::uint32_t i) {
      if (const auto loose = count(loose_storage(view_, i))) ask_loose(*loose);
    });
    each(view_.columns().opaque.size(), [&](std::uint32_t i) {
      if (const auto record = count(opaque_record(view_, i))) {
        inside(record->name);
        inside({reinterpret_cast<const char*>(record->pickle.data()), record->pickle.size()});
      }
    });
    ask_rest();
    return std::move(walk_);
  }

 private:
  /// Numbers below `size`, and the one behind them.
  template <class Ask>
  void each(std::size_t size, Ask&& ask) {
    constexpr std::size_t kSome = 4;
    const std::size_t asked = random_ != nullptr ? kSome : size + 1;
    for (std::size_t i = 0; i < asked && in_budget(); ++i) {
      ask(static_cast<std::uint32_t>(random_ != nullptr ? (*random_)() % (size + 1) : i));
    }
  }

  [[nodiscard]] bool in_budget() const { return walk_.found + walk_.absent + walk_.corrupt < budget_; }
  void wrong(std::string what) {
    if (walk_.wrong.size() < 10) walk_.wrong.push_back(std::move(what));
  }

  template <class T>
  const Lookup<T>& count(const Lookup<T>& answer) {
    ++(answer.found() ? walk_.found : answer.absent() ? walk_.absent : walk_.corrupt);
    return answer;
  }

  /// Touches a text, which must lie in the file.
  void inside(std::string_view text) {
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    if (text.empty()) return;
    if (begin < bytes_.data() || begin + text.size() > bytes_.data() + bytes_.size()) wrong("a text outside the file");
    walk_.touched += static_cast<unsigned char>(text.front()) + static_cast<unsigned char>(text.back());
  }

  void ask_place(const Place& place) {
    const auto entry = count(view_.entry(place.entry));
    if (entry) ask_entry(*entry);
    const auto tensor = entry ? entry->tensor() : entry.status();
    const auto chunk = tensor ? count(tensor->chunk_by_row(place.chunk)) : tensor.status();
    if (chunk) ask_chunk(*tensor, *chunk);
    if (tensor) count(tensor->chunk(place.chunk));
  }

  void ask_entry(const EntryView& entry) {
    inside(entry.fqn());
    if (const auto same = count(view_.find(entry.fqn())); same && same->fqn() != entry.fqn())
      wrong("find gave another FQN");
    ask_prefix(entry.fqn());
    ask_prefix(entry.fqn().substr(0, entry.fqn().size() / 2));
    ask_path(entry);
    ask_storage(count(entry.bytes_storage()));
    ask_storage(count(view_.find_storage(entry.fqn(), std::nullopt)));
    if (const auto tensor = count(entry.tensor())) ask_tensor(*tensor);
  }

  void ask_prefix(std::string_view prefix) {
    const auto range = count(view_.prefix(prefix));
    if (!range) return;
    if (range->begin >= range->end || range->end > view_.size()) wrong("a prefix's range outside the entries");
  }

  void ask_tensor(const TensorView& tensor) {
    for (const std::int64_t n : tensor.size()) walk_.touched += static_cast<std::uint64_t>(n);
    walk_.touched += tensor.dtype_name().size() + tensor.layout_name().size();
    walk_.touched += tensor.properties().strides ? tensor.properties().strides->size() : 0;
    each(tensor.chunk_count(), [&](std::uint32_t i) {
      if (const auto chunk = count(tensor.chunk(i))) ask_chunk(tensor, *chunk);
      count(tensor.chunk_by_row(i));
    });
  }

  void ask_chunk(const TensorView& tensor, const ChunkView& chunk) {
    const ChunkStorageMetadata box = chunk.to_value();
    for (std::uint8_t d = 0; d < chunk.ndim() && d < 8; ++d) {
      if (chunk.offset(d) != box.offsets[d] || chunk.size(d) != box.sizes[d])
        wrong("to_value differs from offset and size");
    }
    if (const auto same = count(tensor.find_chunk(box.offsets)); same && same->to_value().offsets != box.offsets) {
      wrong("find_chunk gave a chunk that starts elsewhere");
    }
    ask_hint(chunk.row());
    const auto storage = count(chunk.storage());
    ask_storage(storage);
    ask_data(chunk, storage);
    ask_storage(count(view_.find(MetadataIndex{std::string(tensor.fqn()), box.offsets, 0})));
  }

  /// Data lie inside their storage, whatever the file says.
  void ask_data(const ChunkView& chunk, const Lookup<StorageInfoView>& storage) {
    const auto data = count(chunk.data());
    if (!data) return;
    const FileFacts facts = view_.file_facts(data->file);
    const std::uint64_t begin = data->byte_offset - storage->byte_offset();
    if (!storage || data->file != storage->file() || begin > storage->length() ||
        data->length > storage->length() - begin || data->byte_offset + data->length < data->byte_offset ||
        (facts.length && data->byte_offset + data->length > *facts.length)) {
      wrong("data outside their storage or file");
    }
    walk_.touched += data->length + data->checksum.value_or(0);
  }

  void ask_storage(const Lookup<StorageInfoView>& storage) {
    if (!storage) return;
    inside(storage->relative_path());
    const std::uint32_t transforms = storage->transform_count().value_or(0);
    for (std::uint32_t i = 0; i < std::min(transforms, 100U); ++i) inside(storage->transform_descriptor(i));
    walk_.touched += storage->byte_offset() + storage->length() + storage->file();
    if (transforms <= 100) walk_.touched += storage->to_value().relative_path.size();
  }

  void ask_loose(const LooseStorageView& loose) {
    inside(loose.fqn);
    for (const std::int64_t n : loose.offset) walk_.touched += static_cast<std::uint64_t>(n);
    ask_storage(loose.storage);
    ask_hint(loose.row);
    ask_storage(count(view_.find_storage(loose.fqn, loose.has_offset ? std::optional(loose.offset) : std::nullopt)));
    count(view_.find(loose.fqn));
    count(first_loose_storage(view_, loose.fqn));
  }

  void ask_path(const EntryView& entry) {
    auto path = count(planner_path(view_, entry));
    if (!path) return;
    PlannerPathView rest = *path;
    for (auto element = count(rest.next()); element && in_budget(); element = count(rest.next())) inside(element->text);
  }

  void ask_hint(std::uint32_t row) {
    walk_.touched += static_cast<std::uint64_t>(index_hint(view_, row, 0).value_or(1));
  }

  void ask_rest() {
    for (const std::string_view name : {"", "a", "\xFF\xFF", "no such name"}) {
      count(view_.find(name));
      count(view_.prefix(name));
      count(view_.find_storage(name, std::span<const std::int64_t>()));
    }
    if (const auto meta = view_.storage_meta()) {
      inside(meta->checkpoint_id().value_or(""));
      inside(meta->save_id().value_or(""));
      inside(meta->load_id().value_or(""));
      walk_.touched += meta->to_value().modules.has_value();
    }
    inside(view_.version().value_or(""));
  }

  MetadataView view_;
  std::span<const std::byte> bytes_;
  std::uint64_t budget_;
  std::mt19937_64* random_;
  Walk walk_;
};

bool flatbuffers_accepts(std::span<const std::byte> file) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(file.data()), file.size() - 24);
  return fb::VerifyMetadataBuffer(verifier);
}

}  // namespace

Walk walk(const MetadataFile& file, std::uint64_t budget) { return Walker(file, budget, nullptr).run(); }

Walk walk_some(const MetadataFile& file, std::span<const Place> places, std::mt19937_64& random) {
  return Walker(file, 20'000, &random).run(places);
}

std::vector<std::string> check_any_bytes(std::span<const std::byte> bytes) {
  const auto report = verify_bytes(bytes);
  const auto file = MetadataFile::from_bytes(bytes);
  if (!file) {
    const bool recognised = file.error().code != ErrorCode::NotFlatpoint;
    if (report.has_value() != recognised || (report && report->sound()))
      return {"verify does not see what open refuses"};
    return {};
  }
  if (!report) return {"verify refuses what opens: " + report.error().message};
  Walk answers = walk(*file);
  if (!flatbuffers_accepts(file->bytes())) answers.wrong.emplace_back("FlatBuffers' verifier refuses what opens");
  if (report->sound() && answers.corrupt > 0)
    answers.wrong.push_back(fmt::format("{} corrupt answers from a sound file", answers.corrupt));
  return answers.wrong;
}

}  // namespace flatpoint::test
