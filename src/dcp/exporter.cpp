#include "dcp/exporter.hpp"

#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/text.hpp"
#include "dcp/foreign_names.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::dcp {
namespace {

constexpr std::uint32_t kFirstWithProperties = 3;
constexpr std::uint32_t kFirstWithStorageMeta = 4;

/// A guess at the size of the pickle; rather too much.
std::size_t expected_size(const Columns& columns) {
  constexpr std::size_t kPerEntry = 256;
  constexpr std::size_t kPerRow = 192;
  return 4096 + 3 * columns.fqns.size() + kPerEntry * columns.entries.size() + kPerRow * columns.chunk_files.size() +
         2 * columns.opaque_pickles.size();
}

}  // namespace

Exporter::Exporter(const MetadataView& metadata, const ExportOptions& options)
    : metadata_(metadata), columns_(metadata.columns()), options_(options), pickle_(expected_size(columns_)) {
  words_.fill(kNone);
  classes_.fill(kNone);
  memory_formats_.fill(kNone);
  fqns_.assign(columns_.entries.size(), kNone);
  paths_.assign(columns_.file_names.ends.size(), kNone);
}

Result<Exported> Exporter::run() {
  RETURN_IF_ERROR(check_totals());
  RETURN_IF_ERROR(check_items());
  RETURN_IF_ERROR(sort_records());
  RETURN_IF_ERROR(root());
  Exported exported{pickle_.take(), std::move(dropped_)};
  RETURN_IF_ERROR(audit(exported.bytes.bytes()));
  return exported;
}

Result<void> Exporter::audit(std::span<const std::byte> pickle) const {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size());
  const PickleAudit audit = audit::Walk(bytes, {unjudged_, foreign_classes_}).run();
  if (audit.clean()) return {};
  const ForeignAct& act = audit.acts.front();
  return fail(ErrorCode::OpaqueRecords,
              fmt::format("the finished pickle does more than make DCP's objects: {}{}{} (byte {})", act.name,
                          act.name.empty() ? "" : " ", act.what, act.position));
}

// torch.distributed.checkpoint reads items of torch.save alone; of edited metadata the names of the files tell.
Result<void> Exporter::check_items() const {
  bool raw = columns_.source && columns_.source->kind == SourceKind::Safetensors;
  for (std::uint32_t file = 0; !columns_.source && !raw && file < metadata_.file_count(); ++file) {
    const auto name = metadata_.file_name(file);
    raw = name && name->ends_with(".safetensors");
  }
  if (!raw) return {};
  return fail(ErrorCode::InvalidArgument,
              "its tensors lie in safetensors files, which torch.distributed.checkpoint does not read by a .metadata");
}

// A file whose rows or names overlap would be written out many times over.
Result<void> Exporter::check_totals() const {
  std::uint64_t rows = 0;
  std::uint64_t names = 0;
  for (std::size_t i = 0; i < columns_.entries.size(); ++i) {
    const EntryRow row = base::read_once(columns_.entries, i);
    rows += row.chunk_count;
    names += row.fqn_length;
  }
  if (rows > columns_.chunk_rows()) return corrupt("more chunks than rows");
  if (names > columns_.fqns.size()) return corrupt("more names than text");
  return {};
}

Result<void> Exporter::check_size() const {
  const std::uint64_t limit = options_.limits.max_output_bytes;
  if (pickle_.size() > limit) {
    return fail(ErrorCode::TooLarge, fmt::format("the pickle exceeds the limit max_output_bytes = {}", limit));
  }
  if (pickle_.memo_size() > 0xFFFFFFFF) return fail(ErrorCode::TooLarge, "the pickle has more than 2^32 memo entries");
  return {};
}

Result<void> Exporter::sort_records() {
  for (std::uint32_t i = 0; i < columns_.opaque.size(); ++i) {
    const auto record = opaque_record(metadata_, i);
    const auto kind = record ? static_cast<std::size_t>(record->kind) : records_.size();
    if (kind >= records_.size()) return corrupt("an opaque record");
    records_[kind].push_back(i);
    if (record->kind == OpaqueKind::StateDictValue) record_of_fqn_.emplace(record->name, i);
  }
  return {};
}

