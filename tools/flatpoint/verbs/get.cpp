// flatpoint get - tensors, boxes of them and plain values, out of a checkpoint into a file or a pipe.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/data.hpp"
#include "flatpoint/safetensors.hpp"
#include "glob.hpp"
#include "progress.hpp"
#include "tensor_file.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string checkpoint;
  std::vector<std::string> names;
  std::optional<std::string> box;
  std::optional<std::string> output;
  std::optional<std::string> format;
  bool force = false;
};

struct Box {
  Size offsets;
  Size sizes;
};

tl::unexpected<Error> usage(std::string message) { return fail(ErrorCode::InvalidArgument, std::move(message)); }

/// One dimension of "0:4,:,7,-2:": begin and end as Python has them; one number keeps its dimension, with one element.
Result<void> parse_range(std::string_view text, std::int64_t size, Box& box) {
  const auto invalid = [&] { return usage(fmt::format("--box: '{}' is no range such as 0:4, 2: or 7", text)); };
  const auto outside = [&] {
    return usage(fmt::format("--box: '{}' does not lie inside a dimension of {}", text, size));
  };
  const auto number = [&](std::string_view digits, std::int64_t fallback, std::int64_t& value) {
    value = fallback;
    if (digits.empty()) return true;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return false;
    if (value < 0) value += size;
    return true;
  };
  std::int64_t begin = 0;
  std::int64_t end = 0;
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    if (text.empty() || !number(text, 0, begin)) return invalid();
    if (begin >= size) return outside();
    end = begin + 1;
  } else if (!number(text.substr(0, colon), 0, begin) || !number(text.substr(colon + 1), size, end)) {
    return invalid();
  }
  if (begin < 0 || end < begin || end > size) return outside();
  box.offsets.push_back(begin);
  box.sizes.push_back(end - begin);
  return {};
}

