// Answers cases that pytest writes: a line of JSON in, ["name", arguments...], a line of JSON out.
#include <iostream>
#include <map>

#include "describe.hpp"
#include "flatpoint/dlpack.hpp"
#include "flatpoint/metadata_index.hpp"
#include "flatpoint/sharding.hpp"

using nlohmann::json;
using namespace flatpoint;

namespace {

// Names and item sizes of every number that has a name.
json types(const json&) {
  json dtypes, layouts, formats;
  for (int i = 0; i < 256; ++i) {
    const auto type = static_cast<ScalarType>(i);
    if (!name_of(type).empty()) dtypes[std::string(name_of(type))] = item_size(type);
    if (const auto name = name_of(static_cast<Layout>(i)); !name.empty()) layouts.push_back(name);
    if (const auto name = name_of(static_cast<MemoryFormat>(i)); !name.empty()) formats.push_back({name, i});
  }
  return {{"dtypes", dtypes}, {"layouts", layouts}, {"memory_formats", formats}};
}

// The canonical name that a name of a dtype stands for.
json dtype_named(const json& arguments) {
  const auto type = scalar_type_from_name(arguments[1].get<std::string>());
  return type ? json(name_of(*type)) : json();
}

json dlpack_dtype(const json& arguments) {
  const auto type = scalar_type_from_dlpack(arguments[1], arguments[2], arguments[3]);
  return type ? json(name_of(*type)) : json();
}

json strides(const json& arguments) { return contiguous_strides(arguments[1].get<Size>()); }

MetadataIndex index_from(const json& fields) {
  MetadataIndex index{fields[0], std::nullopt, std::nullopt};
  if (!fields[1].is_null()) index.offset = fields[1].get<Size>();
  if (!fields[2].is_null()) index.index = fields[2].get<std::int64_t>();
  return index;
}

// Equality, and equality of hashes, of two indexes.
json indexes(const json& arguments) {
  const auto a = index_from(arguments[1]);
  const auto b = index_from(arguments[2]);
  return {a == b, std::hash<MetadataIndex>()(a) == std::hash<MetadataIndex>()(b)};
}

// A state as a list of 5 or 6 fields through set_state and back through get_state.
json state(const json& arguments) {
  const json& fields = arguments[1];
  TensorProperties::State state;
  state.fields = static_cast<int>(fields.size());
  if (state.fields >= 5) {
    state.dtype = scalar_type_from_name(fields[0].get<std::string>()).value();
    state.layout = layout_from_name(fields[1].get<std::string>()).value();
    state.requires_grad = fields[2];
    state.memory_format = fields[3].is_number() ? static_cast<MemoryFormat>(fields[3].get<int>()) : MemoryFormat::Other;
    if (state.memory_format == MemoryFormat::Other) state.memory_format_name = fields[3];
    state.pin_memory = fields[4];
    if (state.fields >= 6 && !fields[5].is_null()) state.strides = fields[5].get<Size>();
  }
  const auto properties = TensorProperties::set_state(state);
  if (!properties) return {{"error", properties.error().message}};
  const auto back = properties->get_state().value();
  json out = test::to_json(*properties);
  out["state"] = {name_of(back.dtype), name_of(back.layout),
                  back.requires_grad,  static_cast<int>(back.memory_format),
                  back.pin_memory,     back.strides ? json(*back.strides) : json()};
  return out;
}

json box_or_null(const Result<ChunkStorageMetadata>& box) { return box ? test::to_json(*box) : json(); }

// For every rank: torch's answer, and the strict one. For the whole: distinct chunks and the ranks that hold them.
json sharding(const json& arguments) {
  const auto size = arguments[1].get<Size>();
  const auto mesh = arguments[2].get<Size>();
  const auto placements = parse_placements(arguments[3].get<std::string>());
  if (!placements) return {{"error", placements.error().message}};
  std::int64_t ranks = 1;
  for (const auto n : mesh) ranks *= n;
  json answer;
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    const auto as_torch = compute_local_shape_and_global_offset(size, mesh, *placements, rank);
    if (!as_torch) return {{"error", as_torch.error().message}};
    answer["torch"].push_back(test::to_json(*as_torch));
    answer["strict"].push_back(box_or_null(local_box(size, mesh, *placements, rank)));
  }
  const auto whole = Sharding::create(size, mesh, *placements);
  if (!whole) return answer;
  answer["chunk_ranks"] = whole->chunk_ranks();
  for (const auto& chunk : whole->chunks()) answer["chunks"].push_back(test::to_json(chunk));
  return answer;
}

}  // namespace

int main() {
  const std::map<std::string, json (*)(const json&)> answers = {
      {"types", types},       {"dtype_named", dtype_named}, {"dlpack_dtype", dlpack_dtype},
      {"strides", strides},   {"indexes", indexes},         {"state", state},
      {"sharding", sharding},
  };
  std::string line;
  while (std::getline(std::cin, line)) {
    const json arguments = json::parse(line);
    std::cout << answers.at(arguments[0].get<std::string>())(arguments).dump() << '\n';
  }
}
