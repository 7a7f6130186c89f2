// flatpoint/lookup.hpp - the three answers of a look-up.
#pragma once

#include <cstdint>
#include <type_traits>

namespace flatpoint {

enum class LookupStatus : std::uint8_t {
  Found,
  Absent,
  Corrupt,  // the file breaks a rule at the place that was read; `verify` names it
};

/// Found with a value, absent, or corrupt. Trivially copyable; nothing here allocates or throws.
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

 private:
  friend struct ViewAccess;  // fills a view in place
  T value_;
  LookupStatus status_;
};

}  // namespace flatpoint
