#include "dcp/exporter.hpp"

namespace flatpoint::dcp {

Result<Exported> export_pickle(const MetadataView& metadata, const ExportOptions& options) {
  return Exporter(metadata, options).run();
}

Result<Exported> export_file(const MetadataView& metadata, const std::filesystem::path& path,
                             const ExportOptions& options, IfExists if_exists) {
  auto exported = export_pickle(metadata, options);
  if (!exported) return exported;
  if (auto done = write_file(path, exported->bytes.bytes(), if_exists); !done)
    return tl::unexpected(std::move(done.error()));
  return exported;
}

}  // namespace flatpoint::dcp
