// Any text as the file of `flatpoint rename --map`, as a name to print, and as a pattern over names.
#include <sstream>

#include "fuzz/require.hpp"
#include "glob.hpp"
#include "name_map.hpp"
#include "text.hpp"

using namespace flatpoint;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  fuzz::require(tool::unescaped(tool::printable(text)) == text, "what is printed is read back");
  (void)tool::display_width(tool::printable(text, tool::Backslash::Keep));

  std::istringstream lines(text);
  if (const auto map = tool::read_name_map(lines, "names.tsv")) {
    for (const auto& [from, to] : *map) {
      fuzz::require(tool::unescaped(tool::printable(to)) == to, "a new name is read back");
      (void)tool::glob_matches(from, to);
    }
  }
  const std::size_t cut = std::min(text.find('\n'), size);
  const std::string_view pattern = std::string_view(text).substr(0, cut);
  const std::string_view name = std::string_view(text).substr(cut);
  if (tool::glob_matches(pattern, name)) {
    fuzz::require(name.starts_with(tool::literal_prefix(pattern)),
                  "what matches begins with the pattern's literal part");
  }
  return 0;
}
