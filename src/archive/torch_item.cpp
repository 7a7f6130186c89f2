#include "archive/torch_item.hpp"

#include <algorithm>
#include <array>

#include "archive/crc32.hpp"
#include "archive/pickle.hpp"
#include "archive/plain_value.hpp"
#include "archive/torch_rebuilt.hpp"
#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"

namespace flatpoint::archive {
namespace {

constexpr std::uint64_t kMaxTensorPickle = std::uint64_t{1} << 20;  // a tensor's takes 150 to 300 bytes
constexpr std::uint64_t kMaxValuePickle = std::uint64_t{1} << 28;   // a value that would take all memory
constexpr std::size_t kMaxNdim = 255;

tl::unexpected<Error> broken(std::string_view what) { return fail(ErrorCode::BadItem, std::string(what)); }

tl::unexpected<Error> not_plain(std::string_view reason) {
  return fail(ErrorCode::NotPlain, fmt::format("not a plain tensor: {}", reason));
}

/// The classes of typed storages, which name the dtype where the tensor does not.
constexpr std::array kStorages{std::pair{"torch FloatStorage", ScalarType::Float32},
                               std::pair{"torch DoubleStorage", ScalarType::Float64},
                               std::pair{"torch HalfStorage", ScalarType::Float16},
                               std::pair{"torch BFloat16Storage", ScalarType::Bfloat16},
                               std::pair{"torch LongStorage", ScalarType::Int64},
                               std::pair{"torch IntStorage", ScalarType::Int32},
                               std::pair{"torch ShortStorage", ScalarType::Int16},
                               std::pair{"torch CharStorage", ScalarType::Int8},
                               std::pair{"torch ByteStorage", ScalarType::Uint8},
                               std::pair{"torch BoolStorage", ScalarType::Bool},
                               std::pair{"torch ComplexFloatStorage", ScalarType::Complex64},
                               std::pair{"torch ComplexDoubleStorage", ScalarType::Complex128}};

std::optional<ScalarType> dtype_of_storage(std::string_view storage) {
  const auto found =
      std::ranges::find(kStorages, storage, [](const auto& known) { return std::string_view(known.first); });
  return found == kStorages.end() ? std::nullopt : std::optional(found->second);
}

bool read_sizes(Value value, Size& sizes) {
  if (!value.is(Tag::Tuple)) return false;
  for (const Value item : Unpickled::arguments(value)) {
    const auto number = Heap::integer(item);
    if (!number || *number < 0) return false;
    sizes.push_back(*number);
  }
  return sizes.size() <= kMaxNdim;
}

/// ('storage', class, key, device, number of elements).
Result<Rebuilt> read_storage(const Unpickled& pickle, Value storage) {
  if (!storage.is(Tag::PersistentId)) return not_plain("no storage of its own");
  const auto id = Unpickled::arguments(*storage.node<Value>());
  const auto key = id.size() == 5 ? pickle.heap->text(id[2]) : std::nullopt;
  if (!key) return broken("a storage with an unknown form of persistent id");
  Rebuilt rebuilt;
  rebuilt.key = *key;
  rebuilt.tensor.dtype = dtype_of_storage(pickle.global(id[1])).value_or(ScalarType::Other);
  return rebuilt;
}

/// What a dict of a tensor's attributes says of how its bytes are meant.
Result<void> check_attributes(const Unpickled& pickle, Value attributes) {
  if (!attributes.is(Tag::Dict)) return {};
  for (const Block* block = attributes.node<Container>()->blocks.first; block != nullptr; block = block->next) {
    for (std::size_t i = 0; i + 1 < block->count; i += 2) {
      const auto name = pickle.heap->text(block->values()[i]);
      const bool is_set = !block->values()[i + 1].is(Tag::False);
      if (is_set && (name == "conj" || name == "neg")) return not_plain(*name);
    }
  }
  return {};
}

/// Of a dict with keys of type str; Unset where it has none of that name.
Value value_of(const Unpickled& pickle, Value dict, std::string_view name) {
  if (!dict.is(Tag::Dict)) return {};
  for (const Block* block = dict.node<Container>()->blocks.first; block != nullptr; block = block->next) {
    for (std::size_t i = 0; i + 1 < block->count; i += 2) {
      if (pickle.heap->text(block->values()[i]) == name) return block->values()[i + 1];
    }
  }
  return {};
}

}  // namespace

// _rebuild_from_type_v2(function, class, arguments, state), where state is a dict of attributes or (dict, slots),
// either of which has the local tensor.
Value local_tensor(const Unpickled& pickle, Value value) {
  const Object* const object = Unpickled::object(value);
  if (object == nullptr) return value;
  const auto arguments = Unpickled::arguments(object->args);
  if (pickle.callable(*object) == "torch._utils _rebuild_parameter" && !arguments.empty()) {
    const Object* const data = Unpickled::object(arguments[0]);
    const bool is_nested = data != nullptr && pickle.callable(*data) == "torch._utils _rebuild_parameter";
    return is_nested ? value : local_tensor(pickle, arguments[0]);
  }
  if (pickle.callable(*object) != "torch._tensor _rebuild_from_type_v2" || arguments.size() != 4) return value;
  if (pickle.global(arguments[1]) != "torch.distributed.tensor DTensor") return value;
  constexpr std::string_view kLocal = "_local_tensor";
  Value local = value_of(pickle, arguments[3], kLocal);
  for (const Value part : Unpickled::arguments(arguments[3])) {
    if (local.is(Tag::Unset)) local = value_of(pickle, part, kLocal);
  }
  return local.is(Tag::Unset) ? value : local;
}

Result<Rebuilt> read_rebuilt(const Unpickled& pickle, Value root) {
  const Object* const object = Unpickled::object(root);
  if (object == nullptr) return not_plain("no tensor");
  const std::string callable = pickle.callable(*object);
  const auto arguments = Unpickled::arguments(object->args);
  if (callable == "torch._utils _rebuild_parameter" && !arguments.empty()) {
    const Object* const data = Unpickled::object(arguments[0]);
    if (data == nullptr || pickle.callable(*data) == callable) return broken("a parameter without a tensor");
    return read_rebuilt(pickle, arguments[0]);
  }
  if (callable == "torch._utils _rebuild_qtensor") return not_plain("quantized");
  const bool v3 = callable == "torch._utils _rebuild_tensor_v3";
  if (!v3 && callable != "torch._utils _rebuild_tensor_v2") {
    const std::string subclass = arguments.size() > 1 ? pickle.global(arguments[1]) : std::string();
    return not_plain(fmt::format("subclass {}", subclass.empty() ? callable : subclass));
  }
  // storage, storage_offset, size, stride, requires_grad, backward_hooks[, dtype][, attributes]
  const std::size_t needed = v3 ? 7 : 6;
  if (arguments.size() < needed || object->kind != Object::Kind::Reduce)
    return broken("a tensor with too few arguments");
  auto rebuilt = read_storage(pickle, arguments[0]);
  RETURN_IF_ERROR(rebuilt);
  TorchTensor& tensor = rebuilt->tensor;
  const auto offset = Heap::integer(arguments[1]);
  if (!offset || *offset < 0 || !read_sizes(arguments[2], tensor.size) || !read_sizes(arguments[3], tensor.strides) ||
      tensor.size.size() != tensor.strides.size())
    return broken("a tensor whose offset, size or strides make no sense");
  tensor.storage_offset = static_cast<std::uint64_t>(*offset);
  if (v3) {
    const std::string dtype = pickle.global(arguments[6]);
    tensor.dtype = dtype.starts_with("torch ")
                       ? scalar_type_from_name(std::string_view(dtype).substr(6)).value_or(ScalarType::Other)
                       : ScalarType::Other;
  }
  if (item_size(tensor.dtype) == 0) return not_plain("a dtype that is not known");
  if (object->blocks.first != nullptr) return not_plain("a tensor with a state of its own");
  if (arguments.size() > needed) {
    RETURN_IF_ERROR(check_attributes(pickle, arguments[needed]));
  }
  return rebuilt;
}

namespace {

/// Whether every element lies inside the storage.
bool fits(const TorchTensor& tensor) noexcept {
  const std::uint64_t elements = tensor.storage_bytes / item_size(tensor.dtype);
  std::uint64_t last = tensor.storage_offset;
  for (std::size_t i = 0; i < tensor.size.size(); ++i) {
    if (tensor.size[i] == 0) return tensor.storage_offset <= elements;
    std::uint64_t step = 0;
    if (!base::multiply(static_cast<std::uint64_t>(tensor.size[i] - 1), static_cast<std::uint64_t>(tensor.strides[i]),
                        step) ||
        __builtin_add_overflow(last, step, &last))
      return false;
  }
  return last < elements;
}

}  // namespace

Result<void> check_byte_order(const Zip& zip) {
  const ZipRecord* const record = zip.find("byteorder");
  if (record == nullptr) return {};  // torch before 2.1 wrote none
  const auto order = zip.read(*record, 16);
  RETURN_IF_ERROR(order);
  return *order == "little" ? Result<void>() : not_plain(fmt::format("byte order {}", *order));
}

Result<Unpickled> read_pickle(const Zip& zip, std::uint64_t limit) {
  const ZipRecord* const record = zip.find("data.pkl");
  if (record == nullptr) return broken("an archive without data.pkl");
  auto bytes = zip.read(*record, limit);
  RETURN_IF_ERROR(bytes);
  return unpickle(std::move(*bytes));
}

Result<TorchTensor> place(const Zip& zip, const ZipRecord& record, TorchTensor tensor) {
  const auto begin = zip.begin_of(record);
  RETURN_IF_ERROR(begin);
  tensor.storage_begin = *begin;
  tensor.storage_bytes = record.size;
  tensor.crc32 = record.known_crc();
  if (!fits(tensor)) return broken("a tensor that reaches outside its storage");
  return tensor;
}

namespace {

bool is_storage(const ZipRecord& record) noexcept { return record.name.starts_with("data/"); }

}  // namespace

std::string_view storage_class_of(ScalarType dtype) noexcept {
  const auto found = std::ranges::find(kStorages, dtype, [](const auto& known) { return known.second; });
  return found == kStorages.end() ? std::string_view() : std::string_view(found->first);
}

bool TorchTensor::is_dense() const noexcept {
  if (std::ranges::find(size, 0) != size.end()) return true;
  std::int64_t expected = 1;
  for (std::size_t i = size.size(); i-- > 0;) {
    if (size[i] != 1 && strides[i] != expected) return false;
    expected *= size[i];  // at most what `fits` has seen
  }
  return true;
}

Result<TorchTensor> read_torch_tensor(const ItemSource& item) {
  const auto zip = Zip::open(item);
  RETURN_IF_ERROR(zip);
  const auto pickle = read_pickle(*zip, kMaxTensorPickle);
  RETURN_IF_ERROR(pickle);
  auto rebuilt = read_rebuilt(*pickle, pickle->root);
  RETURN_IF_ERROR(rebuilt);
  if (std::ranges::count_if(zip->records(), is_storage) > 1) return not_plain("several storages");
  RETURN_IF_ERROR(check_byte_order(*zip));
  const ZipRecord* const record = zip->find("data/" + rebuilt->key);
  if (record == nullptr)
    return broken(fmt::format("an archive without its storage, the record 'data/{}'", rebuilt->key));
  return place(*zip, *record, std::move(rebuilt->tensor));
}

namespace {

Result<Unpickled> read_value_pickle(const ItemSource& item) {
  const auto zip = Zip::open(item);
  RETURN_IF_ERROR(zip);
  return read_pickle(*zip, kMaxValuePickle);
}

}  // namespace

Result<std::string> read_plain_value(const ItemSource& item) { return read_value_pickle(item).and_then(&to_json); }

Result<Buffer> read_plain_pickle(const ItemSource& item) { return read_value_pickle(item).and_then(&to_plain_pickle); }

Result<bool> check_records(const ItemSource& item, Records which) {
  const auto zip = Zip::open(item);
  RETURN_IF_ERROR(zip);
  bool known = true;
  for (const ZipRecord& record : zip->records()) {
    if (which == Records::BesideStorages && is_storage(record)) continue;
    const auto crc = record.known_crc();
    known = known && crc;
    if (!crc) continue;
    const auto bytes = zip->read(record, kMaxValuePickle);
    RETURN_IF_ERROR(bytes);
    if (crc32(0, std::as_bytes(std::span(*bytes))) != *crc)
      return fail(ErrorCode::Checksum, fmt::format("the record '{}' does not have its CRC-32", record.name));
  }
  return known;
}

}  // namespace flatpoint::archive
