// flatpoint/lookup.hpp - the three answers of a look-up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "flatpoint/error.hpp"

namespace flatpoint {

enum class LookupStatus : std::uint8_t {
  Found,
  Absent,
  Corrupt,  // the file breaks a rule at the place that was read; `verify` names it
};

/// "found", "absent", "corrupt".
constexpr std::string_view to_string(LookupStatus status) noexcept {
  return status == LookupStatus::Found ? "found" : status == LookupStatus::Absent ? "absent" : "corrupt";
}

/// Found with a value, absent, or corrupt. Trivially copyable; nothing here allocates or throws, but `to_result`.
template <class T>
class [[nodiscard]] Lookup {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  constexpr Lookup(const T& value) noexcept : value_(value), status_(LookupStatus::Found) {}
  constexpr Lookup(LookupStatus why_not) noexcept : value_{}, status_(why_not) {}

  [[nodiscard]] constexpr LookupStatus status() const noexcept { return status_; }
  [[nodiscard]] constexpr bool found() const noexcept { return status_ == LookupStatus::Found; }
  [[nodiscard]] constexpr bool absent() const noexcept { return status_ == LookupStatus::Absent; }
  [[nodiscard]] constexpr bool corrupt() const noexcept { return status_ == LookupStatus::Corrupt; }
  constexpr explicit operator bool() const noexcept { return found(); }

  /// REQUIRES: found().
  constexpr const T& operator*() const noexcept { return value_; }
  constexpr const T* operator->() const noexcept { return &value_; }

  /// The value where it is found. It does not tell absent from corrupt.
  [[nodiscard]] constexpr T value_or(const T& otherwise) const noexcept { return found() ? value_ : otherwise; }

  /// What `next` looks up in the value, or why there is none: `view.find(fqn).and_then(&EntryView::tensor)`.
  template <class Next>
  [[nodiscard]] constexpr auto and_then(Next next) const {
    using Then = decltype(invoke(next, value_));
    return found() ? invoke(next, value_) : Then(status_);
  }

  /// The value, or an error that says what was looked for: "FQN 'w': absent". Errors: NotFound, Corrupt.
  [[nodiscard]] Result<T> to_result(std::string_view what) const {
    if (found()) return value_;
    const bool is_absent = status_ == LookupStatus::Absent;
    std::string message(what);
    message += is_absent ? ": absent" : ": breaks a rule of the format, which `flatpoint verify` names";
    return fail(is_absent ? ErrorCode::NotFound : ErrorCode::Corrupt, std::move(message));
  }

 private:
  friend struct ViewAccess;  // fills a view in place
  template <class Next>
  static constexpr auto invoke(Next next, const T& value) {
    if constexpr (std::is_member_function_pointer_v<Next>) {
      return (value.*next)();
    } else {
      return next(value);
    }
  }

  T value_;
  LookupStatus status_;
};

}  // namespace flatpoint
