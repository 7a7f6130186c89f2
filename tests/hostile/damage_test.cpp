// Damage without a plan: every truncation, every bit, many bytes at once. Nothing crashes, and verify notices.
#include <cstdlib>
#include <cstring>
#include <random>

#include "format/trailer.hpp"
#include "hostile/rules.hpp"
#include "support/random_model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(damage)

/// Sanitizers make each look cost more; the same cases are run, fewer of the random ones.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kShare = 10;
#else
constexpr int kShare = 1;
#endif

Model empty_model() { return {}; }
Model two_tensors() {
  Model model;
  model.entries = {whole("a", {4}), tensor("b", {8}, even_grid({8}, {2}))};
  store_all(model);
  return model;
}

void check(std::span<const std::byte> bytes) {
  for (const std::string& wrong : check_any_bytes(bytes)) BOOST_ERROR(wrong);
}

/// Bytes at an address of their own, so that a sanitizer sees the first step outside.
class Exact {
 public:
  explicit Exact(std::span<const std::byte> bytes) : buffer_(bytes.size()) {
    std::memcpy(buffer_.mutable_bytes().data(), bytes.data(), bytes.size());
  }
  std::span<std::byte> operator*() { return buffer_.mutable_bytes(); }

 private:
  Buffer buffer_;
};

BOOST_AUTO_TEST_CASE(every_truncation) {
  for (const Model& model : {empty_model(), two_tensors(), rich_model()}) {
    const Buffer sound = encoded(model);
    for (std::size_t length = 0; length < sound.size(); ++length) {
      Exact bytes(sound.bytes().first(length));
      BOOST_TEST(!MetadataFile::from_bytes(*bytes).has_value());
      check(*bytes);
    }
  }
}

// A truncated FlatBuffer under a right trailer: opening has nothing but its own checks.
BOOST_AUTO_TEST_CASE(every_truncation_with_a_right_trailer) {
  for (const Model& model : {empty_model(), two_tensors(), rich_model()}) {
    const Buffer sound = encoded(model);
    for (std::size_t length = 24; length < sound.size(); length += 8) {
      Exact bytes(sound.bytes().first(length));
      format::write_trailer(*bytes);
      check(*bytes);
    }
  }
}

BOOST_AUTO_TEST_CASE(every_bit) {
  for (const Model& model : {empty_model(), two_tensors(), rich_model()}) {
    const Buffer sound = encoded(model);
    Exact bytes(sound.bytes());
    for (std::size_t bit = 0; bit < sound.size() * 8; ++bit) {
      const auto flip = std::byte{1} << static_cast<int>(bit % 8);
      (*bytes)[bit / 8] ^= flip;
      if (broken_rules(*bytes).empty()) BOOST_ERROR("verify does not notice bit " << bit);
      (*bytes)[bit / 8] ^= flip;
    }
  }
}

// Look-ups do not see the digest; with a right one, verify looks as far as it can.
BOOST_AUTO_TEST_CASE(every_bit_under_a_right_digest) {
  for (const Model& model : {empty_model(), two_tensors(), rich_model()}) {
    const Buffer sound = encoded(model);
    Exact bytes(sound.bytes());
    for (std::size_t bit = 0; bit < (sound.size() - 24) * 8; ++bit) {
      const auto flip = std::byte{1} << static_cast<int>(bit % 8);
      (*bytes)[bit / 8] ^= flip;
      format::write_trailer(*bytes);
      check(*bytes);
      (*bytes)[bit / 8] ^= flip;
    }
  }
}

// A hundred cases a round; FLATPOINT_DAMAGE_ROUNDS=10000 makes a million.
BOOST_AUTO_TEST_CASE(many_bytes_at_once) {
  const char* const asked = std::getenv("FLATPOINT_DAMAGE_ROUNDS");
  const int rounds = asked != nullptr ? std::atoi(asked) : 400 / kShare;
  std::mt19937_64 random(3);
  for (int round = 0; round < rounds; ++round) {
    const Buffer sound = encoded(random_model(random));
    for (int i = 0; i < 100; ++i) {
      Exact bytes(sound.bytes());
      const std::size_t changes = 1 + random() % 8;
      for (std::size_t c = 0; c < changes; ++c) {
        const std::size_t at = random() % (bytes.operator*().size() - 24);
        static constexpr unsigned kValues[] = {0, 1, 2, 0x7F, 0x80, 0xFF};
        (*bytes)[at] =
            random() % 2 == 0 ? static_cast<std::byte>(kValues[random() % 6]) : static_cast<std::byte>(random());
      }
      format::write_trailer(*bytes);
      check(*bytes);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
