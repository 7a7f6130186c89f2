// flatpoint find - where the bytes of an FQN lie.
#include <array>
#include <charconv>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/overlap.hpp"
#include "flatpoint/records.hpp"
#include "table.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string checkpoint;
  std::string fqn;
  std::optional<std::string> offset;
  std::optional<std::string> element;
};

constexpr std::array kColumns{Column{"chunk offset"}, Column{"relative path"}, Column{"byte offset", Align::Right},
                              Column{"length", Align::Right}, Column{"transforms"}};

/// "0,128", "[0, 128]", "" (a tensor without dimensions).
Result<Size> parse_offset(std::string_view option, std::string_view text) {
  const auto invalid = [&] {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: expected numbers as in 0,128 and not '{}'", option, text));
  };
  std::string_view rest = text;
  if (!rest.empty() && rest.front() == '[') {
    if (rest.back() != ']') return invalid();
    rest = rest.substr(1, rest.size() - 2);
  }
  Size offset;
  if (rest.find_first_not_of(' ') == std::string_view::npos) return offset;
  for (bool more = true; more;) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc()) return invalid();
    offset.push_back(value);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    more = !rest.empty();
    if (more && rest.front() != ',') return invalid();
    if (more) rest.remove_prefix(1);
  }
  return offset;
}

/// One item of storage_data.
struct Location {
  std::optional<Size> offset;  // MetadataIndex.offset
  std::optional<std::int64_t> hint;
  StorageInfoView storage;
  std::optional<ChunkData> data{};  // where the file knows of it
};

/// Every item of storage_data under one FQN: its chunks in DCP's order, or its bytes, then loose ones.
class Locations {
 public:
  /// Unset where the file is corrupt. `entry` may be absent: there may be loose storage.
  static std::optional<Locations> of(const MetadataView& metadata, const Lookup<EntryView>& entry,
                                     std::string_view fqn) {
    Locations all;
    all.metadata_ = metadata;
    if (entry.corrupt() || (entry && !all.add(*entry)) || !all.add_loose(fqn)) return std::nullopt;
    return all;
  }

  [[nodiscard]] std::size_t size() const { return chunks_.size() + bytes_.has_value() + loose_.size(); }

  /// Unset where the file was changed since.
  [[nodiscard]] std::optional<Location> operator[](std::size_t i) const {
    if (i < chunks_.size()) return chunk(chunks_[i]);
    i -= chunks_.size();
    if (bytes_ && i-- == 0) return bytes_;
    return i < loose_.size() ? std::optional(loose_[i]) : std::nullopt;
  }

 private:
  bool add(const EntryView& entry) {
    const auto tensor = entry.tensor();
    if (tensor.absent()) {
      const auto storage = entry.bytes_storage();
      if (storage)
        bytes_ = Location{std::nullopt, index_hint(metadata_, entry.row().chunk_begin, std::nullopt), *storage};
      return !storage.corrupt();
    }
    if (!tensor) return false;
    tensor_ = *tensor;
    for (std::uint32_t i = 0; i < tensor->chunk_count(); ++i) {
      const auto chunk = tensor->chunk(i);
      const auto storage = chunk ? chunk->storage() : Lookup<StorageInfoView>(LookupStatus::Corrupt);
      if (storage.corrupt()) return false;
      if (storage) chunks_.push_back(i);
    }
    return true;
  }

  bool add_loose(std::string_view fqn) {
    const auto first = first_loose_storage(metadata_, fqn);
    if (!first) return false;
    for (std::size_t i = *first;; ++i) {
      const auto loose = loose_storage(metadata_, i);
      if (loose.corrupt()) return false;
      if (loose.absent() || loose->fqn != fqn) return true;
      std::optional<Size> offset;
      if (loose->has_offset) offset.emplace(loose->offset.begin(), loose->offset.end());
      loose_.push_back({std::move(offset), index_hint(metadata_, loose->row, std::nullopt), loose->storage});
    }
  }

  [[nodiscard]] std::optional<Location> chunk(std::uint32_t i) const {
    const auto chunk = tensor_.chunk(i);
    const auto storage = chunk ? chunk->storage() : Lookup<StorageInfoView>(LookupStatus::Corrupt);
    if (!storage) return std::nullopt;
    const auto data = chunk->data();
    return Location{chunk->to_value().offsets, index_hint(metadata_, chunk->row(), i), *storage,
                    data ? std::optional(*data) : std::nullopt};
  }

