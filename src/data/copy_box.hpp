// data/copy_box.hpp - copies a box from a file into memory, whatever the order of its elements on either side.
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "data/files.hpp"

namespace flatpoint::data {

/// One dimension of a box: elements, and bytes from one to the next.
struct BoxDimension {
  std::int64_t length;
  std::int64_t from;  // in the file; not negative
  std::int64_t to;    // in memory
};

struct BoxCopy {
  std::vector<BoxDimension> dimensions;
  std::uint64_t element;  // bytes
  std::uint64_t begin;    // of the first element in the file
  std::byte* to;
};

/// The box in its simplest form: runs of bytes that lie together on both sides, and the dimensions that lead from one
/// run to the next, farthest apart in the file first. Nothing is to be copied where `run` is 0.
struct BoxRuns {
  std::vector<BoxDimension> dimensions;
  std::uint64_t run;
};
BoxRuns runs_of(const BoxCopy& copy);

/// Memory that a thread uses again.
using Scratch = std::vector<std::byte>;

/// Where `copy_box` takes bytes from.
class CopySource {
 public:
  [[nodiscard]] virtual Result<void> read(std::span<const RangeReader::Request> batch) = 0;

 protected:
  ~CopySource() = default;
};

/// A single run goes straight into memory, as do runs so long or so far apart that reading what lies between them would
/// not pay; others are read together, a block at a time, and put in place. Errors: those of the source; Io where it was
/// stopped.
[[nodiscard]] Result<void> copy_box(CopySource& source, const BoxCopy& copy, const ReadOptions& options,
                                    Scratch& scratch, ReadReport& report);

}  // namespace flatpoint::data
