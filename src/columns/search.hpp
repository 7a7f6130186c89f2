// columns/search.hpp - binary search over whatever a number leads to.
#pragma once

namespace flatpoint::columns {

/// The first number below `count` for which `holds` is true, and then for all behind it; `count` where there is none.
template <class Number, class Predicate>
constexpr Number first_where(Number count, Predicate&& holds) {
  Number begin = 0;
  while (begin < count) {
    const Number middle = begin + (count - begin) / 2;
    if (holds(middle)) {
      count = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

}  // namespace flatpoint::columns
