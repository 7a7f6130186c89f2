#include "convert/dcp_metadata.hpp"

#include <charconv>
#include <map>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "flatpoint/builder.hpp"
#include "flatpoint/records.hpp"

namespace flatpoint::data {
namespace {

/// The path of the source where the name is the same, else one key. So torch.load's nested form comes back.
Result<void> set_path(MetadataBuilder& builder, const MetadataView& source, const EntryView& entry,
                      const std::string& name) {
  std::vector<PlannerPathView::Element> elements;
  const auto path = planner_path(source, entry);
  if (path && name == entry.fqn()) {
    PlannerPathView at = *path;
    for (auto element = at.next(); element; element = at.next()) elements.push_back(*element);
  }
  std::vector<PlannerKey> keys;
  for (const auto& element : elements) {
    std::int64_t index = 0;
    if (element.is_index) {
      std::from_chars(element.text.data(), element.text.data() + element.text.size(), index);
      keys.emplace_back(index);
    } else {
      keys.emplace_back(element.text);
    }
  }
  if (keys.empty()) keys.emplace_back(std::string_view(name));
  return builder.set_planner_path(name, keys);
}

}  // namespace

Result<Buffer> metadata_of(const Conversion& plan, const MetadataView& source) {
  MetadataBuilder builder = MetadataBuilder::create();
  std::map<std::string_view, TensorId> tensors;
  for (std::uint32_t rank = 0; rank < plan.files.size(); ++rank) {
    const ConvertedFile& file = plan.files[rank];
    const std::uint32_t number = builder.add_file(file.name);
    for (const ConvertedBytes& object : file.objects) {
      StoredAt stored;
      stored.file = number;
      stored.byte_offset = object.begin;
      stored.length = object.bytes;
      stored.rank = rank;
      RETURN_IF_ERROR(builder.add_bytes(object.name, stored));
      RETURN_IF_ERROR(set_path(builder, source, object.entry, object.name));
    }
    for (const ConvertedTensor& part : file.tensors) {
      auto known = tensors.find(part.name);
      if (known == tensors.end()) {
        TensorProperties properties = part.tensor.properties();
        properties.strides.reset();  // those of the source's memory
        const auto added = builder.add_tensor(part.name, properties, part.tensor.size());
        RETURN_IF_ERROR(added);
        known = tensors.emplace(part.name, *added).first;
        RETURN_IF_ERROR(set_path(builder, source, part.tensor, part.name));
      }
      StoredAt stored;
      stored.file = number;
      stored.byte_offset = part.item_begin;
      stored.length = part.item_bytes;
      stored.rank = rank;
      RETURN_IF_ERROR(builder.add_chunk(known->second, part.box.offsets, part.box.sizes, stored));
    }
  }
  return std::move(builder).finish();
}

}  // namespace flatpoint::data
