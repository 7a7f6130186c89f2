// flatpoint show - everything about a checkpoint, or about one FQN.
#include "show.hpp"

#include <memory>

#include "arguments.hpp"

namespace flatpoint::tool {

void Facts::print(Output& out) const {
  static constexpr std::array kColumns{Column{""}, Column{""}};
  print_table(out, kColumns, facts_.size(), [&](std::uint64_t i, Cells& cells) {
    cells.add(facts_[i].first);
    cells.add(facts_[i].second);
  });
}

std::string exact_bytes(std::optional<std::uint64_t> bytes) {
  if (!bytes) return "-";
  return *bytes < 1024 ? human_size(*bytes) : fmt::format("{} ({})", grouped(*bytes), human_size(*bytes));
}

namespace {

struct Arguments {
  std::string checkpoint;
  std::optional<std::string> fqn;
  bool all = false;
};

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto opened = open(context, arguments.checkpoint, arguments.fqn ? OpenMode::Map : OpenMode::Copy);
  if (!opened) return tl::unexpected(opened.error());
  if (arguments.fqn) return show_entry(context, *opened, *arguments.fqn);
  return show_checkpoint(context, *opened, arguments.all);
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("FQN", arguments->fqn, "One tensor or bytes: the name, as it is or as `ls` prints it");
  command.add_flag("-a,--all", arguments->all, "Every file and opaque record, however many there are");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kShow;
const Verb kShow{"show", "Show a checkpoint as a whole, or one FQN with its chunks",
                 "  flatpoint show ckpt/\n"
                 "  flatpoint show ckpt/ model.norm.weight\n",
                 declare};

}  // namespace flatpoint::tool
