// show.hpp - the two halves of `flatpoint show`.
#pragma once

#include "checkpoint.hpp"
#include "table.hpp"

namespace flatpoint::tool {

/// Lines of a label and what it says, as the head of what `show` prints.
class Facts {
 public:
  void add(std::string_view label, std::string text) { facts_.emplace_back(label, std::move(text)); }
  /// The same where there is something to say.
  void add_if_known(std::string_view label, const std::optional<std::string_view>& text) {
    if (text) add(label, printable(*text));
  }
  void print(Output& out) const;

 private:
  std::vector<std::pair<std::string_view, std::string>> facts_;
};

/// "134,217,728 (128.0 MiB)", "96", "-".
std::string exact_bytes(std::optional<std::uint64_t> bytes);

/// Everything about the checkpoint as a whole. `all`: every file and opaque record, not only the first ones.
[[nodiscard]] Result<Exit> show_checkpoint(Context& context, const dcp::OpenedCheckpoint& opened, bool all);

/// Everything about one FQN.
[[nodiscard]] Result<Exit> show_entry(Context& context, const dcp::OpenedCheckpoint& opened, std::string fqn);

}  // namespace flatpoint::tool
