// columns/stored_rows.hpp - where rows lie in data files: the columns with one value per row, owned. `StoredColumns`
// of flatpoint/columns.hpp borrows them.
//
// A further column is a member of StoredRow, StoredRows and StoredColumns and a line of each_column; all code that
// collects, orders and joins rows follows from that.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/large_vector.hpp"
#include "flatpoint/columns.hpp"

namespace flatpoint::columns {

/// What one row says. A row that says nothing is StoredRow{}.
struct StoredRow {
  std::uint32_t file = kNoFile;
  std::uint64_t byte_offset = 0;
  std::uint64_t length = 0;
  std::uint16_t transforms = 0;  // 0: None, else list number + 1
  std::uint32_t data_begin = kNoDataBegin;
  std::uint64_t checksum = kNoChecksum;

  [[nodiscard]] bool is_stored() const noexcept { return file != kNoFile; }
};

/// Calls visit(member of StoredRow, column of each of `rows` ...) for every column but that of the files, which all
/// rows have.
template <class Visit, class... Rows>
constexpr void each_column(Visit&& visit, Rows&&... rows) {
  visit(&StoredRow::byte_offset, rows.byte_offsets...);
  visit(&StoredRow::length, rows.lengths...);
  visit(&StoredRow::transforms, rows.transforms...);
  visit(&StoredRow::data_begin, rows.data_begins...);
  visit(&StoredRow::checksum, rows.checksums...);
}

/// Value i of a column that has one per row, one for all, or none: `nothing`.
template <class T>
constexpr T value_or(std::span<const T> column, std::size_t i, T nothing) noexcept {
  return column.empty() ? nothing : column.size() == 1 ? column[0] : column[i];
}

/// Appends `count` values of such a column.
template <class T>
void append_values(base::LargeVector<T>& to, std::span<const T> values, std::size_t count, T nothing) {
  const std::size_t before = to.size();
  if (values.size() == count) {
    to.resize(before + count);
    if (count > 0) std::memcpy(to.data() + before, values.data(), values.size_bytes());
  } else {
    to.resize(before + count, values.empty() ? nothing : values[0]);
  }
}

/// Row i. REQUIRES: a file per row, i < rows.files.size().
inline StoredRow row_at(const StoredColumns& rows, std::size_t i) noexcept {
  StoredRow row{.file = rows.files[i]};
  each_column([&](auto member, const auto& column) { row.*member = value_or(column, i, StoredRow{}.*member); }, rows);
  return row;
}

/// Rows with memory of their own. `files` has a value per row; another column has one per row too, or none while no row
/// has said anything there. Whoever fills a column by itself keeps to that.
struct StoredRows {
  base::LargeVector<std::uint32_t> files;
  base::LargeVector<std::uint64_t> byte_offsets;
  base::LargeVector<std::uint64_t> lengths;
  base::LargeVector<std::uint16_t> transforms;
  base::LargeVector<std::uint32_t> data_begins;
  base::LargeVector<std::uint64_t> checksums;

  [[nodiscard]] std::size_t size() const noexcept { return files.size(); }
  [[nodiscard]] StoredRow operator[](std::size_t i) const noexcept { return row_at(*this, i); }
  operator StoredColumns() const noexcept { return part(0, size()); }

  /// Rows [begin, begin + count).
  [[nodiscard]] StoredColumns part(std::size_t begin, std::size_t count) const noexcept {
    StoredColumns rows{.files = std::span(files).subspan(begin, count)};
    each_column(
        [&](auto, const auto& column, auto& span) {
          if (!column.empty()) span = std::span(column).subspan(begin, count);
        },
        *this, rows);
    return rows;
  }

  void clear() noexcept {
    files.clear();
    each_column([](auto, auto& column) { column.clear(); }, *this);
  }

  void reserve(std::size_t rows) {
    files.reserve(rows);
    each_column([&](auto, auto& column) { column.reserve(rows); }, *this);
  }

  /// New rows say nothing.
  void resize(std::size_t rows) {
    files.resize(rows, kNoFile);
    each_column(
        [&](auto member, auto& column) {
          if (!column.empty()) column.resize(rows, StoredRow{}.*member);
        },
        *this);
  }

  void set(std::size_t i, const StoredRow& row) {
    files[i] = row.file;
    each_column(
        [&](auto member, auto& column) {
          const auto nothing = StoredRow{}.*member;
          if (column.empty() && row.*member == nothing) return;
          if (column.empty()) column.resize(size(), nothing);
          column[i] = row.*member;
        },
        *this);
  }

  void push_back(const StoredRow& row) {
    resize(size() + 1);
    set(size() - 1, row);
  }

  /// `count` rows. A column of theirs, that of the files too, has a value per row, one for all, or none.
  void append(const StoredColumns& rows, std::size_t count) {
    const std::size_t before = size();
    append_values(files, rows.files, count, kNoFile);
    each_column(
        [&](auto member, auto& column, const auto& values) {
          const auto nothing = StoredRow{}.*member;
          const auto says_nothing = [&](auto value) { return value == nothing; };
          if (column.empty() && std::all_of(values.begin(), values.end(), says_nothing)) return;
          column.resize(before, nothing);
          append_values(column, values, count, nothing);
        },
        *this, rows);
  }

  /// Becomes rows order[0], order[1], ... of others, which must not be its own.
  void assign(const StoredColumns& rows, std::span<const std::uint32_t> order) {
    files.resize(order.size());
    std::transform(order.begin(), order.end(), files.begin(), [&](std::uint32_t row) { return rows.files[row]; });
    each_column(
        [&](auto, auto& column, const auto& values) {
          if (values.size() < 2)
            return column.assign(values.empty() ? 0 : order.size(), values.empty() ? 0 : values[0]);
          column.resize(order.size());
          std::transform(order.begin(), order.end(), column.begin(), [&](std::uint32_t row) { return values[row]; });
        },
        *this, rows);
  }

  /// A row without a file says nothing else.
  void forget_unstored() noexcept {
    for (std::size_t i = 0; i < size(); ++i) {
      if (files[i] == kNoFile) set(i, StoredRow{});
    }
  }
};

}  // namespace flatpoint::columns