Result<ModuleAndName> Exporter::class_of(const std::optional<ByteColumn>& named, ModuleAndName own) {
  if (!named || named->empty()) return own;
  const std::string_view name = as_text(*named);
  const std::size_t space = name.find(' ');
  if (space == std::string_view::npos || !is_utf8(name)) return corrupt("the name of a class");
  const ModuleAndName foreign{name.substr(0, space), name.substr(space + 1)};
  const bool is_own = foreign == own;
  if (is_own || options_.dcp_classes) return own;
  if (options_.foreign_names == ForeignNames::Keep) {
    foreign_classes_.emplace_back(name);
    return foreign;
  }
  const std::string what = fmt::format("class {}.{} in the place of {}", foreign.module, foreign.name, own.name);
  if (options_.foreign_names == ForeignNames::Refuse) {
    return fail(ErrorCode::OpaqueRecords, fmt::format("{}, which DCP does not define", what));
  }
  dropped_.push_back(what);
  return own;
}

Result<void> Exporter::root() {
  const auto cls = class_of(columns_.metadata_class, names::kMetadata);
  RETURN_IF_ERROR(cls);
  const auto info = class_of(columns_.storage_info_class, names::kStorageInfo);
  RETURN_IF_ERROR(info);
  info_class_ = *info;

  pickle_.protocol();
  pickle_.begin_frame();
  global(*cls);
  pickle_.tuple(0);
  pickle_.opcode(Opcode::NEWOBJ);
  pickle_.memoize();
  pickle_.opcode(Opcode::EMPTY_DICT);
  pickle_.memoize();
  Batches items(pickle_, SIZE_MAX, Opcode::SETITEM, Opcode::SETITEMS);
  RETURN_IF_ERROR(attributes(items));
  items.finish();
  pickle_.opcode(Opcode::BUILD);
  pickle_.opcode(Opcode::STOP);
  pickle_.end_frame();
  return check_size();
}

Result<void> Exporter::attributes(Batches& items) {
  items.next();
  text("state_dict_metadata");
  RETURN_IF_ERROR(state_dict());

  items.next();
  text("planner_data");
  RETURN_IF_ERROR(records(OpaqueKind::PlannerData).empty() ? planner_data() : whole_attribute(OpaqueKind::PlannerData));

  items.next();
  text("storage_data");
  RETURN_IF_ERROR(records(OpaqueKind::StorageData).empty() ? storage_data() : whole_attribute(OpaqueKind::StorageData));

  // What is None is what objects of older versions do not have.
  if (!records(OpaqueKind::StorageMeta).empty()) {
    items.next();
    text("storage_meta");
    RETURN_IF_ERROR(whole_attribute(OpaqueKind::StorageMeta));
  } else if (columns_.storage_meta && !older_than(kFirstWithStorageMeta)) {
    items.next();
    text("storage_meta");
    RETURN_IF_ERROR(storage_meta(*columns_.storage_meta));
  }
  if (!records(OpaqueKind::Version).empty()) {
    items.next();
    text("version");
    RETURN_IF_ERROR(whole_attribute(OpaqueKind::Version));
  } else if (const auto version = metadata_.version()) {
    items.next();
    text("version");
    RETURN_IF_ERROR(text(*version, "version"));
  }
  return other_attributes(items);
}

Result<void> Exporter::storage_meta(const StorageMetaColumns& meta) {
  const auto optional = [&](std::string_view name, const std::optional<ByteColumn>& value) -> Status {
    text(name);
    if (value) return text(as_text(*value), "storage_meta");
    pickle_.none();
    return {};
  };
  cls(Class::StorageMeta);
  begin_object();
  text("checkpoint_id");
  RETURN_IF_ERROR(checkpoint_id(meta));
  RETURN_IF_ERROR(optional("save_id", meta.save_id));
  RETURN_IF_ERROR(optional("load_id", meta.load_id));
  if (meta.has_modules) {
    text("modules");
    pickle_.opcode(Opcode::EMPTY_LIST);
    pickle_.memoize();
    Batches modules(pickle_, meta.modules.ends.size(), Opcode::APPEND, Opcode::APPENDS);
    for (std::size_t i = 0; i < meta.modules.ends.size(); ++i) {
      const auto module = text_at(meta.modules, i);
      if (!module) return corrupt("the modules of storage_meta");
      modules.next();
      RETURN_IF_ERROR(text(*module, "storage_meta"));
    }
    modules.finish();
  }
  end_object();
  return {};
}

Result<void> Exporter::checkpoint_id(const StorageMetaColumns& meta) {
  if (!meta.checkpoint_id) {
    pickle_.none();
    return {};
  }
  const std::string_view id = as_text(*meta.checkpoint_id);
  if (meta.checkpoint_id_type <= PathType::Str) return text(id, "storage_meta");
  if (meta.checkpoint_id_type > PathType::PureWindowsPath) return corrupt("the checkpoint_id of storage_meta");
  global({names::kPathModule, to_string(meta.checkpoint_id_type)});
  RETURN_IF_ERROR(text(id, "storage_meta"));
  call();
  return {};
}

