// dcp/opaque_writer.hpp - writes a value out again as a pickle that needs nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dcp/heap.hpp"
#include "dcp/pickle_writer.hpp"
#include "flatpoint/dcp.hpp"

namespace flatpoint::dcp {

/// One record: what the value refers to is written with it, each object once, so that sharing and cycles inside the
/// record are as they were. Calls that the value stands for are written, never made.
class OpaqueWriter {
 public:
  /// `heap` and `limits` outlive the writer. At most `max_bytes` are written.
  OpaqueWriter(const Heap& heap, const ImportLimits& limits, std::uint64_t max_bytes);

  /// The whole pickle, borrowed from the writer. Errors: TooLarge (max_depth, max_output_bytes).
  Result<std::string_view> write(Value value);
  /// The same of a tuple of two.
  Result<std::string_view> write_pair(Value first, Value second);

 private:
  /// A container or object whose parts are being written.
  struct Frame {
    Value value;
    int phase = 0;                 // list, set, dict: 1 once it exists; object: 4
    const Block* block = nullptr;  // list, set, dict, object: whose values come next
    std::uint64_t next = 0;        // number of the next value
  };

  Result<std::string_view> write_all(std::span<const Value> values);
  void begin(Value value);
  void step();
  void step_tuple(Frame& frame);
  void step_container(Frame& frame);
  void step_object(Frame& frame);
  bool call_object(Value value, std::size_t parts);
  void step_blocks(Frame& frame);
  void memoize(Value value) { ids_.emplace(value.word(), pickle_.memoize()); }

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
  const std::uint64_t max_bytes_;
  std::vector<std::uint8_t> bytes_;
  PickleWriter pickle_;
  std::vector<Frame> frames_;
  std::unordered_map<std::uint64_t, std::uint32_t> ids_;          // by the value's word
  std::unordered_map<std::string_view, std::uint32_t> text_ids_;  // of str, which may be shared freely
};

}  // namespace flatpoint::dcp
