#include "table.hpp"

namespace flatpoint::tool {
namespace {

constexpr std::string_view kGap = "  ";

void pad(std::string& line, std::size_t count) { line.append(count, ' '); }

}  // namespace

void TableShape::measure(const Cells& cells) {
  for (std::size_t i = 0; i < columns_.size(); ++i) widths_[i] = std::max(widths_[i], display_width(cells[i]));
}

template <class Cell>
void TableShape::print_line(Output& out, Cell&& cell) const {
  std::string line;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (widths_[i] == 0) continue;
    const std::string_view text = cell(i);
    const std::size_t width = std::max(widths_[i], columns_[i].title.size());
    const std::size_t missing = width - std::min(width, display_width(text));
    if (!line.empty()) line.append(kGap);
    if (columns_[i].align == Align::Right) pad(line, missing);
    line.append(text);
    if (columns_[i].align == Align::Left) pad(line, missing);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  line += '\n';
  out.write(line);
}

void TableShape::print_titles(Output& out) const {
  if (std::all_of(columns_.begin(), columns_.end(), [](const Column& column) { return column.title.empty(); })) return;
  print_line(out, [&](std::size_t i) { return columns_[i].title; });
}

void TableShape::print(Output& out, const Cells& cells) const {
  print_line(out, [&](std::size_t i) { return cells[i]; });
}

}  // namespace flatpoint::tool