  MetadataView metadata_;
  TensorView tensor_;
  std::vector<std::uint32_t> chunks_;  // that have storage information
  std::optional<Location> bytes_;
  std::vector<Location> loose_;
};

/// The chunk's position in DCP's order.
std::optional<std::int64_t> position_of(const TensorView& tensor, const ChunkView& wanted) {
  if (tensor.row().reordered == 0) return wanted.row() - tensor.row().chunk_begin;
  for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
    if (const auto chunk = tensor.chunk(i); chunk && chunk->row() == wanted.row()) return i;
  }
  return std::nullopt;
}

/// The offset of the chunk that holds an element; of several, which overlap, the first with storage. Absent: none does.
/// Errors: InvalidArgument where the tensor has no such element.
Result<Lookup<ChunkView>> chunk_containing(const TensorView& tensor, const Size& element) {
  if (element.size() != tensor.ndim()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("--containing: {} indices for a tensor of {} dimensions", element.size(), tensor.ndim()));
  }
  for (std::size_t d = 0; d < element.size(); ++d) {
    if (element[d] >= 0 && element[d] < tensor.size()[d]) continue;
    return fail(ErrorCode::InvalidArgument, fmt::format("--containing: element {} lies outside of the size {}",
                                                        list_text(element), list_text(tensor.size())));
  }
  const Size ones(element.size(), 1);
  Lookup<ChunkView> first = LookupStatus::Absent;
  for (Overlaps hit(tensor, element, ones); !hit.done(); hit.next()) {
    const auto chunk = tensor.chunk_by_row(hit.chunk());
    bool holds = chunk.found();
    for (std::size_t d = 0; holds && d < element.size(); ++d) holds = hit.length(d) == 1;
    if (chunk.corrupt()) return chunk;
    if (holds && first.absent()) first = chunk;
    if (holds && chunk->storage()) return chunk;
  }
  return first;
}

/// The item at one offset, found as a loader finds it.
Lookup<StorageInfoView> find_at(const MetadataView& metadata, const Lookup<EntryView>& entry, std::string_view fqn,
                                const Size& offset, std::optional<std::int64_t>& hint) {
  const auto storage = metadata.find_storage(fqn, offset);
  const auto tensor = entry ? entry->tensor() : Lookup<TensorView>(LookupStatus::Absent);
  const auto chunk = tensor ? tensor->find_chunk(offset) : Lookup<ChunkView>(LookupStatus::Absent);
  if (chunk) hint = index_hint(metadata, chunk->row(), position_of(*tensor, *chunk));
  return storage;
}

using Get = std::function<std::optional<Location>(std::size_t)>;

void print(Output& out, std::size_t count, const Get& get) {
  print_table(out, kColumns, count, [&](std::uint64_t i, Cells& cells) {
    const auto location = get(i);
    if (!location) return;
    cells.add(location->offset ? list_text(*location->offset) : std::string());
    cells.add(printable(location->storage.relative_path()));
    cells.add(std::to_string(location->storage.byte_offset()));
    cells.add(std::to_string(location->storage.length()));
    cells.add(transforms_text(location->storage));
  });
}

/// The elements of the chunk at an offset, where the file knows of them.
std::optional<ChunkData> data_at(const Lookup<EntryView>& entry, const Size& offset) {
  const auto tensor = entry ? entry->tensor() : Lookup<TensorView>(LookupStatus::Absent);
  const auto chunk = tensor ? tensor->find_chunk(offset) : Lookup<ChunkView>(LookupStatus::Absent);
  const auto data = chunk ? chunk->data() : Lookup<ChunkData>(LookupStatus::Absent);
  return data ? std::optional(*data) : std::nullopt;
}

/// The bytes of the file that are the chunk's elements.
void write_data(Json& json, const ChunkData& data) {
  json.key("data").begin_object();
  json.member("byte_offset", data.byte_offset);
  json.member("length", data.length);
  json.end();
}

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, std::string_view fqn, std::size_t count,
                const Get& get) {
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("found", true);
  json.member("fqn", fqn);
  json.key("locations").begin_array(Json::Style::Lines);
  for (std::size_t i = 0; i < count && !context.out.closed(); ++i) {
    const auto location = get(i);
    if (!location) continue;
    json.begin_object();
    write_index(json, fqn, location->offset, location->hint);
    write_storage(json, location->storage);
    if (location->data) write_data(json, *location->data);
    json.end();
  }
  json.end();
  json.end();
}

