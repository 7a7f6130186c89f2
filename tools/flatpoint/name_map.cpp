#include "name_map.hpp"

#include <fstream>
#include <string_view>

#include "base/format.hpp"
#include "text.hpp"

namespace flatpoint::tool {

Result<NameMap> read_name_map(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::NotFound, fmt::format("{}: cannot be read", path));
  return read_name_map(file, path);
}

Result<NameMap> read_name_map(std::istream& file, const std::string& path) {
  NameMap map;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    const auto refuse = [&](const char* why) {
      return fail(ErrorCode::InvalidArgument, fmt::format("{}:{}: {}", path, number, why));
    };
    if (line.ends_with('\r')) line.pop_back();
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos || line.find('\t', tab + 1) != std::string::npos)
      return refuse("expected OLD, a tab, NEW");
    const auto from = unescaped(std::string_view(line).substr(0, tab));
    const auto to = unescaped(std::string_view(line).substr(tab + 1));
    if (!from || !to) return refuse("a backslash that begins no escape");
    if (!map.emplace(*from, *to).second) return refuse("this FQN stands in an earlier line already");
  }
  if (file.bad()) return fail(ErrorCode::Io, fmt::format("{}: cannot be read", path));
  return map;
}

}  // namespace flatpoint::tool
