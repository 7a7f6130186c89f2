// support/race.hpp - measures contenders in turns, so that a busy machine slows all of them alike.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n == 0 ? 0 : n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/// Each contender runs `operations` operations per lap; laps go A B C, A B C, ... The first lap warms up and is not
/// counted.
class Race {
 public:
  using Clock = std::chrono::steady_clock;

  struct Contender {
    std::string name;
    std::function<void(std::size_t lap)> run;  // one lap
    std::size_t operations;
    std::function<void()> prepare;  // before each lap, not timed
    std::vector<double> laps;       // nanoseconds per operation
  };

  void add(std::string name, std::size_t operations, std::function<void(std::size_t)> run,
           std::function<void()> prepare = {}) {
    contenders_.push_back({std::move(name), std::move(run), operations, std::move(prepare), {}});
  }

  void run(std::size_t laps) {
    for (std::size_t lap = 0; lap <= laps; ++lap) {
      for (Contender& c : contenders_) {
        if (c.prepare) c.prepare();
        const auto begin = Clock::now();
        c.run(lap);
        const std::chrono::duration<double, std::nano> time = Clock::now() - begin;
        if (lap > 0) c.laps.push_back(time.count() / static_cast<double>(c.operations));
      }
    }
  }

  [[nodiscard]] const std::vector<Contender>& contenders() const noexcept { return contenders_; }

 private:
  std::vector<Contender> contenders_;
};

}  // namespace bench
