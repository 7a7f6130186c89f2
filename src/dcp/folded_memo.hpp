// dcp/folded_memo.hpp - the memo entries of folded objects.
#pragma once

#include <cstdint>
#include <vector>

#include "dcp/folded.hpp"
#include "pickle/memo.hpp"

namespace flatpoint::dcp {

/// What memo entries folded objects of one form make: a chunk, a MetadataIndex, or a MetadataIndex and its
/// _StorageInfo.
struct FoldedForm {
  enum class Kind : std::uint8_t { Chunk, Index, IndexAndInfo };
  Kind kind;
  std::uint8_t ndim;
  bool has_offset;       // always, for a chunk
  bool has_text;         // the FQN was written out, not fetched
  bool memoized = true;  // false: nothing but that text was
  bool operator==(const FoldedForm&) const = default;

  /// Entries of a torch.Size: its numbers as a tuple (which has none when empty), the arguments, the Size.
  [[nodiscard]] std::uint32_t size_slots() const noexcept { return ndim > 0 ? 3 : 2; }
  /// How far the position of the next object's box, or the number of the next MetadataIndex, is away.
  [[nodiscard]] std::size_t step() const noexcept { return kind == Kind::Chunk ? 2 * width_of(ndim) : 1; }
  [[nodiscard]] std::uint32_t slots() const noexcept {
    if (!memoized) return has_text ? 1 : 0;
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

/// What the memo does not hold itself.
class FoldedMemo {
 public:
  /// Makes the entries of one folded object. REQUIRES: nothing was put by number.
  void add(pickle::Memo& memo, FoldedForm form, std::uint64_t first, std::uint64_t first_info);
  [[nodiscard]] bool empty() const noexcept { return runs_.empty(); }
  [[nodiscard]] pickle::MemoAnswer get(std::uint64_t id, const Records& records) const noexcept;

 private:
  std::vector<MemoRun> runs_;
};

}  // namespace flatpoint::dcp
