// What a load plan of DCP reads: boxes of named chunks, in one pass over the files, straight into memory of torch's.
#include <deque>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/data.hpp"
#include "flatpoint/overlap.hpp"
#include "opened.hpp"
#include "reading.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

/// A part of a chunk, as ReadItem of DCP names it.
struct ChunkPart {
  Text fqn;
  Size chunk_offsets;
  Size offsets;  // in the chunk
  Size lengths;
};

/// Where a part's chunk begins, or why it is left to torch.
struct Where {
  std::uint32_t file = 0;
  std::uint64_t byte_offset = 0;
  std::string reason{};
};

/// Whether no chunk but the named one holds elements of the part.
bool lies_in_one_chunk(const TensorView& tensor, const ChunkPart& part) {
  const std::size_t ndim = tensor.size().size();
  if (part.chunk_offsets.size() != ndim || part.offsets.size() != ndim || part.lengths.size() != ndim) return false;
  Size begin = part.chunk_offsets;
  for (std::size_t i = 0; i < ndim; ++i) {
    if (__builtin_add_overflow(begin[i], part.offsets[i], &begin[i]) || part.lengths[i] <= 0) return false;
  }
  Overlaps hit(tensor, begin, part.lengths);
  if (hit.done()) return false;
  for (std::size_t i = 0; i < ndim; ++i) {
    if (hit.chunk_offset(i) != part.offsets[i] || hit.length(i) != part.lengths[i]) return false;
  }
  hit.next();
  return hit.done();
}

/// Errors that say that torch may know better what lies there.
bool is_for_torch(ErrorCode code) {
  return code == ErrorCode::NotPlain || code == ErrorCode::UnknownTransform || code == ErrorCode::DtypeMismatch ||
         code == ErrorCode::Outside;
}

std::string reason_of(const Error& error) {
  if (error.code == ErrorCode::Outside) return "a file outside of the folder";
  if (error.code == ErrorCode::DtypeMismatch) return "another dtype than the metadata says";
  if (error.code == ErrorCode::UnknownTransform) return "an unknown transform";
  constexpr std::string_view kNotPlain = "not a plain tensor: ";
  const std::size_t found = error.message.rfind(kNotPlain);
  return found == std::string::npos ? "not a plain tensor" : error.message.substr(found + kNotPlain.size());
}

Result<Where> find_part(const data::Reader& reader, const MetadataView& metadata, const ChunkPart& part, bool verify) {
  const auto entry = metadata.find(part.fqn.view());
  if (entry.corrupt()) return fail(ErrorCode::Corrupt, "the metadata breaks a rule; `verify` names it");
  if (entry.absent() || entry->type() != StorageType::Tensor) return Where{.reason = "no tensor of the metadata"};
  const auto tensor = entry->tensor();
  if (!tensor) return fail(ErrorCode::Corrupt, "the metadata breaks a rule; `verify` names it");
  const auto chunk = tensor->find_chunk(part.chunk_offsets);
  if (!chunk || !chunk->storage()) return Where{.reason = "no chunk of the metadata"};
  if (item_size(tensor->dtype()) == 0) return Where{.reason = "a dtype of no whole bytes"};
  if (!lies_in_one_chunk(*tensor, part)) return Where{.reason = "chunks that overlap"};
  const auto storage = *chunk->storage();
  Where where{storage.file(), storage.byte_offset()};
  auto found = reader.locate(*tensor, *chunk).map([](const data::ChunkBytes&) {});
  // What is compressed or strided has no range of its own, but can be read.
  if (!found && found.error().code == ErrorCode::NotPlain)
    found = reader.check(*tensor, *chunk, verify).map([](bool) {});
  if (found) return where;
  if (!is_for_torch(found.error().code)) return tl::unexpected(std::move(found.error()));
  where.reason = reason_of(found.error());
  return where;
}

/// Per part (file, byte offset, None), or (file, byte offset, why it is left to torch).
nb::list find_parts(nb::handle checkpoint, nb::handle parts, bool verify) {
  const Opened opened = opened_of(checkpoint);
  std::vector<ChunkPart> asked;
  for (const nb::handle part : parts) {
    asked.push_back({Text(nb::object(part[0])), to_values(nb::object(part[1])), to_values(nb::object(part[2])),
                     to_values(nb::object(part[3]))});
  }
  std::vector<Where> found;
  value_of(run_interruptibly([&](const std::stop_token& stop) -> Result<data::ReadReport> {
    const auto reader = opened->reader();
    if (!reader) return tl::unexpected(reader.error());
    for (const ChunkPart& part : asked) {
      if (stop.stop_requested()) return fail(ErrorCode::Io, "reading was stopped");
      auto where = find_part(**reader, opened->file.view(), part, verify);
      if (!where) return tl::unexpected(std::move(where.error()));
      found.push_back(std::move(*where));
    }
    return data::ReadReport{};
  }));
  nb::list answer;
  for (const Where& where : found) {
    answer.append(nb::make_tuple(where.file, where.byte_offset,
                                 where.reason.empty() ? nb::none() : nb::object(to_str(where.reason))));
  }
  return answer;
}

