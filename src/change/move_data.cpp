#include <cstddef>
#include <string>
#include <vector>

#include "flatpoint/edit.hpp"
#include "format/encode.hpp"
#include "read/view_access.hpp"

namespace flatpoint {

Result<Buffer> move_data(const Columns& columns, std::string_view folder) {
  Columns moved = columns;
  std::string names;
  std::vector<std::uint32_t> ends;
  for (std::uint32_t i = 0; i < columns.file_names.ends.size(); ++i) {
    const auto name = text_at(columns.file_names, i);
    if (!name) return fail(ErrorCode::Corrupt, "a file name breaks a rule; `flatpoint verify` names it");
    if (!name->starts_with('/')) names.append(folder).append(folder.ends_with('/') || folder.empty() ? "" : "/");
    names.append(*name);
    if (names.size() > UINT32_MAX) return fail(ErrorCode::TooLarge, "the file names pass 4 GiB");
    ends.push_back(static_cast<std::uint32_t>(names.size()));
  }
  moved.file_names = {{reinterpret_cast<const std::uint8_t*>(names.data()), names.size()}, ends};
  return format::encode(moved);
}

}  // namespace flatpoint
