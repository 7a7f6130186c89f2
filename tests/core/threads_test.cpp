// Many threads over one file: for ThreadSanitizer, and every answer is the right one.
#include <boost/test/unit_test.hpp>
#include <random>
#include <thread>

#include "flatpoint/verify.hpp"
#include "support/random_model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(any_number_of_threads_reads_one_file) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; ++round) {
    const Model model = random_model(random);
    const MetadataFile file = opened(model);
    std::vector<std::vector<std::string>> found(6);
    {
      std::vector<std::jthread> threads;
      for (auto& mine : found) {
        threads.emplace_back([&] {
          mine = differences(file, model);
          if (!verify(file).sound()) mine.emplace_back("not sound");
        });
      }
    }
    for (const auto& mine : found) {
      for (const std::string& difference : mine) BOOST_ERROR(difference);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
