#include "flatpoint/verify.hpp"

#include "base/hash.hpp"
#include "format/constants.hpp"
#include "format/decode.hpp"
#include "format/trailer.hpp"
#include "read/verifier.hpp"

namespace flatpoint {

std::string read::shown(std::string_view name) {
  constexpr std::size_t kLongest = 200;
  std::string text;
  for (const char c : name.substr(0, kLongest)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  if (name.size() > kLongest) text += fmt::format("... ({} bytes)", name.size());
  return text;
}

namespace {

void check_digest(std::span<const std::byte> file, read::ReportBuilder& report) {
  bool magic_ok = false;
  const format::Trailer trailer = format::read_trailer(file, magic_ok);
  const std::uint64_t actual = base::digest(file.first(file.size() - format::kTrailerSize));
  if (trailer.digest != actual) {
    report.broken("F9", "the digest of the file is {:016x}, its trailer says {:016x}", actual, trailer.digest);
  }
}

}  // namespace

void read::Verifier::run() {
  names();
  shards();
  slots();
  orders();
  texts();
  rows();
  data_columns();
  storage_of_loose();
  byte_ranges();
  storage_order();
  index_hints();
  planner();
  opaque_records();
}

VerifyReport verify(const MetadataFile& file, const VerifyOptions& options) {
  VerifyReport report;
  read::ReportBuilder builder(report, options.max_messages);
  check_digest(file.bytes(), builder);
  read::Verifier(file.view().columns(), builder).run();
  return report;
}

Result<VerifyReport> verify_bytes(std::span<const std::byte> bytes, const VerifyOptions& options) {
  const auto file = MetadataFile::from_bytes(bytes);
  if (file) return verify(*file, options);
  if (file.error().code == ErrorCode::NotFlatpoint) return tl::unexpected(file.error());
  VerifyReport report;
  report.broken_rules.push_back({file.error().rule, file.error().message});
  return report;
}

}  // namespace flatpoint