/// The whole tensor without `text`; dimensions that it does not name are whole.
Result<Box> box_of(const TensorView& tensor, std::string_view text) {
  Box box;
  const auto sizes = tensor.size();
  while (!text.empty()) {
    if (box.sizes.size() == sizes.size())
      return usage(fmt::format("--box: more ranges than the {} dimensions of '{}'", sizes.size(), tensor.fqn()));
    const std::size_t comma = std::min(text.find(','), text.size());
    if (auto parsed = parse_range(text.substr(0, comma), sizes[box.sizes.size()], box); !parsed)
      return tl::unexpected(std::move(parsed.error()));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  for (std::size_t i = box.sizes.size(); i < sizes.size(); ++i) {
    box.offsets.push_back(0);
    box.sizes.push_back(sizes[i]);
  }
  return box;
}

std::uint64_t bytes_of(const TensorView& tensor, const Size& sizes) {
  std::uint64_t bytes = item_size(tensor.dtype());
  for (const std::int64_t size : sizes) bytes *= static_cast<std::uint64_t>(size);  // box_bytes saw that they fit
  return bytes;
}

/// Reads a box and writes it row-major, slab by slab.
class BoxWriter {
 public:
  BoxWriter(const data::Reader& reader, const TensorView& tensor, FileWriter& out, Task& task)
      : reader_(reader), tensor_(tensor), out_(out), task_(task) {}

  Result<void> write(const Box& box, std::size_t dimension = 0) {
    constexpr std::uint64_t kSlab = std::uint64_t{16} << 20;
    const std::uint64_t bytes = bytes_of(tensor_, box.sizes);
    if (bytes == 0) return {};
    if (bytes <= kSlab || dimension == box.sizes.size()) return write_slab(box, bytes);
    const auto row = bytes / static_cast<std::uint64_t>(box.sizes[dimension]);
    const auto rows = static_cast<std::int64_t>(std::max<std::uint64_t>(1, kSlab / row));
    for (std::int64_t i = 0; i < box.sizes[dimension]; i += rows) {
      Box part = box;
      part.offsets[dimension] += i;
      part.sizes[dimension] = std::min(rows, box.sizes[dimension] - i);
      if (auto written = write(part, dimension + 1); !written) return written;
    }
    return {};
  }

 private:
  Result<void> write_slab(const Box& box, std::uint64_t bytes) {
    if (slab_.size() < bytes) slab_.resize(bytes);
    auto read = reader_.read(tensor_, box.offsets, box.sizes, {slab_.data(), {}});
    if (!read) return tl::unexpected(std::move(read.error()));
    auto written = out_.write(std::span(slab_).first(bytes));
    task_.add(bytes);
    return written;
  }

  const data::Reader& reader_;
  const TensorView& tensor_;
  FileWriter& out_;
  Task& task_;
  std::vector<std::byte> slab_;
};

struct Chosen {
  std::vector<TensorView> tensors;
  std::vector<EntryView> values;
};

/// Every name or pattern chooses something. An absent name is a negative answer, which is said.
Result<std::optional<Chosen>> choose(Context& context, const dcp::OpenedCheckpoint& opened,
                                     const std::vector<std::string>& names) {
  const MetadataView metadata = opened.file.view();
  std::vector<std::uint32_t> positions;
  for (std::string name : names) {
    if (const auto entry = find_entry(metadata, name)) {
      positions.push_back(entry->position());
      continue;
    }
    const std::size_t before = positions.size();
    for (std::uint32_t i = 0; i < metadata.size(); ++i) {
      const auto entry = metadata.entry(i);
      if (!entry) return tl::unexpected(corrupt(opened, fmt::format("entry {}", i)));
      if (glob_matches(name, entry->fqn())) positions.push_back(i);
    }
    if (positions.size() == before) {
      report_absent_fqn(context, opened, name);
      return std::nullopt;
    }
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  Chosen chosen;
  for (const std::uint32_t position : positions) {
    const auto entry = metadata.entry(position);
    const auto tensor = entry->tensor();
    if (tensor.corrupt()) return tl::unexpected(corrupt(opened, fmt::format("FQN '{}'", entry->fqn())));
    if (tensor) {
      chosen.tensors.push_back(*tensor);
    } else {
      chosen.values.push_back(*entry);
    }
  }
  // The widest elements first, so that each tensor of a file with several is aligned.
  std::ranges::stable_sort(chosen.tensors, std::ranges::greater(),
                           [](const TensorView& tensor) { return item_size(tensor.dtype()); });
  return chosen;
}

Result<std::string> format_of(const Arguments& arguments, const Chosen& chosen) {
  const std::string output = arguments.output.value_or("");
  std::string format = arguments.format.value_or(fs::path(output).extension().string());
  if (!format.empty() && format.front() == '.') format.erase(0, 1);
  if (format.empty() && output == "-") format = chosen.tensors.size() == 1 ? "npy" : "safetensors";
  if (format == "npy" || format == "safetensors" || format == "raw") return format;
  return usage("which format? Name the output x.npy, x.safetensors or x.raw, or give --format");
}

Result<void> write_tensors(const data::Reader& reader, const std::vector<TensorView>& tensors,
                           const std::vector<Box>& boxes, std::string_view format, FileWriter& out) {
  const TensorView& first = tensors.front();
  std::string head;
  if (format != "safetensors" && tensors.size() > 1)
    return usage(fmt::format("{} tensors do not fit a {} file; write a .safetensors file", tensors.size(), format));
  for (const TensorView& tensor : tensors) {
    const bool known = format == "npy"   ? npy_dtype(tensor.dtype()).has_value()
                       : format == "raw" ? item_size(tensor.dtype()) != 0
                                         : !safetensors::safetensors_name_of(tensor.dtype()).empty();
    if (known) continue;
    return usage(fmt::format("FQN '{}': {} has no place in a {} file; {}", tensor.fqn(), dtype_text(tensor), format,
                             safetensors::safetensors_name_of(tensor.dtype()).empty()
                                 ? "write a .raw file"
                                 : "write a .safetensors or a .raw file"));
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (auto bytes = data::box_bytes(tensors[i], boxes[i].sizes); !bytes)
      return tl::unexpected(std::move(bytes.error()));
  }
  if (format == "npy") {
    head = npy_head(first.dtype(), boxes.front().sizes);
    if (npy_dtype(first.dtype())->starts_with("<V"))
      complain("note", fmt::format("NumPy has no {0}: view the array as ml_dtypes.{0}", dtype_text(first)));
  }
  if (format == "safetensors") {
    std::vector<safetensors::NamedTensor> named;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      named.push_back({tensors[i].fqn(), tensors[i].dtype(), boxes[i].sizes, bytes_of(tensors[i], boxes[i].sizes)});
    auto made = safetensors::head_of(named);
    if (!made) {
      if (made.error().code == ErrorCode::InvalidArgument) made.error().message += "; write a .raw file";
      return tl::unexpected(std::move(made.error()));
    }
    head = std::move(*made);
  }
  if (auto written = out.write(head); !written) return written;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) total += bytes_of(tensors[i], boxes[i].sizes);
  Task task(total);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (auto written = BoxWriter(reader, tensors[i], out, task).write(boxes[i]); !written) return written;
  }
  return out.finish();
}