void Exporter::word(Word word) {
  static constexpr std::string_view kWords[] = {"offsets",       "sizes",  "fqn",        "index", "offset",
                                                "relative_path", "length", "properties", "size",  "chunks"};
  std::uint32_t& id = words_[static_cast<std::size_t>(word)];
  if (id != kNone) return pickle_.fetch(id);
  pickle_.text(kWords[static_cast<std::size_t>(word)]);
  id = pickle_.memoize();
}

void Exporter::cls(Class cls) {
  static constexpr ModuleAndName kClasses[] = {names::kTensorStorageMetadata,
                                               names::kBytesStorageMetadata,
                                               names::kChunkStorageMetadata,
                                               names::kTensorProperties,
                                               names::kMemFormatEncoding,
                                               names::kMetadataIndex,
                                               names::kSize,
                                               names::kGetLayout,
                                               names::kStorageMeta};
  std::uint32_t& id = classes_[static_cast<std::size_t>(cls)];
  if (id != kNone) return pickle_.fetch(id);
  ModuleAndName name = kClasses[static_cast<std::size_t>(cls)];
  if (older_than(kFirstWithProperties) && cls == Class::TensorProperties) name = names::kOldTensorProperties;
  if (older_than(kFirstWithProperties) && cls == Class::MemFormat) name = names::kOldMemFormatEncoding;
  text(name.module);
  text(name.name);
  pickle_.opcode(Opcode::STACK_GLOBAL);
  id = pickle_.memoize();
}

std::uint32_t Exporter::global(ModuleAndName name) {
  const auto [at, is_new] = globals_.try_emplace(fmt::format("{} {}", name.module, name.name));
  if (!is_new) {
    pickle_.fetch(at->second);
    return at->second;
  }
  text(name.module);
  text(name.name);
  pickle_.opcode(Opcode::STACK_GLOBAL);
  return at->second = pickle_.memoize();
}

void Exporter::text(std::string_view text) {
  const auto known = texts_.find(text);
  if (known != texts_.end()) return pickle_.fetch(known->second);
  pickle_.text(text);
  texts_.emplace(text, pickle_.memoize());
}

Result<void> Exporter::text(std::string_view text, std::string_view what) {
  if (!is_utf8(text)) return refuse(what, "holds bytes that are no str of Python's");
  this->text(text);
  return {};
}

void Exporter::begin_object() {
  pickle_.tuple(0);
  pickle_.opcode(Opcode::NEWOBJ);
  pickle_.memoize();
  pickle_.opcode(Opcode::EMPTY_DICT);
  pickle_.memoize();
  pickle_.mark();
}

void Exporter::end_object() {
  pickle_.opcode(Opcode::SETITEMS);
  pickle_.opcode(Opcode::BUILD);
}

std::uint32_t Exporter::call() {
  pickle_.tuple(1);
  pickle_.memoize();
  pickle_.opcode(Opcode::REDUCE);
  return pickle_.memoize();
}

tl::unexpected<Error> Exporter::refuse(std::string_view fqn, std::string_view why) {
  return fail(ErrorCode::InvalidArgument, fmt::format("cannot export '{}': {}", fqn, why));
}

tl::unexpected<Error> Exporter::corrupt(std::string_view what) {
  return fail(ErrorCode::Corrupt, fmt::format("{} breaks a rule of the format; `flatpoint verify` names it", what));
}

Result<Exported> export_pickle(const MetadataView& metadata, const ExportOptions& options) {
  // DCP reads each item as a file of torch.save by itself.
  for (std::uint32_t i = 0; i < metadata.file_count(); ++i) {
    if (metadata.file_facts(i).format != FileFormat::Archive) continue;
    const auto name = metadata.file_name(i);
    return fail(ErrorCode::InvalidArgument,
                fmt::format("cannot export to DCP: '{}' is one archive of many tensors, as torch_checkpointing writes "
                            "them, and DCP finds no item in such a file",
                            name ? *name : std::string_view()));
  }
  return Exporter(metadata, options).run();
}

Result<Exported> export_file(const MetadataView& metadata, const std::filesystem::path& path,
                             const ExportOptions& options, IfExists if_exists) {
  auto exported = export_pickle(metadata, options);
  RETURN_IF_ERROR(exported);
  RETURN_IF_ERROR(write_file(path, exported->bytes.bytes(), if_exists));
  return exported;
}

}  // namespace flatpoint::dcp
