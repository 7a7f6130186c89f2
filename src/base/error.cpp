#include "flatpoint/error.hpp"

namespace flatpoint {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::NotFound: return "not_found";
    case ErrorCode::Io: return "io";
    case ErrorCode::NotFlatpoint: return "not_flatpoint";
    case ErrorCode::Truncated: return "truncated";
    case ErrorCode::Version: return "version";
    case ErrorCode::Corrupt: return "corrupt";
    case ErrorCode::TooLarge: return "too_large";
    case ErrorCode::InvalidArgument: return "invalid_argument";
    case ErrorCode::Conflict: return "conflict";
    case ErrorCode::NotPickle: return "not_pickle";
    case ErrorCode::BadPickle: return "bad_pickle";
    case ErrorCode::Ambiguous: return "ambiguous";
    case ErrorCode::OpaqueRecords: return "opaque_records";
    case ErrorCode::Stale: return "stale";
    case ErrorCode::NotPlain: return "not_plain";
    case ErrorCode::BadItem: return "bad_item";
    case ErrorCode::DtypeMismatch: return "dtype_mismatch";
    case ErrorCode::SizeMismatch: return "size_mismatch";
    case ErrorCode::Changed: return "changed";
    case ErrorCode::Holes: return "holes";
    case ErrorCode::Checksum: return "checksum";
    case ErrorCode::UnknownTransform: return "unknown_transform";
    case ErrorCode::Outside: return "outside";
  }
  return "unknown";
}

std::string to_string(const Error& error) {
  return error.rule.empty() ? error.message : error.message + " (rule " + error.rule + ")";
}

}  // namespace flatpoint
