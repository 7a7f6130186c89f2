// dcp/memo.hpp - the pickle's numbered variables.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dcp/records.hpp"
#include "dcp/value.hpp"

namespace flatpoint::dcp {

/// What memo entries folded objects of one form make: a chunk, a MetadataIndex, or a MetadataIndex and its
/// _StorageInfo.
struct FoldedForm {
  enum class Kind : std::uint8_t { Chunk, Index, IndexAndInfo };
  Kind kind;
  std::uint8_t rank;
  bool has_offset;  // always, for a chunk
  bool has_text;    // the FQN was written out, not fetched
  bool operator==(const FoldedForm&) const = default;

  /// Entries of a torch.Size: its numbers as a tuple (which has none when empty), the arguments, the Size.
  [[nodiscard]] std::uint32_t size_slots() const noexcept { return rank > 0 ? 3 : 2; }
  /// How far the position of the next object's box, or the number of the next MetadataIndex, is away.
  [[nodiscard]] std::size_t step() const noexcept { return kind == Kind::Chunk ? 2 * width_of(rank) : 1; }
  [[nodiscard]] std::uint32_t slots() const noexcept {
    if (kind == Kind::Chunk) return 2 + 2 * size_slots();
    return (kind == Kind::Index ? 2U : 4U) + (has_text ? 1 : 0) + (has_offset ? size_slots() : 0);
  }
};

/// The entries of folded objects, as a rule instead of one by one: `first_id + n * form.slots() + s` is slot s of
/// object n.
struct MemoRun {
  std::uint64_t first_id;
  std::uint64_t first;       // position of the chunk's box, or number of the MetadataIndex
  std::uint64_t first_info;  // number of the _StorageInfo
  std::uint64_t count;
  FoldedForm form;
};

/// Gone: an entry that was made and not kept, such as the dict that held a folded object's state.
struct MemoAnswer {
  enum class Kind : std::uint8_t { Found, Absent, Gone };
  Kind kind;
  Value value;
};

class Memo {
 public:
  static constexpr std::uint64_t kPage = 4096;  // entries that take memory together

  /// Entries that MEMOIZE has made: the number that it uses next.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  void memoize(Value value) { put(size_, value); }

  void put(std::uint64_t id, Value value) {
    Value& slot = at(id);
    size_ += slot.is(Tag::Unset) ? 1 : 0;
    slot = value;
  }

  /// The entry where it lies in a page; Unset otherwise.
  [[nodiscard]] Value peek(std::uint64_t id) const noexcept {
    const std::uint64_t page = id / kPage;
    if (page >= pages_.size() || !pages_[page]) return {};
    return (*pages_[page])[id % kPage];
  }

  [[nodiscard]] MemoAnswer get(std::uint64_t id, const Records& records) const noexcept {
    const Value value = peek(id);
    if (!value.is(Tag::Unset)) return {MemoAnswer::Kind::Found, value};
    return runs_.empty() ? MemoAnswer{MemoAnswer::Kind::Absent, {}} : get_from_run(id, records);
  }

  /// Replaces what an existing entry holds by an equal value.
  void replace(std::uint64_t id, Value value) { at(id) = value; }

  /// Makes the entries of one folded object. REQUIRES: nothing was put by number.
  void memoize_folded(FoldedForm form, std::uint64_t first, std::uint64_t first_info);
  [[nodiscard]] bool has_runs() const noexcept { return !runs_.empty(); }

 private:
  using Page = std::array<Value, kPage>;

  Value& at(std::uint64_t id) {
    const std::uint64_t page = id / kPage;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (!pages_[page]) pages_[page] = std::make_unique<Page>();
    return (*pages_[page])[id % kPage];
  }
  [[nodiscard]] MemoAnswer get_from_run(std::uint64_t id, const Records& records) const noexcept;

  std::vector<std::unique_ptr<Page>> pages_;
  std::vector<MemoRun> runs_;
  std::uint64_t size_ = 0;
};

}  // namespace flatpoint::dcp
