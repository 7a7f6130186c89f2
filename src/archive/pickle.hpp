// archive/pickle.hpp - the pickle of an archive, run by the machine that executes nothing.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "flatpoint/error.hpp"
#include "pickle/machine.hpp"

namespace flatpoint::archive {

using pickle::Block;
using pickle::BlockList;
using pickle::Container;
using pickle::Heap;
using pickle::Object;
using pickle::Tag;
using pickle::TextNode;
using pickle::Tuple;
using pickle::Value;

/// A pickle, what it was built from, and its value.
struct Unpickled {
  std::unique_ptr<std::string> text;  // texts point into it
  std::unique_ptr<Heap> heap;
  Value root;

  /// The object of a value; null for other values.
  [[nodiscard]] static const Object* object(Value value) noexcept {
    return value.is(Tag::Object) ? value.node<Object>() : nullptr;
  }
  /// "module name" of a Global; empty for other values.
  [[nodiscard]] std::string global(Value value) const;
  /// What an object calls, as `global`.
  [[nodiscard]] std::string callable(const Object& object) const { return global(object.callable); }
  /// The items of a tuple, or the arguments of an object; none for other values.
  [[nodiscard]] static std::span<const Value> arguments(Value value) noexcept {
    return value.is(Tag::Tuple) ? value.node<Tuple>()->values() : std::span<const Value>();
  }
};

/// Errors: BadItem, TooLarge.
[[nodiscard]] Result<Unpickled> unpickle(std::string pickle);

}  // namespace flatpoint::archive
