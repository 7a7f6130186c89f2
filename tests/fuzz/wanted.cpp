// Any text as the JSON file of `flatpoint plan --wanted`: refused with a message, or planned.
#include "flatpoint/metadata_file.hpp"
#include "fuzz/require.hpp"
#include "support/rich_model.hpp"
#include "wanted_file.hpp"

using namespace flatpoint;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MetadataFile file = test::opened(test::rich_model());
  const auto wanted = tool::parse_wanted({reinterpret_cast<const char*>(data), size}, "wanted.json");
  if (!wanted) fuzz::require(!wanted.error().message.empty(), "an error has a message");
  if (!wanted) return 0;
  const auto plan = plan_load(file.view(), wanted->wanted());
  if (!plan) fuzz::require(!plan.error().message.empty(), "an error has a message");
  for (std::uint32_t i = 0; plan && i < plan->size(); ++i) {
    fuzz::require(plan->item(i).wanted() < wanted->wanted().size(), "an item's FQN is wanted");
  }
  return 0;
}
