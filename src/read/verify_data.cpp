// Rules about where the elements of chunks lie: E7, V13.
#include "read/verifier.hpp"

namespace flatpoint::read {

void Verifier::data_of(const TensorView& view) {
  if (c_.chunk_data_begins.empty()) return;
  for (std::uint32_t row = 0; row < view.chunk_count(); ++row) {
    const ChunkView chunk = *view.chunk_by_row(row);
    if (chunk.storage().corrupt() || !chunk.data().corrupt()) continue;  // E6
    report_.broken("E7", "FQN '{}': the data of row {} are transformed, or do not lie inside their range or file",
                   shown(view.fqn()), chunk.row());
  }
}

void Verifier::data_columns() {
  if ((c_.checksum_kind == ChecksumKind::Absent) != c_.chunk_checksums.empty())
    report_.broken("V13", "checksum_kind is there without chunk_checksums, or they without it");
  if (c_.checksum_kind > ChecksumKind::Crc32) {
    report_.finding(finding_kind::kUnknownValue, "checksum_kind {} is not known", static_cast<int>(c_.checksum_kind));
  }
  for (std::size_t row = 0; c_.checksum_kind == ChecksumKind::Crc32 && row < c_.chunk_checksums.size(); ++row) {
    if (c_.chunk_checksums[row] > 0xFFFFFFFF && c_.chunk_checksums[row] != kNoChecksum)
      report_.broken("V13", "row {}: its CRC-32 has more than 32 bits", row);
  }
  for (std::size_t file = 0; file < c_.file_formats.size(); ++file) {
    if (to_string(c_.file_formats[file]).empty()) {
      report_.finding(finding_kind::kUnknownValue, "format {} of data file {} is not known",
                      static_cast<int>(c_.file_formats[file]), file);
    }
  }
}

}  // namespace flatpoint::read
