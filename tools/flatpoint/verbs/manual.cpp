// flatpoint manual - the pages for man, from the texts that --help shows.
#include <algorithm>
#include <memory>

#include "help.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string verb;
};

Result<Exit> run(Context& context, const Arguments& arguments) {
  if (arguments.verb.empty()) {
    context.out.write(manual_of_tool(context.interface));
    return Exit::Yes;
  }
  const auto commands = context.interface.commands;
  const auto found = std::ranges::find(commands, arguments.verb, &Command::name);
  if (found == commands.end()) {
    return fail(ErrorCode::InvalidArgument, fmt::format("no verb '{}'; `flatpoint --help` lists them", arguments.verb));
  }
  context.out.write(manual_of_verb(context.interface, static_cast<std::size_t>(found - commands.begin())));
  return Exit::Yes;
}

Run declare(Command& command) {
  auto arguments = std::make_shared<Arguments>();
  command.add_option("VERB", arguments->verb, "The verb whose page it is; without one, the page of the tool");
  return [arguments](Context& context) { return run(context, *arguments); };
}

constexpr const char* kExamples =
    "  flatpoint manual ls | man -l -\n"
    "  flatpoint manual plan > flatpoint-plan.1\n";

}  // namespace

extern const Verb kManual;
const Verb kManual{"manual", "Print a page of the manual, for man", kExamples, declare};

}  // namespace flatpoint::tool
