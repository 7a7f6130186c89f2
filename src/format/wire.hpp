// format/wire.hpp - proof that the rows of flatpoint/columns.hpp lie as the generated structs do.
#pragma once

#include <cstddef>

#include "flatpoint/columns.hpp"
#include "flatpoint/metadata_generated.h"

namespace flatpoint::format {

static_assert(sizeof(EntryRow) == sizeof(fb::Entry) && alignof(EntryRow) == alignof(fb::Entry));
static_assert(sizeof(TensorPropertiesRow) == sizeof(fb::TensorProperties));
static_assert(sizeof(IndexHintRow) == sizeof(fb::IndexHint) && alignof(IndexHintRow) == alignof(fb::IndexHint));
static_assert(sizeof(LooseStorageRow) == sizeof(fb::LooseStorage));
static_assert(sizeof(TransformListRow) == sizeof(fb::TransformList));
static_assert(sizeof(PathElementRow) == sizeof(fb::PathElement));
static_assert(sizeof(OpaqueRecordRow) == sizeof(fb::OpaqueRecord));
static_assert(static_cast<int>(ScalarType::Bcomplex32) == static_cast<int>(fb::ScalarType::Bcomplex32));
static_assert(static_cast<int>(Layout::Jagged) == static_cast<int>(fb::Layout::Jagged));
static_assert(static_cast<int>(ChunkLayout::EvenGrid) == static_cast<int>(fb::ChunkLayout::EvenGrid));
static_assert(static_cast<int>(StridesKind::Explicit) == static_cast<int>(fb::StridesKind::Explicit));
static_assert(static_cast<int>(StorageType::Opaque) == static_cast<int>(fb::StorageType::Opaque));
static_assert(static_cast<int>(PathType::PureWindowsPath) == static_cast<int>(fb::PathType::PureWindowsPath));
static_assert(static_cast<int>(OpaqueKind::Version) == static_cast<int>(fb::OpaqueKind::Version));

}  // namespace flatpoint::format
