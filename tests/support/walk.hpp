// Asks a file everything that it can be asked. What the answers are does not matter, as long as they come from inside
// the file; a file that `verify` calls sound has no corrupt ones.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "flatpoint/metadata_file.hpp"

namespace flatpoint::test {

struct Walk {
  std::uint64_t found = 0;
  std::uint64_t absent = 0;
  std::uint64_t corrupt = 0;
  std::uint64_t touched = 0;       // a sum over what was read, so that it is read
  std::vector<std::string> wrong;  // answers that no bytes excuse: outside the file, or another than was asked for
};

/// At most about `budget` look-ups: a hostile file may let a thousand entries share a thousand rows.
Walk walk(const MetadataFile& file, std::uint64_t budget = 20'000);

/// An entry by its position, and one of its chunks by rows.
struct Place {
  std::uint32_t entry = 0;
  std::uint32_t chunk = 0;
};

/// The same for these places and a few entries, chunks and records chosen at random: some hundred look-ups in a file of
/// any size.
Walk walk_some(const MetadataFile& file, std::span<const Place> places, std::mt19937_64& random);

/// What must hold of any bytes: nothing crashes; what opens, FlatBuffers' own verifier accepts; what is sound gives no
/// corrupt answer; no answer is wrong. Returns what does not hold.
std::vector<std::string> check_any_bytes(std::span<const std::byte> bytes);

}  // namespace flatpoint::test