/// The FQN is there, but no item of storage_data under it (at that offset).
Exit report_absent_storage(Context& context, const dcp::OpenedCheckpoint& opened, std::string_view fqn,
                           const std::optional<Size>& offset) {
  if (!context.globals.json) {
    const std::string where = offset ? fmt::format(" at offset {}", list_text(*offset)) : std::string();
    complain({}, fmt::format("absent: FQN '{}' of {} has no storage information{}", fqn, opened.path.string(), where));
    return Exit::No;
  }
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("found", false);
  json.member("fqn", fqn);
  json.member("offset", offset);
  json.member("absent", offset ? "offset" : "storage");
  json.end();
  return Exit::No;
}

Exit report(Context& context, const dcp::OpenedCheckpoint& opened, std::string_view fqn, std::size_t count,
            const Get& get) {
  if (context.globals.json) {
    print_json(context, opened, fqn, count, get);
  } else {
    print(context.out, count, get);
  }
  return Exit::Yes;
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  Result<Size> offset = Size();
  if (arguments.offset) offset = parse_offset("--offset", *arguments.offset);
  if (arguments.element) offset = parse_offset("--containing", *arguments.element);
  if (!offset) return tl::unexpected(offset.error());
  const auto opened = open(context, arguments.checkpoint, OpenMode::Map);
  if (!opened) return tl::unexpected(opened.error());

  const MetadataView metadata = opened->file.view();
  std::string fqn = arguments.fqn;
  const auto entry = find_entry(metadata, fqn);
  if (arguments.element && entry) {
    const auto tensor = entry->tensor();
    if (tensor.absent()) {
      return fail(ErrorCode::InvalidArgument, fmt::format("--containing: '{}' is no tensor, and has no elements", fqn));
    }
    const auto chunk = tensor ? chunk_containing(*tensor, *offset) : Lookup<ChunkView>(tensor.status());
    if (!chunk) return tl::unexpected(chunk.error());
    if (chunk->corrupt()) return tl::unexpected(corrupt(*opened, fmt::format("FQN '{}'", fqn)));
    if (chunk->absent()) return report_absent_storage(context, *opened, fqn, *offset);
    *offset = (*chunk)->to_value().offsets;
  }
  if (arguments.offset || (arguments.element && entry)) {
    std::optional<std::int64_t> hint;
    const auto storage = find_at(metadata, entry, fqn, *offset, hint);
    if (storage.corrupt()) return tl::unexpected(corrupt(*opened, fmt::format("FQN '{}'", fqn)));
    const auto data = data_at(entry, *offset);
    if (storage)
      return report(context, *opened, fqn, 1, [&](std::size_t) { return Location{*offset, hint, *storage, data}; });
  } else {
    const auto all = Locations::of(metadata, entry, fqn);
    if (!all) return tl::unexpected(corrupt(*opened, fmt::format("FQN '{}'", fqn)));
    if (all->size() > 0) return report(context, *opened, fqn, all->size(), [&](std::size_t i) { return (*all)[i]; });
  }
  if (entry.absent()) return report_absent_fqn(context, *opened, fqn);
  const bool asks_for_one = arguments.offset || arguments.element;
  return report_absent_storage(context, *opened, fqn, asks_for_one ? std::optional(*offset) : std::nullopt);
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("FQN", arguments->fqn, "The name, as it is or as `ls` prints it").required();
  const Option& offset =
      command
          .add_option("--offset", arguments->offset,
                      "Only the chunk that starts here: 0,128 (empty for a tensor without dimensions)")
          .type_name("O,O,...");
  command.add_option("--containing", arguments->element, "Only the chunk that holds this element: 9,0")
      .type_name("I,I,...")
      .excludes(offset);
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kFind;
const Verb kFind{"find", "Say in which files the bytes of an FQN lie, and where",
                 "  flatpoint find ckpt/ model.norm.weight\n"
                 "  flatpoint find ckpt/ model.norm.weight --offset 0,128\n"
                 "  flatpoint find ckpt/ model.norm.weight --containing 9,131\n",
                 declare};

}  // namespace flatpoint::tool
