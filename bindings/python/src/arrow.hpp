// Columns in memory, and how they go to whoever reads Arrow's C stream: pandas, polars, pyarrow, duckdb.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The C interface of Arrow, as its specification has it: it is an ABI, not a library.
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
extern "C" {
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  std::int64_t flags;
  std::int64_t n_children;
  ArrowSchema** children;
  ArrowSchema* dictionary;
  void (*release)(ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  std::int64_t length;
  std::int64_t null_count;
  std::int64_t offset;
  std::int64_t n_buffers;
  std::int64_t n_children;
  const void** buffers;
  ArrowArray** children;
  ArrowArray* dictionary;
  void (*release)(ArrowArray*);
  void* private_data;
};
}
#endif
#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE
extern "C" {
struct ArrowArrayStream {
  int (*get_schema)(ArrowArrayStream*, ArrowSchema* out);
  int (*get_next)(ArrowArrayStream*, ArrowArray* out);
  const char* (*get_last_error)(ArrowArrayStream*);
  void (*release)(ArrowArrayStream*);
  void* private_data;
};
}
#endif

namespace flatpoint::python {

/// One column. Which of the vectors are used follows from the type.
class ArrowColumn {
 public:
  enum class Type { Number, Text, Lists, Coded };

  ArrowColumn(std::string name, Type type) : name_(std::move(name)), type_(type) {
    if (type == Type::Text || type == Type::Lists) ends_.push_back(0);
  }
  /// REQUIRES: that type. Texts are UTF-8.
  void add_number(std::uint64_t number) { numbers_.push_back(number), add_valid(); }
  void add_text(std::string_view text) {
    text_ += text, ends_.push_back(static_cast<std::int64_t>(text_.size())), add_valid();
  }
  void add_code(std::int32_t code) { codes_.push_back(code), add_valid(); }
  /// One element of the list that `end_list` ends.
  void add_value(std::int64_t value) { values_.push_back(value); }
  void end_list() { ends_.push_back(static_cast<std::int64_t>(values_.size())), add_valid(); }
  void add_null();
  void set_dictionary(std::shared_ptr<const ArrowColumn> texts) { dictionary_ = std::move(texts); }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] Type type() const noexcept { return type_; }
  [[nodiscard]] std::int64_t size() const noexcept { return size_; }
  [[nodiscard]] std::int64_t nulls() const noexcept { return nulls_; }
  [[nodiscard]] const std::vector<std::uint64_t>& numbers() const noexcept { return numbers_; }
  [[nodiscard]] const std::vector<std::int32_t>& codes() const noexcept { return codes_; }
  [[nodiscard]] const std::vector<std::int64_t>& values() const noexcept { return values_; }
  [[nodiscard]] const std::vector<std::int64_t>& ends() const noexcept {
    return ends_;
  }  // one more than rows, from 0 on
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] const std::vector<std::uint8_t>& valid() const noexcept { return valid_; }  // a bit per row
  [[nodiscard]] const std::shared_ptr<const ArrowColumn>& dictionary() const noexcept { return dictionary_; }

 private:
  void add_valid() { add_bit(true); }
  void add_bit(bool valid);

  std::string name_;
  Type type_;
  std::int64_t size_ = 0;
  std::int64_t nulls_ = 0;
  std::vector<std::uint64_t> numbers_;
  std::vector<std::int32_t> codes_;
  std::vector<std::int64_t> values_;
  std::vector<std::int64_t> ends_;
  std::string text_;
  std::vector<std::uint8_t> valid_;
  std::shared_ptr<const ArrowColumn> dictionary_;  // of codes
};

/// Columns of as many rows each.
using ArrowTable = std::vector<std::shared_ptr<const ArrowColumn>>;

/// A stream of one batch, which holds the columns for as long as anybody reads them.
void export_stream(const ArrowTable& table, ArrowArrayStream& out);
void export_schema(const ArrowTable& table, ArrowSchema& out);

}  // namespace flatpoint::python
