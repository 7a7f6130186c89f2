// read/verifier.hpp - the rules V1 to V12 of docs/format.md, one method each.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>

#include "flatpoint/verify.hpp"
#include "read/view_access.hpp"

namespace flatpoint::read {

/// Collects what is broken, at most `max_messages` of a kind.
class ReportBuilder {
 public:
  ReportBuilder(VerifyReport& report, std::uint32_t max_messages) : report_(report), max_messages_(max_messages) {}

  template <class... Args>
  void broken(std::string_view rule, fmt::format_string<Args...> format, Args&&... args) {
    if (admit(rule)) report_.broken_rules.push_back({std::string(rule), fmt::format(format, std::forward<Args>(args)...)});
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

/// Checks columns whose frame and shape (rules F) hold already.
class Verifier {
 public:
  Verifier(const Columns& columns, ReportBuilder& report) : c_(columns), report_(report) {}
  void run();

 private:
  // verify_names.cpp
  void names();            // V1
  void slots();            // V2
  void orders();           // V3
  void texts();            // V7
  void planner();          // V10
  void opaque_records();   // V11
  // verify_chunks.cpp
  void rows();             // V4
  void tensor(const TensorView& tensor);          // V5, V6
  void explicit_boxes(const TensorView& tensor);  // V5
  void grid(const TensorView& tensor);            // V5
  void chunk_order(const TensorView& tensor);     // V6
  void storage_of_rows();  // V8
  void storage_order();    // V9
  void loose_storage();    // V12
  void findings_of(const TensorView& tensor);
  void enumerations(const EntryView& entry);

  void permutation(std::string_view rule, std::string_view what, std::span<const std::uint32_t> order, std::size_t size);

  const Columns& c_;
  ReportBuilder& report_;
};

}  // namespace flatpoint::read
