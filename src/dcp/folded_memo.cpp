#include "dcp/folded_memo.hpp"

#include <algorithm>

namespace flatpoint::dcp {

void FoldedMemo::add(pickle::Memo& memo, FoldedForm form, std::uint64_t first, std::uint64_t first_info) {
  const std::uint64_t step = form.step();
  const std::uint64_t info_step = form.kind == FoldedForm::Kind::IndexAndInfo ? 1 : 0;
  const std::uint32_t slots = form.slots();
  if (slots == 0) return;
  if (!runs_.empty()) {
    MemoRun& run = runs_.back();
    if (run.form == form && run.first_id + run.count * slots == memo.size() && run.first + run.count * step == first &&
        run.first_info + run.count * info_step == first_info) {
      ++run.count;
      memo.skip(slots);
      return;
    }
  }
  runs_.push_back({memo.size(), first, first_info, 1, form});
  memo.skip(slots);
}

pickle::MemoAnswer FoldedMemo::get(std::uint64_t id, const Records& records) const noexcept {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), id,
                                      [](std::uint64_t wanted, const MemoRun& run) { return wanted < run.first_id; });
  if (after == runs_.begin()) return {pickle::MemoAnswer::Kind::Absent, {}};
  const MemoRun& run = *(after - 1);
  const FoldedForm form = run.form;
  const std::uint64_t object = (id - run.first_id) / form.slots();
  const std::uint64_t slot = (id - run.first_id) % form.slots();
  if (object >= run.count) return {pickle::MemoAnswer::Kind::Absent, {}};

  const auto found = [](Value value) { return pickle::MemoAnswer{pickle::MemoAnswer::Kind::Found, value}; };
  if (form.kind == FoldedForm::Kind::Chunk) {
    const std::uint64_t box = run.first + object * form.step();
    if (slot == 0) return found(folded(kChunkTag, form.ndim, box));
    if (slot == 1 + form.size_slots()) return found(folded(kSizeTag, form.ndim, box));
    if (slot == 1 + 2 * form.size_slots()) return found(folded(kSizeTag, form.ndim, box + width_of(form.ndim)));
    return {pickle::MemoAnswer::Kind::Gone, {}};
  }
  const std::uint64_t index = run.first + object;
  const IndexRecord& record = records.indices[index];
  if (!form.memoized) return found(Value(Tag::Interned, record.fqn));
  if (slot == 0) return found(Value(kIndexTag, index));
  if (form.has_text && slot == 2) return found(Value(Tag::Interned, record.fqn));
  const std::uint64_t last = 1 + (form.has_text ? 1 : 0) + (form.has_offset ? form.size_slots() : 0);
  if (form.has_offset && slot == last) return found(folded(kSizeTag, form.ndim, record.offset_begin, true));
  if (slot == last + 1) return found(Value(kInfoTag, run.first_info + object));
  return {pickle::MemoAnswer::Kind::Gone, {}};
}

}  // namespace flatpoint::dcp
