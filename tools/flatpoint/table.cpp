#include "table.hpp"

namespace flatpoint::tool {
namespace {

constexpr std::string_view kGap = "  ";

/// The text without its middle, so that it takes `width` columns at most.
std::string shortened(std::string_view text, std::size_t width) {
  constexpr std::string_view kCut = "…";
  std::string_view head = text;
  while (display_width(head) > width / 2) head.remove_suffix(1);
  std::string_view tail = text;
  while (!tail.empty() && display_width(tail) > width - display_width(head) - 1) tail.remove_prefix(1);
  const auto is_inside = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };  // of a code point
  while (!head.empty() && head.size() < text.size() && is_inside(text[head.size()])) head.remove_suffix(1);
  while (!tail.empty() && is_inside(tail.front())) tail.remove_prefix(1);
  return fmt::format("{}{}{}", head, kCut, tail);
}

void pad(std::string& line, std::size_t count) { line.append(count, ' '); }

}  // namespace

void TableShape::measure(const Cells& cells) {
  for (std::size_t i = 0; i < columns_.size(); ++i) widths_[i] = std::max(widths_[i], display_width(cells[i]));
}

void TableShape::fit(std::size_t width) {
  constexpr std::size_t kLeast = 12;
  std::size_t all = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (widths_[i] > 0) all += std::max(widths_[i], columns_[i].title.size()) + kGap.size();
  }
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].shrinks || all <= width + kGap.size()) continue;
    const std::size_t surplus = all - kGap.size() - width;
    widths_[i] = widths_[i] > surplus + kLeast ? widths_[i] - surplus : std::min(widths_[i], kLeast);
  }
}

template <class Cell>
void TableShape::print_line(Output& out, Cell&& cell) const {
  std::string line;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (widths_[i] == 0) continue;
    std::string_view text = cell(i);
    const std::size_t width = std::max(widths_[i], columns_[i].title.size());
    std::string cut;
    if (columns_[i].shrinks && display_width(text) > width) text = cut = shortened(text, width);
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
