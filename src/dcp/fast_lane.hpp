// dcp/fast_lane.hpp - the two forms that make up nearly all of a `.metadata`, read whole.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "dcp/folded_memo.hpp"
#include "dcp/heap.hpp"
#include "pickle/fold.hpp"

namespace flatpoint::dcp {

/// Bytes that must stand at a place, compared in words of eight.
template <std::size_t kWords>
class Stretch {
 public:
  void clear() noexcept { *this = Stretch(); }
  void append(std::uint8_t byte) noexcept {
    const std::size_t word = size_ / 8;
    const unsigned shift = static_cast<unsigned>(size_ % 8 * 8);
    words_[word] |= std::uint64_t{byte} << shift;
    masks_[word] |= std::uint64_t{0xFF} << shift;
    ++size_;
  }
  /// Moves `at` behind the stretch where it stands there. REQUIRES: 8 * kWords bytes can be read.
  [[nodiscard]] bool skip(const std::uint8_t*& at) const noexcept {
    std::uint64_t difference = 0;
    for (std::size_t i = 0; i < kWords; ++i) {
      std::uint64_t word;
      std::memcpy(&word, at + 8 * i, sizeof word);
      difference |= (word ^ words_[i]) & masks_[i];
    }
    if (difference != 0) return false;
    at += size_;
    return true;
  }

 private:
  std::array<std::uint64_t, kWords> words_{};
  std::array<std::uint64_t, kWords> masks_{};
  std::size_t size_ = 0;
};

/// Pickle writes every ChunkStorageMetadata of a file with the same instructions, and every MetadataIndex with its
/// _StorageInfo; only the numbers and the FQN differ. The machine executes the first of each and tells the lane where
/// the memo keeps the names. From then on the lane compares those instructions as bytes and folds the object into a
/// record (folded.hpp), with the same effect on stack and memo. What differs in a single byte is left to the machine.
///
/// A fold policy; pickle/fold.hpp says what its functions mean.
class FastLane {
 public:
  using Heap = dcp::Heap;
  FastLane(const MachineParts<Heap>& parts, bool open);

  void learn(Value value, std::uint64_t id) {
    if (open_ && (value.is(Tag::Text) || value.is(Tag::Global))) note(value, id);
  }
  [[nodiscard]] bool begins(std::uint64_t id) const noexcept { return id == chunk_class_ || id == index_class_; }
  bool run(std::size_t at, std::uint64_t& opcodes);
  void close() noexcept;
  [[nodiscard]] bool has_entries() const noexcept { return !folded_.empty(); }
  [[nodiscard]] MemoAnswer get(std::uint64_t id) const noexcept {
    return folded_.empty() ? MemoAnswer{MemoAnswer::Kind::Absent, {}} : folded_.get(id, heap_.records);
  }

 private:
  static constexpr std::uint64_t kUnknown = ~std::uint64_t{0};
  static constexpr std::size_t kMaxNdim = 8;
  static constexpr std::size_t kWindow = 576;  // more than the longest form that is folded, and what is read beyond it

  struct Names {
    std::uint64_t chunk_class = kUnknown, offsets = kUnknown, sizes = kUnknown, size_class = kUnknown;
    std::uint64_t index_class = kUnknown, fqn = kUnknown, index = kUnknown, offset = kUnknown;
    std::uint64_t info_class = kUnknown, relative_path = kUnknown, length = kUnknown;
  };

  void note(Value value, std::uint64_t id);
  void note_text(std::string_view text, std::uint64_t id);
  void note_class(Value value, std::uint64_t id);
  void prepare();

  // Each of these moves `at` behind what it read, or returns false.
  using Bytes = const std::uint8_t*;
  struct Dims {
    std::uint8_t ndim;
    std::uint8_t opcodes;
  };
  struct Text {
    std::uint32_t number;
    bool written_out;  // rather than fetched from the memo
  };
  template <bool kMemoized>
  bool fold_chunk(Bytes& at);
  template <bool kMemoized>
  bool fold_item(Bytes& at);
  template <bool kMemoized>
  bool read_index(Bytes& at, IndexRecord& index, Text& fqn, Dims& offset, std::int64_t* numbers);
  bool read_info(Bytes& at, InfoRecord& info);
  template <bool kMemoized>
  bool read_size(Bytes& at, Dims& dims, std::int64_t* numbers) const;
  bool read_fqn(Bytes& at, Text& fqn);
  bool read_path(Bytes& at, std::uint32_t& path);
  template <bool kMemoized>
  static bool read_dims(Bytes& at, Dims& dims, std::int64_t* numbers);
  static bool read_int(Bytes& at, std::int64_t& number);
  static bool read_fetch(Bytes& at, std::uint64_t& id);

  void choose_form(Bytes at);
  template <bool kMemoized>
  void fold_forms(Bytes& at, Bytes last, std::uint64_t budget);
  void fold_all(Bytes& at, Bytes last, std::uint64_t budget);
  static bool begins_instruction(std::span<const std::uint8_t> form, std::size_t wanted) noexcept;
  std::size_t fold_across_frame(std::size_t at);
  [[nodiscard]] std::uint64_t budget(std::uint64_t opcodes) const noexcept;
  void reserve();

  Heap& heap_;
  Cursor& cursor_;
  Stack& stack_;
  Memo& memo_;
  const Limits& limits_;
  FoldedMemo folded_;
  bool open_;

  Names names_;
  std::uint64_t chunk_class_ = kUnknown;  // memo entry, once all that a chunk needs is known
  std::uint64_t index_class_ = kUnknown;  // likewise for a MetadataIndex
  bool offsets_ready_ = false;            // likewise for its offset
  bool infos_ready_ = false;              // likewise for a _StorageInfo
  bool reserved_ = false;
  bool memoized_ = true;  // each object takes memo entries

  Stretch<3> chunk_head_;   // class, EMPTY_TUPLE NEWOBJ MEMOIZE EMPTY_DICT MEMOIZE MARK, "offsets", Size
  Stretch<2> chunk_sizes_;  // "sizes", Size
  Stretch<1> size_tail_;    // TUPLE1 MEMOIZE REDUCE MEMOIZE
  Stretch<1> state_tail_;   // SETITEMS BUILD
  Stretch<2> index_head_;   // class, ... MARK, "fqn"
  Stretch<1> index_key_;    // "index"
  Stretch<2> offset_key_;   // "offset", Size
  Stretch<2> info_head_;    // class, ... MARK, "relative_path"
  Stretch<1> start_key_;    // "offset"
  Stretch<1> length_key_;   // "length"

  std::uint64_t opcodes_ = 0;         // that the folded forms stand for
  std::uint64_t path_id_ = kUnknown;  // the relative_path that was fetched last,
  std::uint32_t path_ = 0;            // and its number
};

}  // namespace flatpoint::dcp
