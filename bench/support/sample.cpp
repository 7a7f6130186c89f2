#include "support/sample.hpp"

#include <algorithm>
#include <numeric>

namespace bench {

Sample make_sample(const flatpoint::MetadataView& metadata, std::size_t count) {
  std::mt19937_64 random(20260101);
  std::vector<std::uint32_t> positions(metadata.size());
  std::iota(positions.begin(), positions.end(), 0U);
  std::shuffle(positions.begin(), positions.end(), random);

  Sample sample;
  for (std::size_t i = 0; sample.hits.size() < count; ++i)
    sample.hits.emplace_back(metadata.entry(positions[i % positions.size()])->fqn());
  for (const std::string& hit : sample.hits) {
    std::string miss = hit;
    miss[random() % miss.size()] = '#';
    sample.misses.push_back(std::move(miss));
  }
  for (std::size_t i = 0; sample.indexes.size() < count; ++i) {
    const auto entry = *metadata.entry(positions[i % positions.size()]);
    const auto tensor = entry.tensor();
    if (!tensor || tensor->chunk_count() == 0) continue;
    const auto chunk = tensor->chunk(static_cast<std::uint32_t>(random() % tensor->chunk_count()));
    sample.indexes.push_back({std::string(entry.fqn()), chunk->to_value().offsets, std::nullopt});
  }
  return sample;
}

}  // namespace bench
