// flatpoint/edit.hpp - change what a metadata file names, without touching tensor data.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "flatpoint/buffer.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint {

/// What to do about opaque records, which an edit cannot look into: they may name what the edit changes.
enum class OpaqueRecords {
  Refuse,  // an error while there are any
  Drop,    // leave them out, with the entries that consist of them
};

struct EditOptions {
  OpaqueRecords opaque = OpaqueRecords::Refuse;
};

/// What an edit says of an FQN, of an entry or of loose storage: its name afterwards, or nothing to drop it. Must say
/// the same each time it is asked.
using NameEdit = std::function<std::optional<std::string>(std::string_view fqn)>;

/// A new file with other names, and without what is dropped. Everything else stays as it is: DCP's orders, the place of
/// each chunk, the source record. In a planner path the key in which a name changed takes the change up; where more
/// than one key changed, the path becomes the name as one key. Errors: Conflict (two FQNs would have one name),
/// OpaqueRecords, Corrupt, TooLarge.
[[nodiscard]] Result<Buffer> edit(const Columns& columns, const NameEdit& name_of, const EditOptions& options = {});

/// A new file whose data files lie below `folder`: it is put before every relative path that is not absolute. Nothing
/// else changes. Errors: TooLarge.
[[nodiscard]] Result<Buffer> move_data(const Columns& columns, std::string_view folder);

}  // namespace flatpoint
