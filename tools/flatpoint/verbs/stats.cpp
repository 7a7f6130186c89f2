// flatpoint stats - what the elements of tensors are like: which one went bad?
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/data.hpp"
#include "glob.hpp"
#include "progress.hpp"
#include "table.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string checkpoint;
  std::vector<std::string> patterns;
};

struct Row {
  TensorView tensor;
  std::optional<data::TensorStatistics> statistics;  // unset: a dtype without
};

bool matches(const std::vector<std::string>& patterns, std::string_view fqn) {
  return patterns.empty() || std::ranges::any_of(patterns, [&](const std::string& pattern) {
           return pattern == fqn || glob_matches(pattern, fqn);
         });
}

Result<std::vector<Row>> choose(const dcp::OpenedCheckpoint& opened, const std::vector<std::string>& patterns) {
  const MetadataView metadata = opened.file.view();
  std::vector<Row> rows;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry(i);
    const auto tensor = entry ? entry->tensor() : Lookup<TensorView>(LookupStatus::Corrupt);
    if (tensor.corrupt()) return tl::unexpected(corrupt(opened, fmt::format("entry {}", i)));
    if (tensor && matches(patterns, tensor->fqn())) rows.push_back({*tensor, {}});
  }
  return rows;
}

Result<void> fill(const data::Reader& reader, std::vector<Row>& rows) {
  std::uint64_t total = 0;
  for (const Row& row : rows) total += tensor_bytes(row.tensor).value_or(0);
  Progress progress;
  std::uint64_t done = 0;
  for (Row& row : rows) {
    const auto show = [&](std::uint64_t bytes) { progress.show(done + bytes, total); };
    auto statistics = data::statistics(reader, row.tensor, show);
    if (statistics) {
      row.statistics = *statistics;
    } else if (statistics.error().code != ErrorCode::NotPlain) {
      return tl::unexpected(std::move(statistics.error()));
    }
    progress.show(done += tensor_bytes(row.tensor).value_or(0), total);
  }
  return {};
}

bool is_bad(const Row& row) { return row.statistics && row.statistics->nans + row.statistics->infinities > 0; }

void print(Output& out, const std::vector<Row>& rows) {
  static constexpr std::array kColumns{Column{"FQN"},
                                       Column{"dtype"},
                                       Column{"shape"},
                                       Column{"min", Align::Right},
                                       Column{"max", Align::Right},
                                       Column{"mean", Align::Right},
                                       Column{"std", Align::Right},
                                       Column{"zeros", Align::Right},
                                       Column{"NaN", Align::Right},
                                       Column{"Inf", Align::Right}};
  print_table(out, kColumns, rows.size(), [&](std::uint64_t i, Cells& cells) {
    const Row& row = rows[i];
    cells.add(printable(row.tensor.fqn()));
    cells.add(dtype_text(row.tensor));
    cells.add(list_text(row.tensor.size()));
    if (!row.statistics) return;
    const data::TensorStatistics& s = *row.statistics;
    for (const double number : {s.min, s.max, s.mean, s.std}) cells.add(fmt::format("{:.6g}", number));
    for (const std::uint64_t count : {s.zeros, s.nans, s.infinities}) cells.add(grouped(count));
  });
}

void print_json(Output& out, const dcp::OpenedCheckpoint& opened, const std::vector<Row>& rows) {
  Json json(out);
  const auto number = [&](std::string_view name, double value) {
    if (std::isfinite(value)) {
      json.member(name, value);
    } else {
      json.member(name, fmt::format("{}", value));
    }
  };
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.key("tensors").begin_array(Json::Style::Lines);
  for (const Row& row : rows) {
    json.begin_object();
    json.member("fqn", row.tensor.fqn());
    json.member("dtype", dtype_text(row.tensor));
    json.member("shape", row.tensor.size());
    if (row.statistics) {
      const data::TensorStatistics& s = *row.statistics;
      json.member("elements", s.elements);
      number("min", s.min);
      number("max", s.max);
      json.member("mean", s.mean);
      json.member("std", s.std);
      json.member("zeros", s.zeros);
      json.member("nan", s.nans);
      json.member("inf", s.infinities);
    }
    json.end();
  }
  json.end();
  json.end();
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  auto rows = choose(*opened, arguments.patterns);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty() && !arguments.patterns.empty())
    return report_absent_fqn(context, *opened, arguments.patterns.front());
  const auto reader = open_data(context, *opened);
  if (!reader) return tl::unexpected(reader.error());
  if (auto filled = fill(*reader, *rows); !filled) return tl::unexpected(std::move(filled.error()));
  if (context.globals.json) {
    print_json(context.out, *opened, *rows);
  } else {
    print(context.out, *rows);
  }
  return std::ranges::any_of(*rows, is_bad) ? Exit::No : Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("PATTERN", arguments->patterns, "Only tensors whose FQN is this or matches");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kStats;
const Verb kStats{"stats", "Read tensors once: min, max, mean, std, zeros; a NaN or Inf is a negative answer",
                  "  flatpoint stats ckpt/\n"
                  "  flatpoint stats ckpt/ 'model.layers.*.weight'\n",
                  declare};

}  // namespace flatpoint::tool
