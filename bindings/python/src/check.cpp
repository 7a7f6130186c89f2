// What the data files show: whether they are there and whole, statistics, and where the bytes begin.
#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <vector>

#include "flatpoint/data.hpp"
#include "flatpoint/data_diff.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

constexpr std::array<std::string_view, 3> kDepths{"files", "items", "bytes"};

void append(std::vector<Finding>& to, std::vector<Finding>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

struct DataChecks {
  data::FilesReport files;
  data::CheckReport items;  // of files too, where only these were looked at
};

Result<DataChecks> run_checks(const OpenCheckpoint& opened, std::string_view depth, std::size_t max_messages) {
  const auto reader = opened.reader();
  if (!reader) return tl::unexpected(reader.error());
  const MetadataView metadata = opened.file.view();
  data::FilesOptions options;
  options.allow_outside = opened.place().allow_outside;
  options.unnamed_files = opened.path.extension() != ".safetensors";  // one of many beside each other
  options.max_messages = max_messages;
  auto files = data::check_files(metadata, opened.place().folder, options);
  if (!files) return tl::unexpected(std::move(files.error()));
  DataChecks checks{std::move(*files), {}};
  if (depth != "files") {
    data::CheckOptions looking;
    looking.depth = depth == "bytes" ? data::CheckDepth::Bytes : data::CheckDepth::Items;
    looking.max_messages = max_messages;
    looking.files = &checks.files;
    auto items = data::check(**reader, metadata, looking);
    if (!items) return tl::unexpected(std::move(items.error()));
    checks.items = std::move(*items);
  }
  append(checks.files.broken, checks.items.broken);
  append(checks.files.findings, checks.items.findings);
  return checks;
}

}  // namespace

nb::object data_report(const Opened& mapped, nb::handle depth, std::size_t max_messages) {
  const Text wanted(depth);
  if (std::ranges::find(kDepths, wanted.view()) == kDepths.end()) raise_unknown("depth", wanted.view(), kDepths);
  const Opened opened = value_of(private_copy(mapped));
  const DataChecks checks = value_of([&] {
    const nb::gil_scoped_release release;
    return run_checks(*opened, wanted.view(), max_messages);
  }());
  const data::FilesReport& files = checks.files;
  return make_record(records().data_report, files.broken.empty(), make_findings(files.broken),
                     make_findings(files.findings), files.suppressed + checks.items.suppressed, files.files,
                     files.missing, files.too_short, files.fqns, files.lost, checks.items.items,
                     checks.items.checked_bytes, checks.items.without_checksum);
}

nb::object tensor_statistics(const Opened& opened, const TensorView& tensor) {
  const data::TensorStatistics found = value_of([&]() -> Result<data::TensorStatistics> {
    const nb::gil_scoped_release release;
    const auto reader = opened->reader();
    if (!reader) return tl::unexpected(reader.error());
    return data::statistics(**reader, tensor);
  }());
  return make_record(records().statistics, found.elements, found.zeros, found.nans, found.infinities, found.min,
                     found.max, found.mean, found.std);
}

nb::object compared(const OpenTensor& a, nb::handle other, bool all) {
  const OpenTensor b = tensor_of(other);
  if (a.view.dtype_name() != b.view.dtype_name() || !std::ranges::equal(a.view.size(), b.view.size())) {
    throw nb::value_error("tensors of different dtypes or shapes have no values to compare");
  }
  const data::ValueDifference difference = value_of([&]() -> Result<data::ValueDifference> {
    const nb::gil_scoped_release release;
    const auto x = a.opened->reader();
    if (!x) return tl::unexpected(x.error());
    const auto y = b.opened->reader();
    if (!y) return tl::unexpected(y.error());
    return data::compare(**x, a.view, **y, b.view, {.all = all});
  }());
  const bool counted = all && !difference.same;
  return make_record(records().value_difference, difference.same,
                     counted ? nb::object(nb::int_(difference.elements)) : nb::none(),
                     difference.largest ? nb::object(nb::float_(*difference.largest)) : nb::none());
}

nb::object with_data_begins(const Opened& mapped, bool checksums) {
  const Opened opened = value_of(private_copy(mapped));
  auto bytes = value_of([&]() -> Result<Buffer> {
    const nb::gil_scoped_release release;
    if (const auto reader = opened->reader(); !reader) return tl::unexpected(reader.error());
    data::FindDataOptions options;
    options.checksums = checksums;
    options.allow_outside = opened->place().allow_outside;
    auto found = data::find_data(opened->file.view(), opened->place().folder, options);
    return std::move(found).map([](data::FoundData&& made) { return std::move(made.bytes); });
  }());
  auto file = value_of(MetadataFile::from_buffer(std::move(bytes)));
  return make_checkpoint({std::move(file), {}, dcp::Origin::Flatpoint, {}, opened->findings}, opened->place());
}

}  // namespace flatpoint::python
