// flatpoint/data_error.hpp - error codes of the bytes in data files, beside those of error.hpp.
#pragma once

#include "flatpoint/error.hpp"

namespace flatpoint {

// Values are stable, as those of ErrorCode, from 32 on. The message names FQN, file and byte offset of the item.
inline constexpr ErrorCode kNotPlain{32};          // no row-major tensor or plain value; the message says why
inline constexpr ErrorCode kBadItem{33};           // no archive of torch.save or header of safetensors, or one that contradicts itself
inline constexpr ErrorCode kDtypeMismatch{34};     // the item has another dtype than the metadata says
inline constexpr ErrorCode kSizeMismatch{35};      // the item has another size than the metadata says
inline constexpr ErrorCode kChanged{36};           // a data file is not as it was when it was first opened
inline constexpr ErrorCode kHoles{37};             // no chunk holds some of the elements that are to be read
inline constexpr ErrorCode kChecksum{38};          // bytes that do not have their checksum
inline constexpr ErrorCode kUnknownTransform{39};  // an item behind a transform that this version does not know
inline constexpr ErrorCode kOutside{40};           // the path of a data file leaves the checkpoint's folder

}  // namespace flatpoint
