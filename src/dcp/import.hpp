// dcp/import.hpp - the importer up to the draft, for the public calls and for tests.
#pragma once

#include <memory>
#include <vector>

#include "dcp/heap.hpp"
#include "flatpoint/dcp.hpp"
#include "write/draft.hpp"

namespace flatpoint::dcp {

/// A draft, the memory that it borrows from beside the pickle, and what was odd.
struct ImportedDraft {
  std::unique_ptr<Heap> heap;
  write::Draft draft;
  std::vector<Finding> findings;
};

/// With the fast lane closed every instruction is executed one by one; the result is the same.
enum class Lane : bool { Closed, Open };

[[nodiscard]] Result<ImportedDraft> import_draft(std::span<const std::byte> pickle, const ImportOptions& options,
                                                 Lane lane);

}  // namespace flatpoint::dcp
