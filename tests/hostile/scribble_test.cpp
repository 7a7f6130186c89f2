// Another process writes into a mapped file while it is opened and read. Answers may be anything; none comes from
// outside.
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "hostile/rules.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(scribble)

// A data race on purpose: nothing for ThreadSanitizer.
#ifndef __SANITIZE_THREAD__
BOOST_AUTO_TEST_CASE(bytes_that_change_underneath) {
  const Buffer sound = encoded(rich_model());
  Buffer shared(sound.size());
  std::memcpy(shared.mutable_bytes().data(), sound.bytes().data(), sound.size());
  std::atomic<bool> done = false;
  std::jthread scribbler([&, bytes = shared.mutable_bytes()] {
    std::mt19937_64 random(1);
    while (!done) {
      const std::size_t at = random() % (bytes.size() - 24);
      const std::byte before = sound.bytes()[at];
      for (const std::byte value : {static_cast<std::byte>(random()), std::byte{0xFF}, std::byte{0}, before}) {
        std::atomic_ref(bytes[at]).store(value, std::memory_order_relaxed);
      }
    }
  });
  std::uint64_t opened = 0;
  std::uint64_t corrupt = 0;
  for (int round = 0; round < 3000; ++round) {
    const auto file = MetadataFile::from_bytes(shared.bytes());
    if (!file) continue;
    ++opened;
    corrupt += walk(*file).corrupt;
  }
  done = true;
  BOOST_TEST(opened > 0U);
  BOOST_TEST_MESSAGE(opened << " opened, " << corrupt << " corrupt answers");
}
#endif

BOOST_AUTO_TEST_SUITE_END()