/// Boxes of one tensor, and where each goes.
struct Boxes {
  TensorView tensor;
  std::vector<std::int64_t> values;  // per box its offsets, then its sizes
  std::vector<data::Destination> to;
};

/// Of many tensors, by FQN.
class BoxesByTensor {
 public:
  explicit BoxesByTensor(const MetadataView& metadata) : metadata_(metadata) {}

  /// (fqn, chunk offsets, offsets in the chunk, lengths, address, byte strides)
  void add(nb::handle item) {
    const nb::object fqn = item[0];
    const Text name(fqn);
    auto known = boxes_.find(name.view());
    if (known == boxes_.end()) {
      const TensorView tensor = value_of(value_of(find_entry(metadata_, fqn)).tensor());
      known = boxes_.emplace(tensor.fqn(), Boxes{tensor, {}, {}}).first;
    }
    Boxes& boxes = known->second;
    auto begin = to_values(nb::object(item[1]));
    const auto offsets = to_values(nb::object(item[2]));
    const auto lengths = to_values(nb::object(item[3]));
    strides_.push_back(to_values(nb::object(item[5])));
    const std::size_t ndim = boxes.tensor.size().size();
    if (begin.size() != ndim || offsets.size() != ndim || lengths.size() != ndim || strides_.back().size() != ndim)
      throw nb::value_error("a part of a chunk needs a value per dimension");
    for (std::size_t i = 0; i < ndim; ++i) begin[i] += offsets[i];
    boxes.values.insert(boxes.values.end(), begin.begin(), begin.end());
    boxes.values.insert(boxes.values.end(), lengths.begin(), lengths.end());
    const nb::object address = item[4];
    boxes.to.push_back({static_cast<std::byte*>(PyLong_AsVoidPtr(address.ptr())), strides_.back()});
    bytes_ += value_of(data::box_bytes(boxes.tensor, lengths));
    ++count_;
  }

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  [[nodiscard]] Result<data::ReadReport> read(const data::Reader& reader, const data::ReadOptions& options) const {
    std::vector<Wanted> wanted;
    std::vector<const Boxes*> numbered;
    for (const auto& [fqn, boxes] : boxes_) {
      const auto count = static_cast<std::uint32_t>(boxes.to.size());
      wanted.push_back({fqn, StorageType::Tensor, boxes.tensor.size(), count, boxes.values, {}});
      numbered.push_back(&boxes);
    }
    const auto plan = plan_load(metadata_, wanted, {});
    if (!plan) return tl::unexpected(plan.error());
    // Each part lies in one chunk (find_parts).
    if (plan->size() != count_)
      return fail(ErrorCode::InvalidArgument, "a part of a chunk lies in no chunk, or in several");
    std::vector<data::Destination> destinations;
    destinations.reserve(plan->size());
    for (const auto item : plan->items()) destinations.push_back(numbered[item.wanted()]->to[item.box()]);
    return reader.read(*plan, destinations, options);
  }

 private:
  MetadataView metadata_;
  std::map<std::string_view, Boxes> boxes_;  // by the metadata's own names
  std::deque<std::vector<std::int64_t>> strides_;
  std::uint64_t bytes_ = 0;
  std::size_t count_ = 0;
};

nb::tuple read_parts(nb::handle checkpoint, nb::handle parts, std::uint32_t threads, bool verify) {
  const Opened opened = opened_of(checkpoint);
  BoxesByTensor boxes(opened->file.view());
  for (const nb::handle part : parts) boxes.add(part);
  data::ReadOptions options;
  options.threads = threads_for(threads, boxes.bytes());
  options.verify = verify;
  const auto report = value_of(run_interruptibly([&](std::stop_token stop) -> Result<data::ReadReport> {
    options.stop = std::move(stop);
    const auto reader = opened->reader();
    if (!reader) return tl::unexpected(reader.error());
    return boxes.read(**reader, options);
  }));
  return nb::make_tuple(report.needed_bytes, report.read_bytes);
}

/// Compares a bytes item with the checksums in it.
void check_item(nb::handle checkpoint, nb::handle fqn) {
  const Opened opened = opened_of(checkpoint);
  const auto entry = value_of(find_entry(opened->file.view(), fqn));
  value_of([&]() -> Result<bool> {
    const nb::gil_scoped_release release;
    const auto reader = opened->reader();
    if (!reader) return tl::unexpected(reader.error());
    return (*reader)->check(entry, true);
  }());
}

}  // namespace

void bind_read_items(nb::module_& m) {
  m.def("find_parts", &find_parts, nb::arg("checkpoint"), nb::arg("parts"), nb::arg("verify"),
        "Where parts of chunks, (fqn, chunk offsets, offsets in it, lengths), lie: (file, byte offset, None or why no "
        "`read_parts` takes it).");
  m.def("read_parts", &read_parts, nb::arg("checkpoint"), nb::arg("parts"), nb::arg("threads"), nb::arg("verify"),
        "Read parts of chunks, each also with address and byte strides: (bytes needed, bytes read).");
  m.def("check_item", &check_item, nb::arg("checkpoint"), nb::arg("fqn"), "Compare a bytes item with its checksums.");
}

}  // namespace flatpoint::python
