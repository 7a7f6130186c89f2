// support/sample.hpp - what look-ups are asked for: the same random choice in every run.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "flatpoint/metadata_file.hpp"

namespace bench {

/// Queries of a file. Each is a text of its own, in the order in which they are asked, as a state dict holds its keys.
struct Sample {
  std::vector<std::string> hits;
  std::vector<std::string> misses;  // a hit with one character changed, as a name of another layer or tensor is
  std::vector<flatpoint::MetadataIndex> indexes;
};

Sample make_sample(const flatpoint::MetadataView& metadata, std::size_t count);

}  // namespace bench
