// Any file compared, edited, merged and exported: an error with a message, or a file that opens and is safe to ask;
// made of a sound file, one that keeps every rule.
#include "flatpoint/dcp.hpp"
#include "flatpoint/diff.hpp"
#include "flatpoint/edit.hpp"
#include "flatpoint/merge.hpp"
#include "flatpoint/verify.hpp"
#include "fuzz/require.hpp"
#include "fuzz/sealed.hpp"
#include "support/rich_model.hpp"
#include "support/walk.hpp"

using namespace flatpoint;

namespace {

void check(const Result<Buffer>& made, bool of_sound) {
  if (!made) return fuzz::require(!made.error().message.empty(), "an error has a message");
  const auto file = MetadataFile::from_bytes(made->bytes());
  fuzz::require(file.has_value(), "what was made opens");
  std::vector<std::string> wrong = test::check_any_bytes(made->bytes());
  if (of_sound) {
    for (const auto& broken : verify(*file).broken_rules) wrong.push_back(broken.rule + ": " + broken.message);
  }
  fuzz::require_nothing(wrong);
}

void check_export(const MetadataView& metadata, dcp::ForeignNames foreign) {
  dcp::ExportOptions options;
  options.foreign_names = foreign;
  options.limits.max_output_bytes = 1 << 20;
  const auto exported = dcp::export_pickle(metadata, options);
  if (!exported) return fuzz::require(!exported.error().message.empty(), "an error has a message");
  (void)dcp::import_pickle(exported->bytes.bytes());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MetadataFile other = test::opened(test::rich_model());
  const Buffer bytes = fuzz::sealed(std::as_bytes(std::span(data, size)));
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  if (!file) return 0;
  const MetadataView view = file->view();
  const bool sound = verify(*file).sound();

  const auto itself = diff(view, view);
  fuzz::require(!sound || (itself && itself->same()), "a sound file is like itself");
  (void)diff(view, other.view());
  (void)diff(other.view(), view);

  const EditOptions drop{.opaque = OpaqueRecords::Drop};
  check(edit(
            view.columns(), [](std::string_view fqn) { return std::string(fqn.rbegin(), fqn.rend()); }, drop),
        sound);
  const Fragment fragments[] = {{&view.columns(), 0, "it"}, {&other.view().columns(), 1, "the other"}};
  for (const std::size_t count : {1U, 2U}) {
    auto merged = merge(std::span(fragments).first(count), {.complete = false});
    check(merged ? Result<Buffer>(std::move(merged->bytes)) : tl::unexpected(merged.error()), sound);
  }
  for (const auto foreign : {dcp::ForeignNames::Keep, dcp::ForeignNames::Drop}) check_export(view, foreign);
  return 0;
}
