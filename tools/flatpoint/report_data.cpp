#include "report_data.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <vector>

#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/coverage.hpp"
#include "flatpoint/verify.hpp"
#include "report_columns.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

constexpr std::uint64_t kExact = std::uint64_t{1} << 53;  // JavaScript's numbers are exact below
constexpr std::size_t kMostProblems = 1000;               // boxes of holes and overlaps
constexpr std::uint32_t kMostRows = 1 << 22;              // of one tensor
constexpr std::size_t kMostBytes = 3'300'000;             // of columns; a page has at most 5 MB

enum class Kind : std::uint8_t { Tensor, Bytes, Opaque };

/// One pass over all entries in their order. Per entry: its name without what it shares with the one before, its kind,
/// of a tensor its shape, and the places of its items.
class ReportWriter {
 public:
  explicit ReportWriter(const MetadataView& metadata) : metadata_(metadata), ends_(metadata.file_count()) {}

  /// False where the entry is corrupt.
  bool add(const EntryView& entry) {
    append_name(printable(entry.fqn()));
    const auto tensor = entry.tensor();
    if (tensor.corrupt()) return false;
    const Kind kind = tensor ? Kind::Tensor : entry.type() == StorageType::Bytes ? Kind::Bytes : Kind::Opaque;
    append_varint(out_, static_cast<std::uint64_t>(kind));
    return tensor ? add_tensor(*tensor) : add_places(1, [&](std::uint32_t) { return entry.bytes_storage(); });
  }

  nlohmann::json finish() {
    return {{"columns", base64(out_)}, {"dtypes", dtypes_},      {"dtypeBytes", dtype_bytes_},
            {"problems", problems_},   {"notTiled", not_tiled_}, {"placesLeftOut", left_out_}};
  }

 private:
  void append_name(const std::string& name) {
    const std::size_t most = std::min(name.size(), name_.size());
    const auto shared = static_cast<std::size_t>(
        std::mismatch(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(most), name_.begin()).first -
        name.begin());
    append_varint(out_, shared);
    append_varint(out_, name.size() - shared);
    out_.append(name, shared);
    name_ = name;
  }

  bool add_tensor(const TensorView& tensor) {
    std::string shape;
    append_varint(shape, dtype_number(tensor));
    append_varint(shape, tensor.ndim());
    for (const std::int64_t size : tensor.size()) append_signed(shape, size);
    append_varint(shape, tensor.chunk_count());
    std::string boxes;
    if (has_room(tensor.chunk_count()) && !append_boxes(boxes, tensor)) return false;
    const bool fits = has_room(tensor.chunk_count()) && out_.size() + boxes.size() <= kMostBytes;
    append_varint(shape, fits ? 1 : 0);
    if (fits) shape += boxes;
    shapes_.append(out_, shape);
    add_problems(tensor);
    return add_places(tensor.chunk_count(), [&](std::uint32_t i) {
      return tensor.chunk_by_row(i).and_then([](const ChunkView& chunk) { return chunk.storage(); });
    });
  }

  /// Whether so many rows may be said at all; a hostile file has tensors with more chunks than memory holds.
  [[nodiscard]] bool has_room(std::uint32_t rows) const noexcept {
    return rows <= kMostRows && out_.size() < kMostBytes;
  }

