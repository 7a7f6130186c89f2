// What a metadata file says, as plain values: the tests' own picture of the facts, to compare with what is read back.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "flatpoint/buffer.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/storage_meta.hpp"
#include "flatpoint/tensor_properties.hpp"
#include "write/draft.hpp"

namespace flatpoint::test {

struct ModelEntry {
  std::string fqn;
  StorageType type = StorageType::Tensor;
  Size size;
  TensorProperties properties;
  std::vector<ChunkStorageMetadata> chunks;         // DCP's order
  std::optional<std::vector<PathElementRow>> path;  // unset: no key of planner_data
};

/// One item of storage_data.
struct ModelItem {
  std::string fqn;
  std::optional<Size> offset;
  std::optional<std::int64_t> index;
  StorageInfo info;
  SequenceType transforms_type = SequenceType::List;
};

struct ModelOpaque {
  OpaqueKind kind = OpaqueKind::Attribute;
  std::uint32_t position = 0;
  std::string name;
  std::string pickle;
  auto operator<=>(const ModelOpaque&) const = default;
};

struct Model {
  std::int32_t fragment_rank = -1;
  std::vector<ModelEntry> entries;                         // DCP's order
  std::optional<std::vector<ModelItem>> storage_data;      // DCP's order; keys are distinct
  std::optional<std::vector<std::uint32_t>> planner_data;  // DCP's order, as entries; every entry with a path
  std::optional<StorageMeta> storage_meta;
  std::optional<std::string> version;
  std::vector<ModelOpaque> opaque;
  std::optional<std::string> metadata_class;
  std::optional<std::string> storage_info_class;
  std::optional<SourceRecord> source;

  /// The chunk that a MetadataIndex names: the first in DCP's order that starts at its offset.
  [[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>> chunk_of(const ModelItem& item) const;
  /// The index that torch writes into such a MetadataIndex: the chunk's position, None for everything else.
  [[nodiscard]] std::optional<std::int64_t> usual_index(const ModelItem& item) const;
};

/// The model as a draft that borrows from it. `layout` shuffles everything that is no fact: the rows' places, the
/// numbers of files, paths and lists, which ranges are shared, what is stated although it could be left out.
write::Draft to_draft(const Model& model, std::mt19937_64* layout = nullptr);

/// to_draft, finish. The draft must be accepted.
Buffer encoded(const Model& model, std::mt19937_64* layout = nullptr);
MetadataFile opened(const Model& model);

/// What the file says differently from the model; nothing where they agree. Reads through the public views alone.
std::vector<std::string> differences(const MetadataFile& file, const Model& model);

// Short ways to write models.
ModelEntry tensor(std::string fqn, Size size, std::vector<ChunkStorageMetadata> chunks);
/// One chunk, the whole tensor.
ModelEntry whole(std::string fqn, Size size);
ModelEntry bytes(std::string fqn);
/// Cuts a size evenly as torch.chunk does, parts per dimension, row-major. Parts behind the end are empty.
std::vector<ChunkStorageMetadata> even_grid(const Size& size, const Size& parts);
/// Cells between split points, row-major.
std::vector<ChunkStorageMetadata> grid(const std::vector<Size>& splits);
/// Storage information for every key that the entries give, one after the other in files of `per_file` items.
void store_all(Model& model, std::size_t per_file = 4);

}  // namespace flatpoint::test
