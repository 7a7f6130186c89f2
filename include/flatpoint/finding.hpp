// flatpoint/finding.hpp - something about a checkpoint that is legal in a file but that its owner may want to know.
#pragma once

#include <string>
#include <string_view>

namespace flatpoint {

struct Finding {
  std::string kind;  // stable, lower-case: one of finding_kind
  std::string message;
};

/// The kinds of findings, as `--json` output and Python show them.
namespace finding_kind {
/// A chunk has elements that its tensor does not have, or a negative number.
inline constexpr std::string_view kChunkOutside = "chunk_outside";
/// Two chunks hold the same elements.
inline constexpr std::string_view kChunkOverlap = "chunk_overlap";
/// No chunk holds some elements of a tensor.
inline constexpr std::string_view kChunkHole = "chunk_hole";
/// An empty chunk lies strictly inside another, which torch calls an overlap.
inline constexpr std::string_view kEmptyChunkInside = "empty_chunk_inside";
/// Coverage cannot look into an object of a foreign class.
inline constexpr std::string_view kNotJudged = "not_judged";
/// A merge has no chunk for some elements of a tensor.
inline constexpr std::string_view kHole = "hole";
/// Chunks with elements start at one offset.
inline constexpr std::string_view kDuplicateChunk = "duplicate_chunk";
/// An empty chunk starts where another does: storage_data has one key for both.
inline constexpr std::string_view kEmptyChunkInPlace = "empty_chunk_in_place";
/// A tensor has a negative size.
inline constexpr std::string_view kNegativeSize = "negative_size";
/// Chunks have no storage information.
inline constexpr std::string_view kNoStorage = "no_storage";
/// A chunk has elements, but a length of 0.
inline constexpr std::string_view kEmptyStorage = "empty_storage";
/// Storage information names no chunk.
inline constexpr std::string_view kLooseStorage = "loose_storage";
/// Bytes end beyond 64 bits.
inline constexpr std::string_view kByteRange = "byte_range";
/// Two items claim bytes of a file, and not the same range.
inline constexpr std::string_view kOverlappingBytes = "overlapping_bytes";
/// Two items are one range of a file, as tied weights may be.
inline constexpr std::string_view kSharedBytes = "shared_bytes";
/// A data file's path leads out of the checkpoint's folder.
inline constexpr std::string_view kPathOutside = "path_outside";
/// A data file's path is empty, a URL, or holds a backslash.
inline constexpr std::string_view kOddPath = "odd_path";
/// Of a series PREFIX/shard_I_N a member is not there.
inline constexpr std::string_view kMissingShard = "missing_shard";
/// An enumeration has a value that this version does not know.
inline constexpr std::string_view kUnknownValue = "unknown_value";
/// A pickle is kept as it is, and never executed.
inline constexpr std::string_view kOpaqueRecord = "opaque_record";
/// A `.metadata` has a tensor whose chunks have another number of dimensions.
inline constexpr std::string_view kChunkDimensions = "chunk_dimensions";
/// A `.metadata` has values of another type than DCP's whose meaning is certain.
inline constexpr std::string_view kOtherTypes = "other_types";
/// Bytes follow the end of a `.metadata`'s pickle.
inline constexpr std::string_view kBytesAfterStop = "bytes_after_stop";
/// Unpickling a `.metadata` runs more than DCP's own classes.
inline constexpr std::string_view kForeignCode = "foreign_code";

// Of data files (data.hpp). What is broken there bears the name of an error's code as well: "not_found", "truncated".
/// A file with an ending of data files, in which no item lies.
inline constexpr std::string_view kUnnamedFile = "unnamed_file";
/// An item begins inside another of its file.
inline constexpr std::string_view kItemOverlap = "overlap";
}  // namespace finding_kind

}  // namespace flatpoint
