#include "support/rich_model.hpp"

#include <algorithm>

namespace flatpoint::test {

Model rich_model() {
  Model m;
  const auto chunks = even_grid({8, 6}, {2, 2});
  m.entries = {whole("plain", {4, 3}),
               tensor("even", {8, 6}, chunks),
               tensor("grid", {8, 6}, grid({{0, 3, 8}, {0, 6}})),
               tensor("explicit", {9}, {{{0}, {3}}, {{4}, {2}}, {{4}, {0}}}),
               tensor("reordered", {8, 6}, {chunks[2], chunks[0], chunks[3], chunks[1]}),
               tensor("strided", {4}, even_grid({4}, {2})),
               tensor("tiny", {2}, even_grid({2}, {4})),
               bytes("bytes"),
               bytes("object")};
  m.entries[0].properties.dtype = ScalarType::Other;
  m.entries[0].properties.dtype_name = "float3";
  m.entries[5].properties.strides = Size{2};
  m.entries[5].properties.layout = Layout::Other;
  m.entries[5].properties.layout_name = "sparse_new";
  m.entries[8].type = StorageType::Opaque;
  for (ModelEntry& entry : m.entries) entry.path.emplace({PathElementRow{1, 0, 0}});
  m.entries[2].path.reset();
  m.planner_data = {3, 0, 1, 4, 5, 6, 7, 8};

  store_all(m, 3);
  auto& items = *m.storage_data;
  for (const char* name : {"loose", "plain"}) {
    ModelItem loose;
    loose.fqn = name;
    if (*name == 'l') loose.offset = Size{7, 8};
    loose.info = {"loose_file", 11, 12, std::nullopt};
    items.push_back(loose);
  }
  items[0].info.transform_descriptors = {"stream.zstd/1", "b@c"};
  items[1].info.transform_descriptors.emplace();
  items[1].transforms_type = SequenceType::Tuple;
  items[2].index = 77;
  items[3].index.reset();
  std::rotate(items.begin(), items.begin() + 2, items.end());  // first use of a file is not at its begin

  m.storage_meta =
      StorageMeta{"/tmp/ckpt", PathType::PosixPath, "save", "load", std::vector<std::string>{"module", ""}};
  m.version = "1.0.0";
  m.opaque = {{OpaqueKind::Attribute, 0, "all_local_plans", "\x80\x04N."},
              {OpaqueKind::StateDictValue, 8, "object", "\x80\x04N."},
              {OpaqueKind::PlannerItem, 2, "", "\x80\x04]."}};
  m.metadata_class = "some.module SomeMetadata";
  m.storage_info_class = "some.module SomeInfo";
  m.source = SourceRecord{1234, 5, 6, true, "tag"};
  m.fragment_rank = 3;
  return m;
}

}  // namespace flatpoint::test
