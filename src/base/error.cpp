#include "flatpoint/error.hpp"

#include <array>

#include "flatpoint/data_error.hpp"

namespace flatpoint {

namespace {

struct DataError {
  ErrorCode code;
  std::string_view name;
};

constexpr std::array kDataErrors{DataError{kNotPlain, "not_plain"},
                                 DataError{kBadItem, "bad_item"},
                                 DataError{kDtypeMismatch, "dtype_mismatch"},
                                 DataError{kSizeMismatch, "size_mismatch"},
                                 DataError{kChanged, "changed"},
                                 DataError{kHoles, "holes"},
                                 DataError{kChecksum, "checksum"},
                                 DataError{kUnknownTransform, "unknown_transform"},
                                 DataError{kOutside, "outside"}};

}  // namespace

std::string_view to_string(ErrorCode code) noexcept {
  for (const DataError& error : kDataErrors) {
    if (error.code == code) return error.name;
  }
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
  }
  return "unknown";
}

std::string to_string(const Error& error) {
  return error.rule.empty() ? error.message : error.message + " (rule " + error.rule + ")";
}

}  // namespace flatpoint
