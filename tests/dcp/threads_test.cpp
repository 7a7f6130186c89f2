// Many threads import and export at once: for ThreadSanitizer, and every answer is that of a single thread.
#include <boost/test/unit_test.hpp>
#include <thread>

#include "support.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

/// Each pickle as a metadata file and as a pickle again; or the message.
std::vector<std::string> there_and_back(const std::vector<std::string>& pickles) {
  std::vector<std::string> answers;
  const auto add = [&](const Buffer& bytes) {
    answers.emplace_back(reinterpret_cast<const char*>(bytes.bytes().data()), bytes.size());
  };
  for (const std::string& pickle : pickles) {
    auto imported = dcp::import_pickle(bytes_of(pickle));
    if (!imported) {
      answers.push_back(imported.error().message);
      continue;
    }
    add(imported->bytes);
    const auto file = MetadataFile::from_buffer(std::move(imported->bytes)).value();
    const auto exported = dcp::export_pickle(file.view());
    exported ? add(exported->bytes) : answers.push_back(exported.error().message);
  }
  return answers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(many_threads_import_and_export) {
  std::vector<std::string> pickles;
  for (const auto& path : sample_pickles()) pickles.push_back(read_file(path));
  std::vector<std::vector<std::string>> answers(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : answers) threads.emplace_back([&] { mine = there_and_back(pickles); });
  }
  const auto alone = there_and_back(pickles);
  BOOST_TEST(alone.size() > pickles.size());
  for (const auto& mine : answers) BOOST_TEST((mine == alone));
}

BOOST_AUTO_TEST_SUITE_END()
