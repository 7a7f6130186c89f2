// dcp/export_opaque.cpp - opaque records: read as a pickle is, then written out again at their places.

#include "base/failing.hpp"
#include "base/format.hpp"
#include "dcp/exporter.hpp"
#include "dcp/foreign_names.hpp"
#include "dcp/machine.hpp"
#include "dcp/value_writer.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::dcp {

Result<Exporter::Record> Exporter::open_record(std::uint32_t number) {
  const auto view = opaque_record(metadata_, number);
  if (!view) return corrupt("an opaque record");
  const std::span pickle(reinterpret_cast<const std::uint8_t*>(view->pickle.data()), view->pickle.size());
  Record record{std::make_unique<Heap>(pickle), {}};
  Machine machine(*record.heap, options_.limits, false, nullptr);
  if (machine.run() != Machine::Outcome::Done) {
    Error error = machine.error();
    error.message = fmt::format("opaque record, {}: {}", describe(*view), error.message);
    return tl::unexpected(std::move(error));
  }
  record.value = machine.result();
  const bool is_item = view->kind == OpaqueKind::StateDictItem || view->kind == OpaqueKind::PlannerItem ||
                       view->kind == OpaqueKind::StorageItem;
  const auto foreign = foreign_parts(*record.heap, record.value, is_item);
  record.unjudged = !foreign.empty();
  if (!record.unjudged || options_.foreign_names == ForeignNames::Keep) return record;
  const std::string what = fmt::format("{} needs {}", describe(*view), fmt::join(foreign, ", "));
  if (options_.foreign_names == ForeignNames::Refuse) {
    return fail(ErrorCode::OpaqueRecords, fmt::format("{}, which DCP does not define", what));
  }
  dropped_.push_back(what);
  return Record{};
}

ValueWriter Exporter::writer_of(const Record& record) {
  ValueWriter writer(*record.heap, options_.limits, pickle_, options_.limits.max_output_bytes);
  if (older_than(kFirstWithStrides)) writer.leave_strides_out();
  return writer;
}

Result<void> Exporter::write_record(const Record& record) {
  ValueWriter writer = writer_of(record);
  return write_value(record, writer, record.value, false);
}

Result<void> Exporter::write_value(const Record& record, ValueWriter& writer, Value value, bool continues) {
  const std::uint64_t begin = pickle_.size();
  auto done = writer.write(value);
  if (done && record.unjudged) unjudged_.push_back({begin, pickle_.size(), continues});
  return done;
}

Result<void> Exporter::whole_attribute(OpaqueKind kind) {
  const auto record = open_record(records(kind).front());
  RETURN_IF_ERROR(record);
  if (record->heap) return write_record(*record);
  pickle_.none();
  return {};
}

Result<void> Exporter::other_attributes(Batches& items) {
  for (const std::uint32_t number : records(OpaqueKind::Attribute)) {
    const auto record = open_record(number);
    RETURN_IF_ERROR(record);
    if (!record->heap) continue;
    const std::string_view name = opaque_record(metadata_, number)->name;
    if (is_special_attribute(name)) {
      const std::string what = fmt::format("attribute '{}' of Metadata, which Python itself looks at", name);
      if (options_.foreign_names != ForeignNames::Drop) return fail(ErrorCode::OpaqueRecords, what);
      dropped_.push_back(what);
      continue;
    }
    items.next();
    RETURN_IF_ERROR(text(name, "an attribute of Metadata"));
    RETURN_IF_ERROR(write_record(*record));
  }
  return {};
}

Result<void> Exporter::item_record(std::uint32_t number, Batches& items) {
  const auto record = open_record(number);
  RETURN_IF_ERROR(record);
  if (!record->heap) return {};
  if (!record->value.is(Tag::Tuple) || record->value.node<Tuple>()->count != 2) {
    return corrupt("an opaque record of an item that is no pair");
  }
  items.next();
  const auto pair = record->value.node<Tuple>()->values();
  ValueWriter writer = writer_of(*record);
  RETURN_IF_ERROR(write_value(*record, writer, pair[0], false));
  return write_value(*record, writer, pair[1], true);
}

std::string Exporter::describe(const OpaqueRecordView& record) {
  switch (record.kind) {
    case OpaqueKind::Attribute: return fmt::format("attribute '{}' of Metadata", record.name);
    case OpaqueKind::StateDictItem: return fmt::format("item {} of state_dict_metadata", record.position);
    case OpaqueKind::StateDictValue: return fmt::format("FQN '{}'", record.name);
    case OpaqueKind::PlannerData: return "planner_data";
    case OpaqueKind::PlannerItem: return fmt::format("item {} of planner_data", record.position);
    case OpaqueKind::StorageData: return "storage_data";
    case OpaqueKind::StorageItem: return fmt::format("item {} of storage_data", record.position);
    case OpaqueKind::StorageMeta: return "storage_meta";
    case OpaqueKind::Version: return "version";
  }
  return "a record";
}

}  // namespace flatpoint::dcp
