// torch_checkpointing/values.hpp - values of a manifest's pickle, each of the type that it has to be.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "flatpoint/error.hpp"
#include "pickle/heap.hpp"

namespace flatpoint::torch_checkpointing {

using pickle::Heap;
using pickle::Tag;
using pickle::Value;

/// No value is taken for one of another type: a bool, a float or a text is no int. Errors: BadPickle, which says what
/// is expected; the caller adds the place.
class Values {
 public:
  explicit Values(const Heap& heap) noexcept : heap_(heap) {}

  using Items = std::vector<std::pair<Value, Value>>;
  [[nodiscard]] Result<Items> dict(Value value, std::string_view what) const;
  /// The values of a dict's keys, in the order of `keys`; Unset for one that is not there. Other keys go to `others`.
  /// Errors also where a key is there twice.
  [[nodiscard]] Result<std::vector<Value>> fields(Value value, std::string_view what,
                                                  std::initializer_list<std::string_view> keys,
                                                  std::vector<std::string_view>& others) const;
  /// A list or a tuple.
  [[nodiscard]] Result<std::vector<Value>> sequence(Value value, std::string_view what) const;
  [[nodiscard]] Result<std::string_view> text(Value value, std::string_view what) const;
  [[nodiscard]] Result<std::int64_t> integer(Value value, std::string_view what, std::int64_t least,
                                             std::int64_t most) const;
  [[nodiscard]] Result<std::vector<std::int64_t>> integers(Value value, std::string_view what, std::int64_t least,
                                                           std::int64_t most) const;

 private:
  const Heap& heap_;
};

/// "a dict", "a float", ...
std::string_view type_of(Value value) noexcept;

}  // namespace flatpoint::torch_checkpointing
