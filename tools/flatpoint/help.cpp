#include "help.hpp"

#include "base/format.hpp"

namespace flatpoint::tool {
namespace {

constexpr std::string_view kAboutCheckpoints =
    "CKPT is a checkpoint's folder, a .metadata or a flatpoint file. A .metadata is read as data: nothing in it is "
    "executed.";
constexpr std::string_view kExitStatus = "0 yes, 1 a negative answer (absent, different, broken), 2 an error.";

constexpr const char* kVerbFooter =
    "`flatpoint --help` shows the options that go with every verb: --json, --of-rank, --allow-outside, --limit.";

/// "[OPTIONS] CKPT [PATTERN...]", the arguments as a usage line has them.
std::string usage_of(const Command& command) {
  std::string usage = "[OPTIONS]";
  for (const auto& option : command.options()) {
    if (!option->is_argument()) continue;
    usage += option->is_required() ? " " + option->title() : fmt::format(" [{}]", option->title());
  }
  return usage;
}

/// Text that troff shows as it is: no line begins a request, and a hyphen can be searched for and copied.
std::string as_roff(std::string_view text) {
  std::string out;
  bool at_line_start = true;
  for (const char c : text) {
    if (at_line_start && (c == '.' || c == '\'')) out += "\\&";
    at_line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

void append_heading(std::string& page, std::string_view name, std::string_view summary) {
  page += fmt::format(".TH {} 1 \"\" \"flatpoint {}\" \"flatpoint\"\n.SH NAME\n{} \\- {}\n", as_roff(name),
                      FLATPOINT_VERSION, as_roff(name), as_roff(summary));
}

/// One paragraph per option, or per argument.
void append_options(std::string& page, const Command& command, bool arguments) {
  for (const auto& option : command.options()) {
    if (option->is_argument() != arguments) continue;
    page += fmt::format(".TP\n.B {}\n{}\n", as_roff(option->title()), as_roff(option->help()));
  }
}

constexpr std::string_view kHelpParagraph = ".TP\n.B \\-h,\\-\\-help\nPrint a short form of this text and exit\n";

}  // namespace

std::string help_of_tool(const Interface& tool) {
  std::string verbs;
  for (const Verb* verb : tool.verbs) verbs += fmt::format("  {:<22}{}\n", verb->name, verb->summary);
  return fmt::format(
      "{}\nUsage: flatpoint [OPTIONS] VERB\n\nOptions:\n"
      "  --version             Print the version and exit\n"
      "  -h,--help             Print this text and exit\n"
      "{}\nVerbs:\n{}\n{}\n"
      "The options above go with every verb; `flatpoint VERB --help` shows its own, and examples.\n\nExit status: {}\n",
      tool.all.summary(), help_of_options(tool.all), verbs, kAboutCheckpoints, kExitStatus);
}

std::string help_of_verb(const Interface& tool, std::size_t verb) {
  const Command& command = tool.commands[verb];
  return fmt::format(
      "{}\nUsage: flatpoint {} {}\n\nArguments:\n{}\nOptions:\n"
      "  -h,--help             Print this text and exit\n"
      "{}\nExamples:\n{}\n{}\n",
      command.summary(), command.name(), usage_of(command), help_of_arguments(command), help_of_options(command),
      tool.verbs[verb]->examples, kVerbFooter);
}

std::string manual_of_tool(const Interface& tool) {
  std::string page;
  append_heading(page, "flatpoint", tool.all.summary());
  page += ".SH SYNOPSIS\n.B flatpoint\n[OPTIONS] VERB [ARGUMENTS]\n.SH VERBS\n";
  for (const Verb* verb : tool.verbs) {
    page += fmt::format(".TP\n.BR flatpoint\\-{} (1)\n{}\n", as_roff(verb->name), as_roff(verb->summary));
  }
  page += ".SH OPTIONS\nThese go with every verb.\n.TP\n.B \\-\\-version\nPrint the version and exit\n";
  page += kHelpParagraph;
  append_options(page, tool.all, false);
  page += fmt::format(".SH DESCRIPTION\n{}\n", as_roff(kAboutCheckpoints));
  page += fmt::format(".SH EXIT STATUS\n{}\n", as_roff(kExitStatus));
  return page;
}

std::string manual_of_verb(const Interface& tool, std::size_t verb) {
  const Command& command = tool.commands[verb];
  std::string page;
  append_heading(page, "flatpoint-" + command.name(), command.summary());
  page += fmt::format(".SH SYNOPSIS\n.B flatpoint {}\n{}\n.SH ARGUMENTS\n", as_roff(command.name()),
                      as_roff(usage_of(command)));
  append_options(page, command, true);
  page += ".SH OPTIONS\n";
  page += kHelpParagraph;
  append_options(page, command, false);
  page += fmt::format(".SH EXAMPLES\n.nf\n{}\n.fi\n", as_roff(tool.verbs[verb]->examples));
  page += fmt::format(
      ".SH EXIT STATUS\n{}\n.SH SEE ALSO\n.BR flatpoint (1),\nwhich has the options that go with every verb\n",
      as_roff(kExitStatus));
  return page;
}

}  // namespace flatpoint::tool
