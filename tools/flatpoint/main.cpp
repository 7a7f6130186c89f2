// flatpoint - look into the metadata of a sharded checkpoint from the command line.
#include <algorithm>
#include <array>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "arguments.hpp"
#include "help.hpp"
#include "json.hpp"
#include "verb.hpp"

namespace flatpoint::tool {

extern const Verb kGet, kStats, kImport, kLs, kShow, kFind, kVerify, kPlan, kDiff, kMerge, kRename, kDrop, kKeep,
    kExport, kConvert, kReport, kCompletion, kManual;

namespace {

constexpr std::array kVerbs{&kLs,     &kShow,   &kFind,   &kPlan,   &kGet,        &kStats,
                            &kVerify, &kDiff,   &kImport, &kExport, &kConvert,    &kReport,
                            &kMerge,  &kRename, &kDrop,   &kKeep,   &kCompletion, &kManual};

/// Sets the limit that "max_depth=512" names.
Result<void> set_limit(dcp::ImportLimits& limits, std::string_view text) {
  const std::size_t equals = std::min(text.find('='), text.size());
  std::uint64_t number = 0;
  if (store(text.substr(std::min(equals + 1, text.size())), number) &&
      dcp::set_limit(limits, text.substr(0, equals), number)) {
    return {};
  }
  return fail(ErrorCode::InvalidArgument, fmt::format("expected NAME=N with a known name, not '{}'", text));
}

void add_globals(Command& all, Globals& globals) {
  all.add_flag("--json", globals.json, "JSON for programs; an error too, on standard error");
  all.add_option("--of-rank", globals.of_rank, "Which __R.metadata of a folder that was saved without collectives")
      .type_name("R");
  all.add_flag("--allow-outside", globals.allow_outside,
               "Read data files outside of the checkpoint's folder, which metadata from elsewhere may name");
  const std::string help =
      fmt::format("Change a limit of reading a .metadata:\n{}", fmt::join(dcp::limit_names(), ", "));
  constexpr bool kMany = true;
  all.add_option_function(
         "--limit", [&](std::string_view text) { return set_limit(globals.limits, text); }, help, kMany)
      .type_name("NAME=N");
}

Exit report_error(bool json, std::string_view code, std::string_view message) {
  if (!json) {
    complain("error", message);
    return Exit::Error;
  }
  std::string line = "{\"error\": {\"code\": ";
  append_json_string(line, code);
  line += ", \"message\": ";
  append_json_string(line, message);
  write_standard_error(line + "}}\n");
  return Exit::Error;
}

/// Whether a command line that could not be parsed asks for JSON.
bool asks_for_json(const std::vector<std::string_view>& arguments) {
  return std::ranges::count(arguments, "--json") > 0;
}

/// `flatpoint help VERB` is `flatpoint VERB --help`.
void translate_help(std::vector<std::string_view>& arguments) {
  if (arguments.empty() || arguments.front() != "help") return;
  arguments.erase(arguments.begin());
  arguments.emplace_back("--help");
}

Result<Exit> run_verb(const std::vector<std::string_view>& arguments, std::span<const Run> runs, Context& context) {
  const Interface& tool = context.interface;
  const auto parsed = parse(tool.all, tool.commands, arguments);
  if (!parsed) return report_error(asks_for_json(arguments), "usage", parsed.error().message);
  if (parsed->what == Parsed::What::Version) {
    context.out.write("flatpoint " FLATPOINT_VERSION "\n");
  } else if (parsed->what == Parsed::What::Help) {
    context.out.write(parsed->verb ? help_of_verb(tool, *parsed->verb) : help_of_tool(tool));
  } else {
    return runs[*parsed->verb](context);
  }
  return Exit::Yes;
}

Exit run(std::vector<std::string_view> arguments) {
  Globals globals;
  Output out;
  Command all("flatpoint", "Look into the metadata of a sharded checkpoint.");
  add_globals(all, globals);
  std::vector<Command> commands;
  std::vector<Run> runs;
  for (const Verb* verb : kVerbs) {
    commands.emplace_back(verb->name, verb->summary);
    runs.push_back(verb->declare(commands.back()));
  }
  Context context{globals, out, {all, commands, kVerbs}};
  translate_help(arguments);

  const auto answer = run_verb(arguments, runs, context);
  if (!answer) out.drop();
  Exit exit = Exit::Error;
  if (answer) {
    exit = *answer;
  } else {
    const char* hint = answer.error().code == ErrorCode::Outside ? " (--allow-outside reads it)" : "";
    report_error(globals.json, to_string(answer.error().code), to_string(answer.error()) + hint);
  }
  if (const int number = out.finish(); number != 0) {
    exit =
        report_error(globals.json, "io", fmt::format("standard output: {}", std::generic_category().message(number)));
  }
  return exit;
}

}  // namespace
}  // namespace flatpoint::tool

int main(int argc, char** argv) {
  using namespace flatpoint::tool;
  prepare_process();
  try {
    return static_cast<int>(run({argv + std::min(argc, 1), argv + argc}));
  } catch (const std::bad_alloc&) {
    complain("error", "out of memory");
  } catch (const std::exception& error) {
    complain("error", error.what());
  }
  return static_cast<int>(Exit::Error);
}
