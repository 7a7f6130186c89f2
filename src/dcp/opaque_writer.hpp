// dcp/opaque_writer.hpp - writes a value out again as a pickle that needs nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dcp/value_writer.hpp"

namespace flatpoint::dcp {

/// One opaque record: PROTO, the value with all that it refers to, STOP.
class OpaqueWriter {
 public:
  /// `heap` and `limits` outlive the writer. At most `max_bytes` are written.
  OpaqueWriter(const Heap& heap, const ImportLimits& limits, std::uint64_t max_bytes)
      : values_(heap, limits, pickle_, max_bytes) {}

  /// The whole pickle, borrowed from the writer. Errors: TooLarge (max_depth, max_output_bytes).
  [[nodiscard]] Result<std::string_view> write(Value value) { return write_all({&value, 1}); }
  /// The same of a tuple of two.
  [[nodiscard]] Result<std::string_view> write_pair(Value first, Value second) {
    const Value pair[] = {first, second};
    return write_all(pair);
  }

 private:
  [[nodiscard]] Result<std::string_view> write_all(std::span<const Value> values);

  PickleWriter pickle_;
  ValueWriter values_;
};

}  // namespace flatpoint::dcp
