#include "arrow.hpp"

#include <cerrno>
#include <utility>

namespace flatpoint::python {

void ArrowColumn::add_bit(bool valid) {
  if (size_ % 8 == 0) valid_.push_back(0);
  if (valid) {
    valid_.back() = static_cast<std::uint8_t>(valid_.back() | 1U << static_cast<unsigned>(size_ % 8));
  } else {
    ++nulls_;
  }
  ++size_;
}

void ArrowColumn::add_null() {
  switch (type_) {
    case Type::Number: numbers_.push_back(0); break;
    case Type::Coded: codes_.push_back(0); break;
    case Type::Text:
    case Type::Lists: ends_.push_back(ends_.back()); break;
  }
  add_bit(false);
}

namespace {

using SharedColumn = std::shared_ptr<const ArrowColumn>;

/// What a node of the interface points into. Each node has one: a consumer may take a child out of its parent.
template <class Node>
struct Holder {
  SharedColumn column;
  std::string name;
  std::vector<Node> nodes;
  std::vector<Node*> children;
  Node dictionary{};
  const void* buffers[3]{};
};

template <class Node>
void release(Node* node) {
  for (std::int64_t i = 0; i < node->n_children; ++i) {
    if (node->children[i]->release != nullptr) node->children[i]->release(node->children[i]);
  }
  if (node->dictionary != nullptr && node->dictionary->release != nullptr) node->dictionary->release(node->dictionary);
  delete static_cast<Holder<Node>*>(node->private_data);
  node->release = nullptr;
}

template <class Node>
Node node_of(Holder<Node>* holder) {
  Node node{};
  for (Node& child : holder->nodes) holder->children.push_back(&child);
  node.n_children = static_cast<std::int64_t>(holder->children.size());
  node.children = holder->children.empty() ? nullptr : holder->children.data();
  node.dictionary = holder->dictionary.release != nullptr ? &holder->dictionary : nullptr;
  node.release = &release<Node>;
  node.private_data = holder;
  return node;
}

constexpr std::int64_t kNullable = 2;

ArrowSchema schema_of(const char* format, std::string name, std::vector<ArrowSchema> children,
                      ArrowSchema dictionary = {}) {
  auto* holder = new Holder<ArrowSchema>{{}, std::move(name), std::move(children), {}, dictionary, {}};
  ArrowSchema schema = node_of(holder);
  schema.format = format;
  schema.name = holder->name.c_str();
  schema.flags = kNullable;
  return schema;
}

ArrowSchema schema_of(const ArrowColumn& column) {
  switch (column.type()) {
    case ArrowColumn::Type::Number: return schema_of("L", column.name(), {});
    case ArrowColumn::Type::Text: return schema_of("U", column.name(), {});
    case ArrowColumn::Type::Lists: return schema_of("+L", column.name(), {schema_of("l", "item", {})});
    case ArrowColumn::Type::Coded: break;
  }
  return schema_of("i", column.name(), {}, schema_of(*column.dictionary()));
}

ArrowArray array_of(const SharedColumn& column, std::int64_t length, std::vector<const void*> buffers,
                    std::vector<ArrowArray> children, ArrowArray dictionary = {}) {
  static constexpr std::uint64_t kNothing = 0;  // an address where there are no values
  auto* holder = new Holder<ArrowArray>{column, {}, std::move(children), {}, dictionary, {}};
  ArrowArray array = node_of(holder);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    holder->buffers[i] = buffers[i] != nullptr || i == 0 ? buffers[i] : &kNothing;
  }
  array.length = length;
  array.n_buffers = static_cast<std::int64_t>(buffers.size());
  array.buffers = holder->buffers;
  return array;
}

ArrowArray array_of(const SharedColumn& column) {
  const void* const valid = column->nulls() > 0 ? column->valid().data() : nullptr;
  ArrowArray array{};
  switch (column->type()) {
    case ArrowColumn::Type::Number:
      array = array_of(column, column->size(), {valid, column->numbers().data()}, {});
      break;
    case ArrowColumn::Type::Text:
      array = array_of(column, column->size(), {valid, column->ends().data(), column->text().data()}, {});
      break;
    case ArrowColumn::Type::Lists: {
      const auto count = static_cast<std::int64_t>(column->values().size());
      const ArrowArray items = array_of(column, count, {nullptr, column->values().data()}, {});
      array = array_of(column, column->size(), {valid, column->ends().data()}, {items});
      break;
    }
    case ArrowColumn::Type::Coded:
      array = array_of(column, column->size(), {valid, column->codes().data()}, {}, array_of(column->dictionary()));
      break;
  }
  array.null_count = column->nulls();
  return array;
}

struct Stream {
  ArrowTable table;
  bool done = false;
};

int get_schema(ArrowArrayStream* stream, ArrowSchema* out) {
  export_schema(static_cast<Stream*>(stream->private_data)->table, *out);
  return 0;
}

int get_next(ArrowArrayStream* stream, ArrowArray* out) {
  auto& from = *static_cast<Stream*>(stream->private_data);
  *out = {};
  if (std::exchange(from.done, true)) return 0;
  std::vector<ArrowArray> columns;
  for (const SharedColumn& column : from.table) columns.push_back(array_of(column));
  const std::int64_t rows = from.table.empty() ? 0 : from.table.front()->size();
  *out = array_of(nullptr, rows, {nullptr}, std::move(columns));
  return 0;
}

const char* last_error(ArrowArrayStream*) { return nullptr; }

void release_stream(ArrowArrayStream* stream) {
  delete static_cast<Stream*>(stream->private_data);
  stream->release = nullptr;
}

}  // namespace

void export_schema(const ArrowTable& table, ArrowSchema& out) {
  std::vector<ArrowSchema> columns;
  for (const SharedColumn& column : table) columns.push_back(schema_of(*column));
  out = schema_of("+s", "", std::move(columns));
}

void export_stream(const ArrowTable& table, ArrowArrayStream& out) {
  out = {&get_schema, &get_next, &last_error, &release_stream, new Stream{table}};
}

}  // namespace flatpoint::python
