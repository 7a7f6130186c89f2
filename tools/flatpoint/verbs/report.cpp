// flatpoint report - a page that shows a checkpoint in any browser, offline.
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "publish.hpp"
#include "report_data.hpp"
#include "standard_input.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string checkpoint;
  Destination output;
};

constexpr std::string_view kData = "<!--data-->";  // where page.html has it

Result<Exit> run(const Arguments& arguments, Context& context) {
  if (auto free = check_free(arguments.output); !free) return tl::unexpected(std::move(free.error()));
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  const auto data = report_data(*opened);
  if (!data) return tl::unexpected(data.error());
  std::string page(report_page());
  page.replace(page.find(kData), kData.size(), *data);
  const std::filesystem::path path = *arguments.output.path;
  const auto bytes = std::as_bytes(std::span(page));
  if (auto done = publish(context, path, bytes, arguments.output.force, {opened->path}); !done)
    return tl::unexpected(std::move(done.error()));
  if (is_standard_stream(path)) return Exit::Yes;
  if (context.globals.json) {
    Json json(context.out);
    json.begin_object(Json::Style::Lines);
    write_checkpoint(json, *opened);
    write_published(json, path, opened->file.view(), page.size());
    json.end();
  } else {
    print_published(context.out, path, opened->file.view(), page.size());
    context.out.write("\n");
  }
  return Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  add_destination(command, arguments->output);
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kReport;
const Verb kReport{"report", "Write a page that shows a checkpoint in any browser: sizes, places, findings, holes",
                   "  flatpoint report ckpt/ -o report.html\n"
                   "  flatpoint report model.safetensors -o report.html --force\n",
                   declare};

}  // namespace flatpoint::tool
