// What is made of a checkpoint: other names, the pickle that PyTorch reads, and whether its chunks tile.
#include <array>
#include <exception>
#include <string>
#include <unordered_map>

#include "flatpoint/coverage.hpp"
#include "flatpoint/edit.hpp"
#include "flatpoint/source.hpp"
#include "flatpoint/write_file.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

/// Asks a function of Python's for each name once. What it raises is kept until the library has returned.
class NamesOfPython {
 public:
  explicit NamesOfPython(nb::handle name_of) : name_of_(name_of) {}

  std::optional<std::string> operator()(std::string_view fqn) {
    const auto [at, is_new] = known_.try_emplace(std::string(fqn));
    if (is_new && !error_) at->second = ask(fqn);
    return at->second;
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::optional<std::string> ask(std::string_view fqn) {
    try {
      const nb::object name = name_of_(to_str(fqn));
      if (name.is_none()) return std::nullopt;
      return std::string(Text(name).view());
    } catch (...) {
      error_ = std::current_exception();
      return std::nullopt;
    }
  }

  nb::handle name_of_;
  std::unordered_map<std::string, std::optional<std::string>> known_;
  std::exception_ptr error_;
};

}  // namespace

nb::object edited(const Opened& mapped, nb::handle name_of, bool drop_opaque) {
  const Opened opened = value_of(private_copy(mapped));
  NamesOfPython names(name_of);
  auto bytes = edit(opened->file.view().columns(), [&](std::string_view fqn) { return names(fqn); },
                    {drop_opaque ? OpaqueRecords::Drop : OpaqueRecords::Refuse});
  names.rethrow();
  auto file = value_of(MetadataFile::from_buffer(value_of(std::move(bytes))));
  return make_checkpoint({std::move(file), {}, dcp::Origin::Flatpoint, {}, {}}, mapped->place());
}

nb::tuple exported(const Opened& mapped, std::uint32_t torch_major, std::uint32_t torch_minor, nb::handle opaque,
                   bool dcp_classes) {
  const Opened opened = value_of(private_copy(mapped));
  constexpr std::array<std::string_view, 3> kWays{"refuse", "keep", "drop"};
  constexpr std::array kForeignNames{dcp::ForeignNames::Refuse, dcp::ForeignNames::Keep, dcp::ForeignNames::Drop};
  const Text way(opaque);
  std::size_t at = 0;
  while (at < kWays.size() && kWays[at] != way.view()) ++at;
  if (at == kWays.size()) raise_unknown("way with opaque records", way.view(), kWays);
  dcp::ExportOptions options;
  options.torch_major = torch_major;
  options.torch_minor = torch_minor;
  options.foreign_names = kForeignNames[at];
  options.dcp_classes = dcp_classes;
  const dcp::Exported made = value_of([&] {
    const nb::gil_scoped_release release;
    return dcp::export_pickle(opened->file.view(), options);
  }());
  nb::list dropped;
  for (const std::string& what : made.dropped) dropped.append(to_str(what));
  const auto bytes = made.bytes.bytes();
  return nb::make_tuple(nb::bytes(bytes.data(), bytes.size()), nb::tuple(dropped));
}

nb::object moved(const Opened& mapped, nb::handle folder) {
  const Opened opened = value_of(private_copy(mapped));
  const auto path = to_path(folder);
  auto bytes = value_of(move_data(opened->file.view().columns(), path.native()));
  auto file = value_of(MetadataFile::from_buffer(std::move(bytes)));
  return make_checkpoint({std::move(file), {}, dcp::Origin::Flatpoint, {}, {}}, {});
}

bool record_as_source(const Opened& opened, nb::handle pickle) {
  const auto path = to_path(pickle);
  if (opened->path.empty() || opened->origin != dcp::Origin::Flatpoint) return true;
  const nb::gil_scoped_release release;
  std::error_code ignored;
  const auto beside = dcp::source_beside(opened->path, opened->file.view());
  if (!std::filesystem::equivalent(beside, path, ignored)) return true;
  auto bytes = dcp::record_source(opened->file.view(), path);
  if (!bytes && bytes.error().code == ErrorCode::Conflict) return false;
  auto written =
      std::move(bytes).and_then([&](Buffer&& recorded) { return write_file(opened->path, recorded.bytes()); });
  const nb::gil_scoped_acquire acquire;
  value_of(std::move(written));
  return true;
}

nb::object coverage_report(const Opened& mapped, std::uint32_t max_findings) {
  const Opened opened = value_of(private_copy(mapped));
  const CoverageReport report = value_of([&] {
    const nb::gil_scoped_release release;
    return check_coverage(opened->file.view(), CoverageOptions{max_findings});
  }());
  return make_record(records().coverage_report, report.not_tiled == 0, report.tensors, report.not_tiled,
                     make_findings(report.findings), report.suppressed);
}

}  // namespace flatpoint::python
