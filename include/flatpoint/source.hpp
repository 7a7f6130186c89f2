// flatpoint/source.hpp - does a flatpoint file say what the `.metadata`, or the safetensors files, beside it say?
// Target flatpoint::dcp.
//
// A flatpoint file records length, time and digest of what it was imported from. This is the one place that compares
// such a record with its source; `open_checkpoint`, the tool and the Python package ask here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "flatpoint/buffer.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint::dcp {

enum class SourceMatch {
  NoRecord,   // the file was not imported
  Same,       // length and time, or a store's mark, are the recorded ones
  SameBytes,  // they are not, or prove nothing; the digest of all bytes is the recorded one
  Stale,      // another pickle
};

struct SourceCheck {
  SourceMatch match = SourceMatch::NoRecord;
  std::string difference;  // Stale: for people, "it has 3 bytes, the source record says 4"

  /// Whether the flatpoint file says what the pickle says.
  [[nodiscard]] bool is_source() const noexcept {
    return match == SourceMatch::Same || match == SourceMatch::SameBytes;
  }
};

/// What is known of a pickle before it is read. Times are nanoseconds since 1970; 0: unknown. An empty etag is none.
struct PickleFacts {
  std::uint64_t length = 0;
  std::int64_t modified_ns = 0;
  std::string_view etag = {};
};

/// The rule. Another length is another pickle. Equal times are the same one, unless the record says that the time was
/// too recent to tell (the pickle could change once more and keep it); so are equal etags. Else the digest decides:
/// `digest` gives the XXH3-64 of all bytes, and is called only then. Errors: those of `digest`.
[[nodiscard]] Result<SourceCheck> match_source(const SourceRecord& record, const PickleFacts& pickle,
                                               const std::function<Result<std::uint64_t>()>& digest);

/// XXH3-64, as a source record holds it.
[[nodiscard]] std::uint64_t content_digest(std::span<const std::byte> content) noexcept;

enum class TrustTime : bool {
  No,   // always read the pickle and compare the digest
  Yes,  // as the rule has it
};

/// The rule for what lies on a disk: a `.metadata`; or, where the record is of safetensors files, a folder, an index or
/// a file of them. Errors: NotFound, Io.
[[nodiscard]] Result<SourceCheck> check_source(const MetadataView& metadata, const std::filesystem::path& source,
                                               TrustTime trust_time = TrustTime::Yes);

/// The same file with a record of another pickle as its source: one that was exported from it. All of the pickle is
/// imported and compared. Errors: Conflict where it says something else, as one for an older PyTorch does; those of
/// `import_file`.
[[nodiscard]] Result<Buffer> record_source(const MetadataView& metadata, const std::filesystem::path& pickle);

/// What a flatpoint file stands beside: its own path without ".flatpoint", where that leaves a name of DCP's
/// (`.metadata`, `__R.metadata`); elsewhere the name that its facts ask for, in its folder. Of a file imported from
/// safetensors: the file or index that its name leaves, else its folder, with a slash at its end. Need not exist.
[[nodiscard]] std::filesystem::path source_beside(const std::filesystem::path& flatpoint_path,
                                                  const MetadataView& metadata);

/// What a folder is read from. Empty: it is not there.
struct CheckpointFiles {
  std::filesystem::path pickle;
  std::filesystem::path flatpoint;    // beside it, or beside safetensors files
  std::filesystem::path safetensors;  // the folder, with a slash at its end, where it has no pickle
};

/// The files of a folder: those of `rank`, which saved alone; or the common ones; or, where there are none, those of
/// the only rank that saved alone; or those of safetensors. At least one of them is there. Errors: NotFound, Ambiguous
/// (several ranks), Io.
[[nodiscard]] Result<CheckpointFiles> find_files(const std::filesystem::path& folder,
                                                 std::optional<std::uint32_t> rank = {});

}  // namespace flatpoint::dcp
