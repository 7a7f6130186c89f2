// pickle/globals.hpp - the names that a pickle mentions, as names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/text_map.hpp"
#include "flatpoint/pickle_writer.hpp"

namespace flatpoint::pickle {

struct GlobalName {
  std::string module;
  std::string name;
  std::uint8_t meaning = 0;  // what Globals::Meaning said of it

  bool operator==(const ModuleAndName& other) const noexcept { return name == other.name && module == other.module; }
};

/// Protocols 0 to 2 spell names as Python 2 did; this is how Python 3 reads them.
ModuleAndName python_3_name(std::string_view module, std::string_view name) noexcept;

/// The distinct names of one pickle, numbered by first use.
class Globals {
 public:
  /// What a name means to whoever reads the values, as a number of theirs; 0: nothing. Asked once per name.
  using Meaning = std::uint8_t (*)(std::string_view module, std::string_view name);
  explicit Globals(Meaning meaning = nullptr) : meaning_(meaning) {}

  std::uint32_t intern(std::string_view module, std::string_view name);
  [[nodiscard]] std::size_t size() const { return names_.size(); }
  [[nodiscard]] const GlobalName& operator[](std::uint32_t number) const { return names_[number]; }

 private:
  Meaning meaning_;
  std::vector<GlobalName> names_;
  base::TextMap<std::string, std::uint32_t> numbers_;
};

}  // namespace flatpoint::pickle
