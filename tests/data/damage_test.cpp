// Every byte of a small checkpoint damaged, every truncation: refused, or noticed by a check of the bytes. No value is
// wrong in silence.
#include <boost/test/unit_test.hpp>

#include "data/support.hpp"

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(data_damage)

namespace {

class Damage {
 public:
  explicit Damage(const std::string& name)
      : opened_(test::open_sample(name)), files_(std::make_shared<test::MemoryFiles>(test::sample(name))) {
    for (const auto& entry : read_all()) sound_.push_back(entry.value());
  }

  [[nodiscard]] std::string& file() { return files_->files.begin()->second; }

  /// Whether some value differs from the sound one without being refused, and a check of all bytes finds nothing.
  [[nodiscard]] bool is_silent() const {
    const auto now = read_all();
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] && *now[i] != sound_[i]) return !check_notices();
    }
    return false;
  }
  [[nodiscard]] bool check_notices() const {
    const auto report = data::check(reader(), opened_.file.view(), {.depth = data::CheckDepth::Bytes, .progress = {}});
    return report && (!report->broken.empty() || !report->findings.empty());
  }

 private:
  [[nodiscard]] data::Reader reader() const {
    data::ReaderOptions options;
    options.ranges = files_;
    return std::move(*data::Reader::open(opened_, options));
  }
  [[nodiscard]] std::vector<Result<std::string>> read_all() const {
    const auto fresh = reader();
    std::vector<Result<std::string>> all;
    for (std::uint32_t i = 0; i < opened_.file.view().size(); ++i) {
      const auto entry = *opened_.file.view().entry(i);
      if (const auto tensor = entry.tensor()) {
        all.push_back(test::read_whole(fresh, *tensor).map([](const std::vector<std::byte>& bytes) {
          return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        }));
      } else {
        all.push_back(fresh.read_value(entry));
      }
    }
    return all;
  }

  dcp::OpenedCheckpoint opened_;
  std::shared_ptr<test::MemoryFiles> files_;
  std::vector<std::string> sound_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(no_flipped_bit_changes_a_value_in_silence) {
  for (const std::string name : {"s01_plain_tensors", "s03_no_flatten", "s10_zstd"}) {
    Damage damage(name);
    BOOST_TEST(!damage.check_notices());
    for (std::size_t i = 0; i < damage.file().size(); ++i) {
      const auto bit = static_cast<char>(1U << (i * 5 % 8));
      damage.file()[i] = static_cast<char>(damage.file()[i] ^ bit);
      BOOST_TEST_INFO(name << ", byte " << i);
      BOOST_CHECK(!damage.is_silent());
      damage.file()[i] = static_cast<char>(damage.file()[i] ^ bit);
    }
  }
}

BOOST_AUTO_TEST_CASE(every_truncation_is_noticed) {
  Damage damage("s01_plain_tensors");
  const std::string whole = damage.file();
  for (std::size_t length = 0; length < whole.size(); length += 7) {
    damage.file() = whole.substr(0, length);
    BOOST_TEST_INFO(length);
    BOOST_CHECK(!damage.is_silent() && damage.check_notices());
  }
}

BOOST_AUTO_TEST_CASE(items_exchanged_are_noticed_where_their_size_differs) {
  const auto opened = test::open_sample("s01_plain_tensors");
  const MetadataView metadata = opened.file.view();
  auto files = std::make_shared<test::MemoryFiles>(test::sample("s01_plain_tensors"));
  const auto first = *metadata.entry(0)->tensor()->chunk(0)->storage();
  const auto second = *metadata.entry(1)->tensor()->chunk(0)->storage();
  auto& file = files->files.begin()->second;
  const std::string other = file.substr(second.byte_offset(), second.length());
  if (other.size() == first.length()) {
    file.replace(first.byte_offset(), first.length(), other);
    data::ReaderOptions options;
    options.ranges = files;
    const auto reader = data::Reader::open(opened, options);
    const auto read = test::read_whole(*reader, *metadata.entry(0)->tensor());
    BOOST_REQUIRE(!read);
    BOOST_TEST((read.error().code == ErrorCode::SizeMismatch), read.error().message);
  }
}

BOOST_AUTO_TEST_SUITE_END()
