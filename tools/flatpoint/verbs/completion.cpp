// flatpoint completion - the script that makes a shell complete command lines; the tool itself knows the candidates.
#include "completion.hpp"

#include <array>
#include <memory>

#include "arguments.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string shell;
  std::vector<std::string> words;
};

constexpr std::string_view kBash =
    R"(# Completion of flatpoint for bash: source this, or put it into bash-completion's folder as "flatpoint".
_flatpoint() {
  local candidate
  COMPREPLY=()
  while IFS= read -r candidate; do
    printf -v candidate %q "$candidate"
    COMPREPLY+=("$candidate")
  done < <("$1" completion bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *[.=] ]]; then compopt -o nospace; fi
}
complete -o default -F _flatpoint flatpoint
)";

constexpr std::string_view kZsh = R"(#compdef flatpoint
# Completion of flatpoint for zsh: put this into a folder of $fpath as "_flatpoint".
_flatpoint() {
  local -a found open closed
  found=("${(@f)$("$words[1]" completion zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("${(@)found:#}")
  if (( ! $#found )); then
    _files
    return
  fi
  open=("${(@M)found:#*.}")
  closed=("${(@)found:#*.}")
  (( $#open )) && compadd -Q -S '' -- "${(@q)open}"
  (( $#closed )) && compadd -Q -- "${(@q)closed}"
}
if [ "$funcstack[1]" = _flatpoint ]; then _flatpoint "$@"; else compdef _flatpoint flatpoint; fi
)";

constexpr std::string_view kFish =
    R"(# Completion of flatpoint for fish: put this into ~/.config/fish/completions as "flatpoint.fish".
function __flatpoint_complete
    set -l words (commandline -opc)
    set -l found ($words[1] completion fish -- $words[2..] (commandline -ct) 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c flatpoint -f -a '(__flatpoint_complete)'
)";

struct Shell {
  std::string_view name;
  std::string_view script;
  bool shows_descriptions;
};

constexpr std::array kShells{Shell{"bash", kBash, false}, Shell{"zsh", kZsh, false}, Shell{"fish", kFish, true}};

Result<Exit> run(Context& context, const Arguments& arguments) {
  const Shell& shell = *std::ranges::find(kShells, arguments.shell, &Shell::name);
  if (arguments.words.empty()) {
    context.out.write(shell.script);
    return Exit::Yes;
  }
  for (const Candidate& candidate : complete(context, arguments.words)) {
    context.out.write(candidate.text);
    if (shell.shows_descriptions && !candidate.description.empty()) context.out.print("\t{}", candidate.description);
    context.out.write("\n");
  }
  return Exit::Yes;
}

Run declare(Command& command) {
  auto arguments = std::make_shared<Arguments>();
  std::vector<std::string> names;
  for (const Shell& shell : kShells) names.emplace_back(shell.name);
  command.add_option("SHELL", arguments->shell, "bash, zsh or fish").required().one_of(std::move(names));
  command.add_option("WORD", arguments->words,
                     "Behind --: the words of a command line after `flatpoint`, the last one unfinished;\n"
                     "prints what may stand in its place, as the script asks for");
  return [arguments](Context& context) { return run(context, *arguments); };
}

constexpr const char* kExamples =
    "  source <(flatpoint completion bash)\n"
    "  flatpoint completion zsh > ~/.zfunc/_flatpoint\n"
    "  flatpoint completion fish > ~/.config/fish/completions/flatpoint.fish\n"
    "  flatpoint completion bash -- show ckpt/ model.la\n";

}  // namespace

extern const Verb kCompletion;
const Verb kCompletion{"completion", "Print the script that completes command lines in a shell, FQNs too", kExamples,
                       declare};

}  // namespace flatpoint::tool
