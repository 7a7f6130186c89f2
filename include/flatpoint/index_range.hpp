// flatpoint/index_range.hpp - what a class gives by number, as a range: `for (const auto entry : view.entries())`.
#pragma once

#include <compare>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

namespace flatpoint {

/// (owner.*At)(0) ... (owner.*At)(size() - 1), each made when it is asked for. `Owner` is a view, which is copied, or a
/// pointer to what outlives the range. Random access; iterators outlive the range.
template <class Owner, auto At>
class IndexRange {
  static constexpr decltype(auto) at(const Owner& owner, std::uint32_t i) {
    if constexpr (std::is_pointer_v<Owner>) {
      return (owner->*At)(i);
    } else {
      return (owner.*At)(i);
    }
  }

 public:
  class Iterator {
   public:
    using iterator_concept = std::random_access_iterator_tag;
    using iterator_category = std::input_iterator_tag;  // elements are values
    using difference_type = std::int64_t;
    using value_type = std::remove_cvref_t<decltype(at(std::declval<const Owner&>(), 0))>;
    using reference = value_type;

    Iterator() = default;
    Iterator(const Owner& owner, std::uint32_t i) noexcept : owner_(owner), i_(i) {}
    value_type operator*() const noexcept { return at(owner_, i_); }
    value_type operator[](difference_type n) const noexcept { return *(*this + n); }

    Iterator& operator+=(difference_type n) noexcept {
      i_ = static_cast<std::uint32_t>(i_ + n);
      return *this;
    }
    Iterator& operator-=(difference_type n) noexcept { return *this += -n; }
    Iterator& operator++() noexcept { return *this += 1; }
    Iterator& operator--() noexcept { return *this -= 1; }
    Iterator operator++(int) noexcept { return step(1); }
    Iterator operator--(int) noexcept { return step(-1); }
    friend Iterator operator+(Iterator at, difference_type n) noexcept { return at += n; }
    friend Iterator operator+(difference_type n, Iterator at) noexcept { return at += n; }
    friend Iterator operator-(Iterator at, difference_type n) noexcept { return at -= n; }
    friend difference_type operator-(const Iterator& a, const Iterator& b) noexcept {
      return difference_type{a.i_} - difference_type{b.i_};
    }
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.i_ == b.i_; }
    friend auto operator<=>(const Iterator& a, const Iterator& b) noexcept { return a.i_ <=> b.i_; }

   private:
    Iterator step(difference_type n) noexcept {
      const Iterator before = *this;
      *this += n;
      return before;
    }

    Owner owner_{};
    std::uint32_t i_ = 0;
  };

  IndexRange(const Owner& owner, std::uint32_t size) noexcept : owner_(owner), size_(size) {}
  [[nodiscard]] Iterator begin() const noexcept { return {owner_, 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {owner_, size_}; }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

 private:
  Owner owner_;
  std::uint32_t size_;
};

}  // namespace flatpoint
