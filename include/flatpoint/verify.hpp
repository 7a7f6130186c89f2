// flatpoint/verify.hpp - check everything that a metadata file promises.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flatpoint/finding.hpp"
#include "flatpoint/metadata_file.hpp"

namespace flatpoint {

/// One rule of docs/format.md that a file breaks: "F4", "E2", "V7", ...
struct BrokenRule {
  std::string rule;
  std::string message;  // what, where
};

struct VerifyReport {
  std::vector<BrokenRule> broken_rules;  // at most VerifyOptions::max_messages of each rule
  std::vector<Finding> findings;         // likewise of each kind
  std::uint64_t suppressed = 0;          // messages beyond those maxima
  [[nodiscard]] bool sound() const noexcept { return broken_rules.empty(); }
};

struct VerifyOptions {
  std::uint32_t max_messages = 10;  // per rule and per kind of finding; a hostile file could break one a million times
};

/// Checks every rule on every row, in time linear in the file's size (times a tensor's dimensions). Never fails: a
/// broken file is a report. REQUIRES: nobody writes the file meanwhile (OpenMode::Copy where others write in place).
VerifyReport verify(const MetadataFile& file, const VerifyOptions& options = {});

/// The same for bytes that may not even open: what `open` refuses becomes a broken rule. Errors: only NotFlatpoint, for
/// bytes that are not recognised as a flatpoint file at all.
[[nodiscard]] Result<VerifyReport> verify_bytes(std::span<const std::byte> bytes, const VerifyOptions& options = {});

}  // namespace flatpoint
