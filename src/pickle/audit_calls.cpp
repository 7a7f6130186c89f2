// pickle/audit_calls.cpp - names, calls, states, and what may become a part of what.
#include <algorithm>

#include "pickle/audit_walk.hpp"

namespace flatpoint::audit {
namespace {

/// A key that is heavier takes Python long to hash, each time anew.
constexpr std::uint64_t kMaxKeyWeight = 1024;
/// Texts that calls copy; beyond, a short pickle makes much of little by calling again and again with one text.
constexpr std::uint64_t kFreeCopies = std::uint64_t{1} << 20;

constexpr bool is_text(Seen value) noexcept { return value.is(Kind::Text) || value.is(Kind::LongText); }

}  // namespace

Walk::Step Walk::global_line() {
  std::string_view module;
  std::string_view name;
  if (!take_line(module) || !take_line(name)) return truncated();
  return push(this->name(module, name));
}

Walk::Step Walk::stack_global() {
  if (!has(2)) return underflow();
  const Seen name = pop();
  const Seen module = pop();
  if (name.is(Kind::Text) && module.is(Kind::Text)) return push(this->name(text(module), text(name)));
  report({}, "a name is not written out");
  return push(Seen(Kind::Refused));
}

Seen Walk::name(std::string_view module, std::string_view name) {
  std::string key(module);
  key.append(1, '\n').append(name);
  const auto [at, is_new] = name_ids_.try_emplace(key, static_cast<std::uint32_t>(names_.size()));
  if (is_new) {
    const bool python_2 = protocol_ < 3;
    const std::string_view now = python_2 && module == "__builtin__" ? "builtins"
                                 : python_2 && module == "copy_reg"  ? "copyreg"
                                                                     : module;
    Form form = form_of(now, name);
    const auto asked_for = [&](std::string_view cls) {
      return cls.size() == key.size() && cls.starts_with(module) && cls.ends_with(name) && cls[module.size()] == ' ';
    };
    if (form == Form::Foreign && std::ranges::any_of(allowance_.classes, asked_for)) form = Form::Attributes;
    std::ranges::replace(key, '\n', '.');
    names_.push_back({std::move(key), form});
  }
  const Name& found = names_[at->second];
  if (found.form != Form::Foreign) return Seen(Kind::Name, at->second);
  if (!in_span_) report(found.text, "is imported");
  return Seen(Kind::Name, at->second);
}

std::string_view Walk::blamed(Seen callable) const noexcept {
  return callable.is(Kind::Name) ? std::string_view(names_[callable.payload()].text) : std::string_view();
}

Walk::Step Walk::reduce() {
  if (!has(2)) return underflow();
  const Seen arguments = pop();
  const Seen callable = pop();
  if (in_span_ || callable.is(Kind::Refused)) return push(Seen(Kind::Refused));
  if (!callable.is(Kind::Name)) {
    report({}, "something other than a name is called");
    return push(Seen(Kind::Refused));
  }
  const Form form = form_of_name(callable);
  const auto made = form == Form::Foreign ? std::nullopt : call(form, arguments);
  if (!made) report(blamed(callable), form == Form::Foreign ? "is called" : "is called in another way than DCP does");
  return push(made.value_or(Seen(Kind::Refused)));
}

std::optional<Seen> Walk::call(Form form, Seen arguments) {
  switch (arguments.kind()) {
    case Kind::Ints: return call_with_ints(form, arguments);
    case Kind::HeldInts:
      if (form == Form::Size) return Seen(Kind::Size, arguments.count());
      return std::nullopt;
    case Kind::Tuple: {
      const auto values = tuples_.items(arguments);
      for (const Seen value : values) {
        if (is_text(value)) copied_ += value.is(Kind::Text) ? text(value).size() : value.payload() >> 1;
        if (value.is(Kind::Bytes)) copied_ += value.payload();
      }
      if (copied_ > kFreeCopies + 4 * input_.size()) report({}, "calls copy one text over and over");
      return call_with_values(form, values);
    }
    default: return std::nullopt;
  }
}

std::optional<Seen> Walk::call_with_ints(Form form, Seen arguments) const {
  const std::uint64_t count = arguments.count();
  switch (form) {
    case Form::NoAttributes:
      if (count == 0) return Seen(Kind::Instance, static_cast<std::uint64_t>(form));
      return std::nullopt;
    case Form::OrderedDict:
      if (count == 0) return Seen(Kind::OrderedDict);
      return std::nullopt;
    case Form::ByteArray:
    case Form::EmptyBytes:
      if (count == 0) return Seen(form == Form::ByteArray ? Kind::ByteArray : Kind::Bytes);
      return std::nullopt;
    case Form::Path:
      if (count == 0) return Seen(Kind::Made);
      return std::nullopt;
    case Form::Range:
      if (count >= 1 && count <= 3) return Seen(Kind::Made);
      return std::nullopt;
    case Form::Slice:
      if (count == 3) return Seen(Kind::Made);
      return std::nullopt;
    default: break;
  }
  const Members members = members_of(form);
  const bool is_member =
      count == 1 && arguments.first() >= members.first && arguments.first() - members.first < members.names.size();
  return is_member ? std::optional(Seen(Kind::Member, static_cast<std::uint64_t>(form))) : std::nullopt;
}

std::optional<Seen> Walk::call_with_values(Form form, std::span<const Seen> arguments) {
  const auto made = [](bool fits, Kind kind) { return fits ? std::optional(Seen(kind)) : std::nullopt; };
  const std::size_t count = arguments.size();
  switch (form) {
    case Form::Size: {  // with a bool among the ints, or more of them than there are dimensions
      if (count != 1 || !arguments[0].is(Kind::Tuple)) return std::nullopt;
      const auto numbers = tuples_.items(arguments[0]);
      const bool fits = numbers.size() <= Seen::kMaxInts && std::ranges::all_of(numbers, [](Seen number) {
                          return number.is(Kind::Int) || number.is(Kind::Bool);
                        });
      return fits ? std::optional(Seen(Kind::Size, numbers.size())) : std::nullopt;
    }
    case Form::Layout:
      return made(count == 1 && arguments[0].is(Kind::Text) && text(arguments[0]).starts_with("torch."), Kind::Made);
    case Form::Device:
      return made((count == 1 || (count == 2 && arguments[1].is(Kind::Int))) && arguments[0].is(Kind::Text),
                  Kind::Made);
    case Form::Path: return made(std::ranges::all_of(arguments, is_text), Kind::Made);
    case Form::ByteArray:
      if (count == 1) return made(arguments[0].is(Kind::Bytes), Kind::ByteArray);
      [[fallthrough]];
    case Form::Encode:
      return made(
          count == 2 && is_text(arguments[0]) && (text(arguments[1]) == "latin1" || text(arguments[1]) == "latin-1"),
          form == Form::Encode ? Kind::Bytes : Kind::ByteArray);
    case Form::Complex:
      return made(count == 2 && arguments[0].is(Kind::Float) && arguments[1].is(Kind::Float), Kind::Made);
    case Form::Slice:
      return made(count == 3 &&
                      std::ranges::all_of(arguments, [](Seen end) { return end.is(Kind::None) || end.is(Kind::Int); }),
                  Kind::Made);
    case Form::GetAttr: {
      if (count != 2) return std::nullopt;
      const Form of = form_of_name(arguments[0]);
      const auto names = members_of(of).names;
      const bool is_member = arguments[1].is(Kind::Text) && std::ranges::find(names, text(arguments[1])) != names.end();
      return is_member ? std::optional(Seen(Kind::Member, static_cast<std::uint64_t>(of))) : std::nullopt;
    }
    case Form::Reconstructor:
      if (count != 3 || form_of_name(arguments[1]) != Form::Object || !arguments[2].is(Kind::None)) return std::nullopt;
      return bare_object(arguments[0]);
    case Form::NewObject: return count == 1 ? bare_object(arguments[0]) : std::nullopt;
    default: return std::nullopt;
  }
}

std::optional<Seen> Walk::bare_object(Seen cls) const {
  const Form form = form_of_name(cls);
  if (!is_class_of_objects(form)) return std::nullopt;
  return Seen(Kind::Instance, static_cast<std::uint64_t>(form));
}

Walk::Step Walk::new_object() {
  if (!has(2)) return underflow();
  const Seen arguments = pop();
  const Seen cls = pop();
  if (in_span_ || cls.is(Kind::Refused)) return push(Seen(Kind::Refused));
  const bool is_bare = arguments.is(Kind::Ints) && arguments.count() == 0;
  const auto made = is_bare ? bare_object(cls) : std::nullopt;
  const bool foreign = cls.is(Kind::Name) && form_of_name(cls) == Form::Foreign;
  if (!made)
    report(blamed(cls), foreign ? "is made an object of" : "is made an object of in another way than DCP does");
  return push(made.value_or(Seen(Kind::Refused)));
}

Walk::Step Walk::new_object_ex() {
  if (!has(3)) return underflow();
  stack_.resize(stack_.size() - 2);
  const Seen cls = pop();
  if (!in_span_ && !cls.is(Kind::Refused)) report(blamed(cls), "is made an object of with keyword arguments");
  return push(Seen(Kind::Refused));
}

// INST and OBJ call a class, as Python 2 wrote.
Walk::Step Walk::old_object(bool named_inline) {
  Seen cls;
  if (named_inline) {
    std::string_view module;
    std::string_view name;
    if (!take_line(module) || !take_line(name)) return truncated();
    cls = this->name(module, name);
  }
  return marked([&](std::size_t count) {
    if (!named_inline && count == 0) return underflow();
    if (!named_inline) cls = stack_[stack_.size() - count];
    stack_.resize(stack_.size() - count);
    report(blamed(cls), "is called");
    return push(Seen(Kind::Refused));
  });
}

Walk::Step Walk::build() {
  if (!has(2)) return underflow();
  const Seen state = pop();
  const Seen target = stack_.back();
  if (in_span_ || target.is(Kind::Refused)) return Step::Next;
  place(state);
  if (!target.is(Kind::Instance)) {
    report(blamed(target), "a state is given to what is shared or has none");
    return Step::Next;
  }
  const std::uint8_t flags = state.is(Kind::Dict) ? dicts_[state.payload()] : kOddKey;
  bool fits = false;
  switch (static_cast<Form>(target.payload())) {
    case Form::Attributes:
    case Form::NoAttributes: fits = (flags & kOddKey) == 0; break;
    case Form::Index: fits = flags == 0; break;
    case Form::Properties: fits = is_properties_state(state); break;
    default: break;
  }
  if (!fits) report({}, "a state is another than DCP's objects have");
  return Step::Next;
}

bool Walk::is_properties_state(Seen state) const {
  if (!state.is(Kind::Tuple)) return false;
  const auto fields = tuples_.items(state);
  if (fields.size() != 5 && fields.size() != 6) return false;
  return form_of_name(fields[0]) == Form::Dtype && fields[3].is(Kind::Member) &&
         fields[3].payload() == static_cast<std::uint64_t>(Form::MemoryFormat);
}

void Walk::place(Seen value) {
  if (in_span_) return;
  if (is_class(value)) {
    if (form_of_name(value) != Form::Foreign) report(blamed(value), "is a value where DCP has none");
  } else if (value.is(Kind::Tuple) && tuples_.holds_class(value)) {
    report({}, "a class is a value where DCP has none");
  }
}

void Walk::place_key(Seen key) {
  place(key);
  if (!in_span_ && !key.is(Kind::Refused) && weight(key) > kMaxKeyWeight) {
    report({}, "a key is one that cannot be hashed quickly");
  }
}

void Walk::place_item(std::uint8_t& flags, Seen key, Seen value) {
  place_key(key);
  place(value);
  if (!is_attribute_name(key)) flags |= kOddKey;
  switch (value.kind()) {
    case Kind::None:
    case Kind::Bool:
    case Kind::Int:
    case Kind::Text:
    case Kind::LongText:
    case Kind::Ints:
    case Kind::Size: break;
    default: flags |= kOddValue;
  }
}

// Nobody needs an attribute that Python itself looks at: __setstate__, __class__, ...
bool Walk::is_attribute_name(Seen value) const noexcept {
  if (value.is(Kind::LongText)) return (value.payload() & 1) == 0;
  return value.is(Kind::Text) && !text(value).starts_with("__");
}

std::uint64_t Walk::weight(Seen value) const noexcept {
  switch (value.kind()) {
    case Kind::None:
    case Kind::Bool:
    case Kind::Int:
    case Kind::Float:
    case Kind::Text:
    case Kind::LongText:
    case Kind::Bytes:
    case Kind::FrozenSet:  // remembers its hash
    case Kind::Member:
    case Kind::Made:
    case Kind::Kept:
    case Kind::Refused:
    case Kind::InSpan: return 1;
    case Kind::Ints:
    case Kind::HeldInts: return 2 + value.count();
    case Kind::Size: return 1 + value.payload();
    case Kind::Tuple: return tuples_.weight(value);
    case Kind::Name: return form_of_name(value) == Form::Dtype ? 1 : Tuples::kUnhashable;
    case Kind::Instance:
      if (static_cast<Form>(value.payload()) == Form::Index) return 2 * Seen::kMaxInts;
      return Tuples::kUnhashable;
    default: return Tuples::kUnhashable;
  }
}

std::string_view Walk::text(Seen value) const noexcept {
  if (!value.is(Kind::Text)) return {};
  const std::uint64_t position = value.payload() >> Seen::kLengthBits;
  return {reinterpret_cast<const char*>(input_.data()) + position, value.payload() & Seen::kMaxLength};
}

}  // namespace flatpoint::audit
