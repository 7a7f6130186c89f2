// table.hpp - rows in aligned columns.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "output.hpp"
#include "text.hpp"

namespace flatpoint::tool {

enum class Align { Left, Right };

struct Column {
  std::string_view title;
  Align align = Align::Left;
  bool shrinks = false;  // loses its middle where a line is wider than the terminal
};

/// The cells of one row, filled from left to right; what is not filled stays empty.
class Cells {
 public:
  void add(std::string_view text) {
    text_.append(text);
    ends_.push_back(text_.size());
  }
  void clear() {
    text_.clear();
    ends_.clear();
  }
  [[nodiscard]] std::string_view operator[](std::size_t i) const {
    if (i >= ends_.size()) return {};
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string text_;
  std::vector<std::size_t> ends_;
};

/// Widths of columns, and lines of that shape. A column without any cell is left out, and the titles where none has
/// one.
class TableShape {
 public:
  explicit TableShape(std::span<const Column> columns) : columns_(columns), widths_(columns.size(), 0) {}
  void measure(const Cells& cells);
  /// Shortens the column that shrinks, where all of them are wider than this.
  void fit(std::size_t width);
  void print_titles(Output& out) const;
  void print(Output& out, const Cells& cells) const;

 private:
  template <class Cell>
  void print_line(Output& out, Cell&& cell) const;

  std::span<const Column> columns_;
  std::vector<std::size_t> widths_;
};

/// Prints `rows` rows, each made by fill(row, cells): once to measure, once to print, so that a table of ten million
/// rows takes no memory.
template <class Fill>
void print_table(Output& out, std::span<const Column> columns, std::uint64_t rows, Fill&& fill) {
  TableShape shape(columns);
  Cells cells;
  for (std::uint64_t row = 0; row < rows; ++row) {
    cells.clear();
    fill(row, cells);
    shape.measure(cells);
  }
  if (const auto width = out.width()) shape.fit(*width);
  shape.print_titles(out);
  for (std::uint64_t row = 0; row < rows && !out.closed(); ++row) {
    cells.clear();
    fill(row, cells);
    shape.print(out, cells);
  }
}

}  // namespace flatpoint::tool
