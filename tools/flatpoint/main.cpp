// flatpoint - look into the metadata of a sharded checkpoint from the command line.
#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "arguments.hpp"
#include "json.hpp"
#include "verb.hpp"

namespace flatpoint::tool {

extern const Verb kImport, kLs, kShow, kFind, kVerify, kPlan, kDiff, kMerge, kRename, kDrop, kKeep, kExport;

namespace {

constexpr std::array kVerbs{&kLs,     &kShow,   &kFind,  &kPlan,   &kVerify, &kDiff,
                            &kImport, &kExport, &kMerge, &kRename, &kDrop,   &kKeep};

constexpr const char* kFooter =
    "CKPT is a checkpoint's folder, a .metadata or a flatpoint file. A .metadata is read as data: nothing in it is "
    "executed.\n"
    "The options above go with every verb; `flatpoint VERB --help` shows its own, and examples.\n"
    "\n"
    "Exit status: 0 yes, 1 a negative answer (absent, different, broken), 2 an error.";

constexpr const char* kVerbFooter =
    "`flatpoint --help` shows the options that go with every verb: --json, --rank, --limit.";

struct LimitName {
  std::string_view name;
  void (*set)(dcp::ImportLimits&, std::uint64_t);
};

constexpr std::array kLimits{
    LimitName{"max_input_bytes", [](dcp::ImportLimits& l, std::uint64_t n) { l.max_input_bytes = n; }},
    LimitName{"max_depth",
              [](dcp::ImportLimits& l, std::uint64_t n) {
                l.max_depth = static_cast<std::uint32_t>(std::min<std::uint64_t>(n, UINT32_MAX));
              }},
    LimitName{"max_memo", [](dcp::ImportLimits& l, std::uint64_t n) { l.max_memo = n; }},
    LimitName{"max_opcodes", [](dcp::ImportLimits& l, std::uint64_t n) { l.max_opcodes = n; }},
    LimitName{"max_chunks", [](dcp::ImportLimits& l, std::uint64_t n) { l.max_chunks = n; }},
    LimitName{"max_output_bytes", [](dcp::ImportLimits& l, std::uint64_t n) { l.max_output_bytes = n; }},
};

/// Sets the limit that "max_depth=512" names.
void set_limit(dcp::ImportLimits& limits, std::string_view text) {
  const std::size_t equals = std::min(text.find('='), text.size());
  const auto limit = std::find_if(kLimits.begin(), kLimits.end(),
                                  [&](const LimitName& known) { return known.name == text.substr(0, equals); });
  std::uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data() + std::min(equals + 1, text.size()), text.data() + text.size(), number);
  if (limit == kLimits.end() || error != std::errc() || end != text.data() + text.size()) {
    throw CLI::ValidationError("--limit", fmt::format("expected NAME=N with a known name, not '{}'", text));
  }
  limit->set(limits, number);
}

void add_globals(CLI::App& app, Globals& globals) {
  app.add_flag("--json", globals.json, "JSON for programs; an error too, on standard error");
  app.add_option("--rank", globals.rank, "Which __R.metadata of a folder that was saved without collectives")
      ->type_name("R");
  const auto set_limits = [&globals](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) set_limit(globals.limits, text);
  };
  std::string help = "Change a limit of reading a .metadata:";
  for (const LimitName& limit : kLimits)
    help += fmt::format("{}{}", &limit == &kLimits.front() ? "\n" : ", ", limit.name);
  app.add_option_function<std::vector<std::string>>("--limit", set_limits, help)
      ->type_name("NAME=N")
      ->allow_extra_args(false);
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
bool asks_for_json(int argc, char** argv) {
  return std::any_of(argv + 1, argv + argc, [](std::string_view argument) { return argument == "--json"; });
}

void describe(CLI::App& app) {
  app.set_version_flag("--version", "flatpoint " FLATPOINT_VERSION, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this text and exit");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kFooter);
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  app.get_formatter()->label("Positionals", "Arguments");
  app.get_formatter()->label("TEXT", "");
  app.get_formatter()->label("REQUIRED", "");
  app.get_formatter()->column_width(24);
}

/// What is wrong with a command line that names no verb of ours.
std::string no_verb(const CLI::App& app) {
  const auto words = app.remaining();
  std::string message = words.empty() ? "no verb; there are" : fmt::format("no verb '{}'; there are", words.front());
  for (const Verb* verb : kVerbs) message += fmt::format("{}{}", verb == kVerbs.front() ? " " : ", ", verb->name);
  return message;
}

/// The arguments, last first, as CLI11 wants them.
std::vector<std::string> reversed_arguments(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    if (argument.starts_with('[') && argument.ends_with(']')) argument.insert(0, 1, kNoList);
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

/// Parses the command line. Unset where that was all: help, version, or an error; `exit` says which.
Run parse(CLI::App& app, int argc, char** argv, Output& out, Exit& exit) {
  Run chosen;
  for (const Verb* verb : kVerbs) {
    CLI::App& command = *app.add_subcommand(verb->name, verb->summary)->group("Verbs");
    command.footer(fmt::format("Examples:\n{}\n{}", verb->examples, kVerbFooter));
    command.callback([&chosen, run = verb->declare(command)] { chosen = run; });
  }
  try {
    app.parse(reversed_arguments(argc, argv));
  } catch (const CLI::CallForHelp&) {
    out.write(app.help());
    return {};
  } catch (const CLI::CallForVersion& version) {
    out.print("{}\n", version.what());
    return {};
  } catch (const CLI::ParseError& error) {
    const std::string message = app.get_subcommands().empty() ? no_verb(app) : error.what();
    exit = report_error(asks_for_json(argc, argv), "usage", message);
    return {};
  }
  return chosen;
}

Exit run(int argc, char** argv) {
  Globals globals;
  Output out;
  Context context{globals, out};
  CLI::App app("Look into the metadata of a sharded checkpoint.", "flatpoint");
  describe(app);
  add_globals(app, globals);

  Exit exit = Exit::Yes;
  if (const Run verb = parse(app, argc, argv, out, exit)) {
    const auto answer = verb(context);
    if (!answer) out.drop();
    exit = answer ? *answer : report_error(globals.json, to_string(answer.error().code), answer.error().message);
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
    return static_cast<int>(run(argc, argv));
  } catch (const std::bad_alloc&) {
    complain("error", "out of memory");
  } catch (const std::exception& error) {
    complain("error", error.what());
  }
  return static_cast<int>(Exit::Error);
}
