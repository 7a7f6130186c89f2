// Follows tests/main.cpp in the copy that tests/mutation/run builds: which mutants each test case asks for, and how
// long it takes. Lines "case<tab>microseconds<tab>ids" go to the file that FLATPOINT_MUTANTS_REACHED names.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include "mutants.hpp"

namespace {

class Observer : public boost::unit_test::test_observer {
 public:
  Observer() {
    if (const char* path = std::getenv("FLATPOINT_MUTANTS_REACHED")) {
      out_.open(path);
      boost::unit_test::framework::register_observer(*this);
    }
  }
  void test_unit_start(const boost::unit_test::test_unit& unit) override {
    if (unit.p_type != boost::unit_test::TUT_CASE) return;
    for (bool& each : flatpoint_mutants::reached) each = false;
    begin_ = std::chrono::steady_clock::now();
  }
  void test_unit_finish(const boost::unit_test::test_unit& unit, unsigned long) override {
    if (unit.p_type != boost::unit_test::TUT_CASE) return;
    const auto time = std::chrono::steady_clock::now() - begin_;
    out_ << unit.full_name() << '\t' << std::chrono::duration_cast<std::chrono::microseconds>(time).count() << '\t';
    for (int id = 0; id < flatpoint_mutants::kMost; ++id) {
      if (flatpoint_mutants::reached[id]) out_ << id << ' ';
    }
    out_ << std::endl;
  }

 private:
  std::ofstream out_;
  std::chrono::steady_clock::time_point begin_;
};

/// Lives for ever: the framework calls its observers when fixtures are gone.
struct ObserverFixture {
  ObserverFixture() {
    static Observer* const observer = new Observer;
    (void)observer;
  }
};
BOOST_TEST_GLOBAL_FIXTURE(ObserverFixture);

}  // namespace
