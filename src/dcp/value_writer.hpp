// dcp/value_writer.hpp - writes values out again as instructions of a pickle.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/text_map.hpp"
#include "dcp/heap.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/pickle_writer.hpp"

namespace flatpoint::dcp {

/// What a value refers to is written with it, each object once, so that sharing and cycles among the values of one
/// writer are as they were. Calls that a value stands for are written, never made.
class ValueWriter {
 public:
  /// `heap`, `limits` and `pickle` outlive the writer. The pickle may grow to `max_bytes`.
  ValueWriter(const Heap& heap, const ImportLimits& limits, PickleWriter& pickle, std::uint64_t max_bytes)
      : heap_(heap), limits_(limits), pickle_(pickle), max_bytes_(max_bytes) {}

  /// From now on the state of a TensorProperties has five fields, as before PyTorch 2.15.
  void leave_strides_out() noexcept { strides_left_out_ = true; }

  /// Leaves the value on the stack. Errors: TooLarge (max_depth, max_output_bytes).
  [[nodiscard]] Result<void> write(Value value);

 private:
  /// A container or object whose parts are being written.
  struct Frame {
    Value value;
    int phase = 0;                 // list, set, dict: 1 once it exists; object: 4
    const Block* block = nullptr;  // list, set, dict, object: whose values come next
    std::uint64_t next = 0;        // number of the next value
  };

  void begin(Value value);
  void step();
  void step_tuple(Frame& frame);
  void step_container(Frame& frame);
  void step_object(Frame& frame);
  bool call_object(Value value, std::size_t parts);
  void step_blocks(Frame& frame);
  void memoize(Value value) {
    const std::uint32_t id = pickle_.memoize();
    if (is_shared(value)) ids_.emplace(value.word(), id);
  }

  void write_bytearray(std::string_view bytes);
  void write_text(std::string_view text);
  void write_global(std::string_view module, std::string_view name);
  void write_size(Value size);
  void begin_folded(Value value, Value cls);
  void end_folded();
  void write_chunk(Value chunk);
  void write_index(Value index);
  void write_info(Value info);

  const Heap& heap_;
  const ImportLimits& limits_;
  PickleWriter& pickle_;
  const std::uint64_t max_bytes_;
  bool strides_left_out_ = false;
  std::vector<Frame> frames_;
  std::unordered_map<std::uint64_t, std::uint32_t> ids_;     // by the value's word
  base::TextMap<std::string_view, std::uint32_t> text_ids_;  // of str, which may be shared freely
};

}  // namespace flatpoint::dcp
