// read/verifier.hpp - the rules V1 to V13 of docs/format.md, one method each.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/format.hpp"
#include "flatpoint/verify.hpp"
#include "read/view_access.hpp"

namespace flatpoint::read {

/// A name as a message shows it: control characters escaped, cut where it is long. A hostile file may hold names of a
/// gigabyte, and one name for all its rows.
std::string shown(std::string_view name);

/// Collects what is broken, at most `max_messages` of a kind.
class ReportBuilder {
 public:
  ReportBuilder(VerifyReport& report, std::uint32_t max_messages) : report_(report), max_messages_(max_messages) {}

  template <class... Args>
  void broken(std::string_view rule, fmt::format_string<Args...> format, Args&&... args) {
    if (admit(rule))
      report_.broken_rules.push_back({std::string(rule), fmt::format(format, std::forward<Args>(args)...)});
  }
  template <class... Args>
  void finding(std::string_view kind, fmt::format_string<Args...> format, Args&&... args) {
    if (admit(kind)) report_.findings.push_back({std::string(kind), fmt::format(format, std::forward<Args>(args)...)});
  }

 private:
  bool admit(std::string_view kind) {
    const auto at = counts_.try_emplace(std::string(kind), 0U).first;
    if (at->second++ < max_messages_) return true;
    ++report_.suppressed;
    return false;
  }

  VerifyReport& report_;
  std::uint32_t max_messages_;
  std::map<std::string, std::uint32_t, std::less<>> counts_;
};

/// Checks columns whose frame and shape (rules F) hold already. Time and memory are linear in the file's size, also
/// where a hostile file lets a million rows share one range: what breaks V1 or V4 is not looked at further.
class Verifier {
 public:
  Verifier(const Columns& columns, ReportBuilder& report) : c_(columns), report_(report) {}
  void run();

 private:
  // verify_names.cpp
  void names();                                        // E1, V1
  void slots();                                        // V2
  void orders();                                       // V3
  void texts();                                        // V7
  void planner();                                      // V10
  void path(std::size_t entry, std::uint16_t number);  // V10
  void opaque_records();                               // V11
  void shards();
  // verify_chunks.cpp
  void rows();                                    // E4, V4
  void entry(const EntryView& entry);             // E2 to E5, V4
  void tensor(const TensorView& tensor);          // E5, V5, V6
  void explicit_boxes(const TensorView& tensor);  // V5
  void grid(const TensorView& tensor);            // V5
  [[nodiscard]] bool has_empty_cells(const TensorView& tensor) const;
  void findings_of(const TensorView& tensor);
  void enumerations(const EntryView& entry);
  // verify_data.cpp
  void data_of(const TensorView& tensor);  // E7
  void data_columns();                     // V13
  // verify_storage.cpp
  void storage_of(const EntryView& entry);  // E6, V8
  /// The length that a row states; unset where it has no storage information, or a broken one.
  std::optional<std::uint64_t> storage_of_row(std::uint64_t row, std::uint64_t length_at);
  void empty_storage(const EntryView& entry, std::uint32_t row);
  void byte_ranges();
  [[nodiscard]] std::string owner_of(std::uint32_t row) const;
  /// A row of a tensor starts where the row before it does: they have one key in storage_data, so one storage
  /// information.
  void equal_keys(const TensorView& tensor, std::uint32_t row);  // V8
  void storage_of_loose();                                       // E2, E6, V8, V12
  void storage_order();                                          // V9
  void index_hints();                                            // V9

  /// `range_rule` is broken by a value that names nothing, `rule` by one that is there twice.
  void permutation(std::string_view range_rule, std::string_view rule, std::string_view what,
                   std::span<const std::uint32_t> order, std::size_t size);

  /// What a row says of a file, where that is not nothing.
  struct ByteRange {
    std::uint32_t file;
    std::uint64_t begin, end;
    std::uint32_t row;
  };

  const Columns& c_;
  ReportBuilder& report_;
  bool names_apart_ = true;  // names lie inside `fqns` and do not overlap: together they are not longer than that
  bool keys_known_ = true;   // every row was looked at
  std::vector<ByteRange> ranges_;
  std::vector<bool> repeats_key_;  // per row: starts where the row before it starts, in one tensor
};

}  // namespace flatpoint::read
