// model/metadata_index.cpp - the hash of MetadataIndex.
#include "flatpoint/metadata_index.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

std::size_t std::hash<flatpoint::MetadataIndex>::operator()(const flatpoint::MetadataIndex& index) const noexcept {
  // The digest of no values is not 0, so "no offset" and "an empty offset" hash apart.
  const XXH64_hash_t seed =
      index.offset ? XXH3_64bits(index.offset->data(), index.offset->size() * sizeof(std::int64_t)) : 0;
  return static_cast<std::size_t>(XXH3_64bits_withSeed(index.fqn.data(), index.fqn.size(), seed));
}