/// Values by name as one JSON object; a single one as itself.
Result<Exit> get_values(const data::Reader& reader, const Arguments& arguments, const Chosen& chosen,
                        Context& context) {
  std::string text;
  for (const EntryView& entry : chosen.values) {
    auto value = reader.read_value(entry);
    if (!value) return tl::unexpected(std::move(value.error()));
    if (chosen.values.size() > 1) {
      text += text.empty() ? "{" : ",\n ";
      append_json_string(text, entry.fqn());
      text += ": ";
    }
    text += *value;
  }
  text += chosen.values.size() > 1 ? "}\n" : "\n";
  if (!arguments.output || *arguments.output == "-") {
    context.out.write(text);
    return Exit::Yes;
  }
  auto out = FileWriter::create(*arguments.output, arguments.force);
  if (!out) return tl::unexpected(std::move(out.error()));
  return out->write(text).and_then([&] { return out->finish(); }).map([] { return Exit::Yes; });
}

Result<Exit> get_tensors(const data::Reader& reader, const Arguments& arguments, const Chosen& chosen) {
  if (!arguments.output)
    return usage(fmt::format("'{}' is a tensor: say where it goes with -o x.npy, x.safetensors, x.raw or -",
                             chosen.tensors.front().fqn()));
  const auto format = format_of(arguments, chosen);
  if (!format) return tl::unexpected(format.error());
  std::vector<Box> boxes;
  for (const TensorView& tensor : chosen.tensors) {
    auto box = box_of(tensor, arguments.box.value_or(""));
    if (!box) return tl::unexpected(std::move(box.error()));
    boxes.push_back(std::move(*box));
  }
  auto out = FileWriter::create(*arguments.output, arguments.force);
  if (!out) return tl::unexpected(std::move(out.error()));
  return write_tensors(reader, chosen.tensors, boxes, *format, *out).map([] { return Exit::Yes; });
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  const auto chosen = choose(context, *opened, arguments.names);
  if (!chosen) return tl::unexpected(chosen.error());
  if (!*chosen) return Exit::No;
  const auto reader = open_data(context, *opened);
  if (!reader) return tl::unexpected(reader.error());
  if ((*chosen)->tensors.empty()) return get_values(*reader, arguments, **chosen, context);
  if (!(*chosen)->values.empty())
    return usage(fmt::format("'{}' is no tensor; ask for it by itself", (*chosen)->values.front().fqn()));
  return get_tensors(*reader, arguments, **chosen);
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("NAME", arguments->names, "FQNs or patterns; tensors, or bytes items, whose plain values are JSON")
      .required();
  command.add_option("--box", arguments->box, "Only this part of each tensor, as Python slices: 0:4,: or -1,2:")
      .type_name("B:E,...");
  command.add_option("-o,--output", arguments->output, "x.npy, x.safetensors (several tensors), x.raw; - is a pipe")
      .type_name("OUT");
  command.add_option("--format", arguments->format, "npy, safetensors or raw, whatever the name of the output")
      .type_name("FORMAT");
  command.add_flag("-f,--force", arguments->force, "Replace a file that is there already");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kGet;
const Verb kGet{"get", "Read tensors, parts of them or plain values, without torch",
                "  flatpoint get ckpt/ model.norm.weight -o norm.npy\n"
                "  flatpoint get ckpt/ model.embed.weight --box 0:4,: -o - | python3 -c ...\n"
                "  flatpoint get ckpt/ 'model.layers.0.*' -o layer.safetensors\n"
                "  flatpoint get ckpt/ optimizer.step\n",
                declare};

}  // namespace flatpoint::tool
