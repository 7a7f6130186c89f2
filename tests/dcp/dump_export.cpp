// Exports what the importer made of each file named on standard input, into FILE.exported, and prints a line of JSON
// each: what was dropped, or the error; and whether importing the result gives the same file but for the source record.
// Arguments: [keep|drop] [classes] [TORCH_MINOR] [audit]; the last adds what the audit says of the file.
#include <cstring>
#include <fstream>
#include <iostream>

#include "describe.hpp"
#include "flatpoint/pickle_audit.hpp"
#include "support.hpp"

using namespace flatpoint;
using test::Json;

namespace {

/// The finished file without its source record, or "error: " and the message.
std::string without_source(std::span<const std::byte> pickle) {
  auto imported = dcp::import_draft(pickle, {}, dcp::Lane::Open);
  if (!imported) return "error: " + imported.error().message;
  imported->draft.source.reset();
  const auto bytes = write::finish(std::move(imported->draft));
  if (!bytes) return "error: " + bytes.error().message;
  return {reinterpret_cast<const char*>(bytes->bytes().data()), bytes->size()};
}

Json answer(const std::string& path, const dcp::ExportOptions& options, bool with_audit) {
  const std::string pickle = test::read_file(path);
  if (with_audit) {
    Json audited = answer(path, options, false);
    audited["clean"] = audit_pickle(test::bytes_of(pickle)).clean();
    return audited;
  }
  auto imported = dcp::import_pickle(test::bytes_of(pickle));
  if (!imported) return {{"error", imported.error().message}};
  const auto file = MetadataFile::from_bytes(imported->bytes.bytes());
  const auto exported = dcp::export_file(file->view(), path + ".exported", options);
  if (!exported) return {{"error", exported.error().message}, {"code", to_string(exported.error().code)}};
  const bool same = without_source(test::bytes_of(pickle)) == without_source(exported->bytes.bytes());
  return {{"dropped", exported->dropped}, {"same", same}};
}

}  // namespace

int main(int count, char** arguments) {
  dcp::ExportOptions options;
  bool with_audit = false;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "keep") == 0) {
      options.foreign_names = dcp::ForeignNames::Keep;
    } else if (std::strcmp(arguments[i], "drop") == 0) {
      options.foreign_names = dcp::ForeignNames::Drop;
    } else if (std::strcmp(arguments[i], "classes") == 0) {
      options.dcp_classes = true;
    } else if (std::strcmp(arguments[i], "audit") == 0) {
      with_audit = true;
    } else {
      options.torch_minor = static_cast<std::uint32_t>(std::stoul(arguments[i]));
    }
  }
  for (std::string path; std::getline(std::cin, path);) std::cout << answer(path, options, with_audit).dump() << "\n";
}
