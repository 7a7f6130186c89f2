// Mutants of the library in one build: an environment variable says which one is awake. tests/mutation/run inserts the
// calls into a copy of the sources; nothing else includes this.
#pragma once

#include <cstdlib>
#include <type_traits>
#include <utility>

namespace flatpoint_mutants {

inline constexpr int kMost = 1 << 16;
inline const int awake = std::getenv("FLATPOINT_MUTANT") != nullptr ? std::atoi(std::getenv("FLATPOINT_MUTANT")) : -1;
/// Which were asked for; read by tests/mutation/observer.hpp.
inline bool reached[kMost];

constexpr bool on(int id) {
  if (std::is_constant_evaluated()) return false;
  reached[id] = true;
  return awake == id;
}

template <class T>
constexpr T pick(int id, T original, T mutated) {
  return on(id) ? mutated : original;
}

/// Stands between two operands, `a < Less<7>{} > b`, and compares in the mutant's way. Parsed as (a < Less) > b, which
/// binds as a comparison does.
template <int id>
struct Less {};
template <int id>
struct LessEqual {};
template <int id>
struct Greater {};
template <int id>
struct GreaterEqual {};
template <int id>
struct Equal {};
template <int id>
struct NotEqual {};
template <int id>
struct Plus {};
template <int id>
struct Minus {};

template <class Operator, class A>
struct Held {
  A left;
};

#define FLATPOINT_MUTANT_OPERATOR(Operator, before, after, original, mutated) \
  template <int id, class A>                                                  \
  constexpr auto operator before(A&& a, Operator<id>) {                       \
    return Held<Operator<id>, A&&>{std::forward<A>(a)};                       \
  }                                                                           \
  template <int id, class A, class B>                                         \
  constexpr auto operator after(Held<Operator<id>, A> held, B&& b) {          \
    return on(id) ? (std::forward<A>(held.left) mutated std::forward<B>(b))   \
                  : (std::forward<A>(held.left) original std::forward<B>(b)); \
  }

FLATPOINT_MUTANT_OPERATOR(Less, <, >, <, <=)
FLATPOINT_MUTANT_OPERATOR(LessEqual, <, >, <=, <)
FLATPOINT_MUTANT_OPERATOR(Greater, <, >, >, >=)
FLATPOINT_MUTANT_OPERATOR(GreaterEqual, <, >, >=, >)
FLATPOINT_MUTANT_OPERATOR(Equal, ==, ==, ==, !=)
FLATPOINT_MUTANT_OPERATOR(NotEqual, ==, ==, !=, ==)
FLATPOINT_MUTANT_OPERATOR(Plus, +, +, +, -)
FLATPOINT_MUTANT_OPERATOR(Minus, +, +, -, +)
#undef FLATPOINT_MUTANT_OPERATOR

}  // namespace flatpoint_mutants
