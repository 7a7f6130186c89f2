// Any bytes as a `.metadata`: the importer refuses them with a message, or gives a file that keeps every rule of the
// format. The limits are low, as the time that an input may take is.
#include <utility>

#include "flatpoint/dcp.hpp"
#include "flatpoint/verify.hpp"
#include "fuzz/require.hpp"
#include "support/walk.hpp"

using namespace flatpoint;

namespace {

std::vector<std::string> check(std::span<const std::byte> bytes) {
  dcp::ImportOptions options;
  options.limits.max_opcodes = 1 << 16;
  options.limits.max_memo = 1 << 16;
  options.limits.max_chunks = 1 << 14;
  options.limits.max_output_bytes = 1 << 22;
  (void)dcp::named_globals(bytes, options.limits);
  auto imported = dcp::import_pickle(bytes, options);
  if (!imported)
    return imported.error().message.empty() ? std::vector<std::string>{"an error has a message"}
                                            : std::vector<std::string>{};

  const auto file = MetadataFile::from_buffer(std::move(imported->bytes));
  if (!file) return {"what was imported opens: " + file.error().message};
  const test::Walk walk = test::walk(*file);
  std::vector<std::string> wrong = walk.wrong;
  if (walk.corrupt != 0) wrong.push_back("what was imported has no corrupt answer");
  for (const auto& broken : verify(*file).broken_rules)
    wrong.push_back("what was imported keeps " + broken.rule + ": " + broken.message);
  return wrong;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::require_nothing(check(std::as_bytes(std::span(data, size))));
  return 0;
}