  /// Per dimension the offsets of all chunks, then their sizes. False where the tensor is corrupt.
  static bool append_boxes(std::string& out, const TensorView& tensor) {
    const std::size_t count = tensor.chunk_count();
    std::vector<std::int64_t> values(2 * tensor.ndim() * count);
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto chunk = tensor.chunk_by_row(i);
      if (!chunk) return false;
      for (std::uint8_t d = 0; d < tensor.ndim(); ++d) {
        values[2 * d * count + i] = chunk->offset(d);
        values[(2 * d + 1) * count + i] = chunk->size(d);
      }
    }
    append_runs(out, values);
    return true;
  }

  std::size_t dtype_number(const TensorView& tensor) {
    const std::string name = printable(dtype_text(tensor));
    const auto found = std::ranges::find(dtypes_, name);
    if (found == dtypes_.end()) {
      dtypes_.push_back(name);
      dtype_bytes_.push_back(item_bytes(tensor));
      return dtypes_.size() - 1;
    }
    return static_cast<std::size_t>(found - dtypes_.begin());
  }

  static std::uint32_t item_bytes(const TensorView& tensor) { return item_size(tensor.dtype()); }

  /// What coverage says of it, as the page draws it.
  void add_problems(const TensorView& tensor) {
    const Coverage coverage = check_coverage(tensor);
    if (coverage.tiles) return;
    ++not_tiled_;
    for (const CoverageFinding& finding : coverage.findings) {
      if (problems_.size() == kMostProblems) return;
      problems_.push_back({{"entry", tensor.position()},
                           {"kind", static_cast<int>(finding.kind)},
                           {"offsets", finding.box.offsets},
                           {"sizes", finding.box.sizes},
                           {"message", printable(to_string(finding), Backslash::Keep)}});
    }
  }

  /// 1, then the items' files, how far behind the last item of its file each begins, and their lengths. An item without
  /// storage information has a file too many. 0 where nothing is said of them. False where an item is corrupt.
  template <class Place>
  bool add_places(std::uint32_t count, const Place& place_of) {
    std::vector<std::int64_t> files;
    std::vector<std::int64_t> gaps;
    std::vector<std::int64_t> lengths;
    std::unordered_map<std::uint32_t, std::int64_t> ends;
    bool said = has_room(count);
    for (std::uint32_t i = 0; said && i < count; ++i) {
      const Lookup<StorageInfoView> place = place_of(i);
      if (place.corrupt() || (place && place->file() >= ends_.size())) return false;
      said = !place || (place->byte_offset() < kExact && place->length() < kExact);
      files.push_back(place ? place->file() : static_cast<std::int64_t>(ends_.size()));
      lengths.push_back(place ? static_cast<std::int64_t>(place->length()) : 0);
      if (!place) {
        gaps.push_back(0);
        continue;
      }
      const auto begin = static_cast<std::int64_t>(place->byte_offset());
      std::int64_t& end = ends.try_emplace(place->file(), ends_[place->file()]).first->second;
      gaps.push_back(begin - end);
      end = begin + lengths.back();
    }
    std::array<std::string, 3> columns;
    std::size_t size = 0;
    for (std::size_t i = 0; said && i < columns.size(); ++i) {
      append_varint(columns[i], count);
      append_runs(columns[i], *std::array{&files, &gaps, &lengths}[i]);
      size += columns[i].size();
    }
    if (!said || out_.size() + size > kMostBytes) {
      left_out_ += count;
      append_varint(out_, 0);
      return true;
    }
    for (const auto& [file, end] : ends) ends_[file] = end;
    append_varint(out_, 1);
    for (const std::string& column : columns) runs_.append(out_, column);
    return true;
  }

  MetadataView metadata_;
  std::string out_;
  std::string name_;                // of the entry before
  std::vector<std::int64_t> ends_;  // per file: of its last item so far
  Repeated shapes_;
  Repeated runs_;
  std::vector<std::string> dtypes_;
  std::vector<std::uint32_t> dtype_bytes_;
  nlohmann::json problems_ = nlohmann::json::array();
  std::uint64_t not_tiled_ = 0;
  std::uint64_t left_out_ = 0;
};

/// What verify and opening say, broken rules first.
void add_findings(nlohmann::json& data, const dcp::OpenedCheckpoint& opened) {
  nlohmann::json& findings = data["findings"] = nlohmann::json::array();
  const auto add = [&](std::string_view kind, std::string_view message, bool broken) {
    findings.push_back(
        {{"kind", printable(kind)}, {"message", printable(message, Backslash::Keep)}, {"broken", broken}});
  };
  const VerifyReport report = verify(opened.file);
  for (const BrokenRule& rule : report.broken_rules) add("rule " + rule.rule, rule.message, true);
  for (const std::string& notice : opened.notices) add("notice", notice, false);
  for (const Finding& finding : opened.findings) add(finding.kind, finding.message, false);
  for (const Finding& finding : report.findings) add(finding.kind, finding.message, false);
  data["suppressed"] = report.suppressed;
}

/// Text that JSON takes for the same, and HTML for no tag.
std::string without_tags(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (const char byte : json) {
    if (byte == '<') {
      out += "\\u003c";
    } else {
      out += byte;
    }
  }
  return out;
}

}  // namespace

Result<std::string> report_data(const dcp::OpenedCheckpoint& opened) {
  const MetadataView metadata = opened.file.view();
  ReportWriter writer(metadata);
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry(i);
    if (!entry || !writer.add(*entry)) return tl::unexpected(corrupt(opened, fmt::format("entry {}", i)));
  }
  nlohmann::json data = writer.finish();
  add_findings(data, opened);
  data["tool"] = FLATPOINT_VERSION;
  data["path"] = printable(opened.path.string());
  data["origin"] = to_string(opened.origin);
  data["entries"] = metadata.size();
  data["version"] = metadata.version() ? printable(*metadata.version()) : "None";
  nlohmann::json& files = data["files"] = nlohmann::json::array();
  for (std::uint32_t i = 0; i < metadata.file_count(); ++i)
    files.push_back(printable(metadata.file_name(i).value_or("")));
  return without_tags(data.dump());
}

}  // namespace flatpoint::tool
