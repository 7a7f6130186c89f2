#include "core/format_example.hpp"

#include <algorithm>
#include <vector>

#include "base/format.hpp"
#include "format/constants.hpp"
#include "support/editable_file.hpp"
#include "support/model.hpp"

namespace flatpoint::test {
namespace {

Model example_model() {
  Model model;
  model.entries = {whole("a", {4}), tensor("b", {8}, even_grid({8}, {2}))};
  store_all(model, 2);
  for (ModelItem& item : *model.storage_data) item.info.length = 16;
  return model;
}

/// Bytes of the file that belong together, and what they are.
struct Part {
  std::size_t begin;
  std::size_t size;
  std::string what;
};

class Dump {
 public:
  explicit Dump(EditableFile& file) : file_(file), bytes_(file.bytes()) {}

  std::string run() {
    frame();
    entries();
    column("fqns", file_->fqns, "the bytes \"ab\"");
    column("fqn_slots", file_->fqn_slots, "0, or entry + 1 below 30 hash bits");
    column("sizes", file_->sizes, "the shapes [4] and [8]");
    column("boxes", file_->boxes, "b: 2 cells, step 4");
    column("chunk_files", file_->chunk_files, "of the rows: a, b's first, b's second");
    column("chunk_byte_offsets", file_->chunk_byte_offsets, "in their files");
    column("chunk_lengths", file_->chunk_lengths, "16 bytes for all");
    column("file_names", file_->file_names.bytes, "\"__0_0.distcp__1_0.distcp\"");
    column("file_name_ends", file_->file_names.ends, "in file_names");
    std::ranges::sort(parts_, {}, &Part::begin);
    return text();
  }

 private:
  void frame() {
    const auto table = file_.raw<std::uint32_t>(0);
    const std::size_t vtable = table - static_cast<std::size_t>(file_.raw<std::int32_t>(table));
    const std::size_t trailer = bytes_.size() - format::kTrailerSize;
    add(0, 4, fmt::format("root table at {}", table));
    add(4, 4, "file identifier \"FLPT\"");
    add(vtable, file_.raw<std::uint16_t>(vtable), "vtable: its size, the table's, each field's place");
    add(table, file_.raw<std::uint16_t>(vtable + 2), "root table: distance to its vtable, then the fields");
    add(trailer, 8, "trailer: digest, XXH3-64 of all before it");
    add(trailer + 8, 8, fmt::format("length of the FlatBuffer, {}", trailer));
    add(trailer + 16, 8, "magic \"FLPT.END\"");
  }

  void entries() {
    const std::size_t begin = file_.position_of(file_->entries);
    add(begin - 4, 4, "entries: 2 rows of 48 bytes");
    for (std::size_t i = 0; i < file_->entries.size(); ++i) {
      const EntryRow& row = file_->entries[i];
      add(begin + i * sizeof row, 24,
          fmt::format("entry {}: FQN at {}, {} byte; size at {}, box at {}, chunks {} + {}", i, row.fqn_begin,
                      row.fqn_length, row.size_begin, row.box_begin, row.chunk_begin, row.chunk_count));
      add(begin + i * sizeof row + 24, 24,
          fmt::format("  order, length at {}; dtype {}; ndim {}, layout {}", row.length_begin,
                      static_cast<int>(row.properties.dtype), row.ndim,
                      row.chunk_layout == ChunkLayout::Whole ? "Whole" : "EvenGrid"));
    }
  }

  template <class T>
  void column(const char* name, std::span<const T> column, const char* what) {
    add(file_.position_of(column) - 4, 4 + column.size_bytes(), fmt::format("{}: {}, {}", name, column.size(), what));
  }

  void add(std::size_t begin, std::size_t size, std::string what) { parts_.push_back({begin, size, std::move(what)}); }

  std::string text() const {
    std::string text;
    std::size_t end = 0;
    for (const Part& part : parts_) {
      if (part.begin > end) lines(text, {end, part.begin - end, "padding"});
      lines(text, part);
      end = part.begin + part.size;
    }
    return text;
  }

  void lines(std::string& text, const Part& part) const {
    constexpr std::size_t kWidth = 24;
    for (std::size_t at = 0; at < part.size; at += kWidth) {
      const auto bytes = bytes_.subspan(part.begin + at, std::min(kWidth, part.size - at));
      std::string hex;
      for (std::size_t i = 0; i < bytes.size(); ++i)
        hex += fmt::format("{}{:02x}", i > 0 && i % 4 == 0 ? " " : "", static_cast<int>(bytes[i]));
      text += at == 0 ? fmt::format("    {:4}  {:53}  {}", part.begin, hex, part.what)
                      : fmt::format("    {:4}  {}", part.begin + at, hex);
      text += '\n';
    }
  }

  EditableFile& file_;
  std::span<const std::byte> bytes_;
  std::vector<Part> parts_;
};

}  // namespace

std::string format_example() {
  EditableFile file(encoded(example_model()));
  return Dump(file).run();
}

}  // namespace flatpoint::test
