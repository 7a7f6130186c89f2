// archive/torch_tensors.cpp - the tensors of an archive of many storages, as torch.save writes a state dict.

#include <unordered_map>

#include "archive/pickle.hpp"
#include "archive/torch_item.hpp"
#include "archive/torch_rebuilt.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"

namespace flatpoint::archive {
namespace {

constexpr std::uint64_t kMaxPickle = std::uint64_t{1} << 30;  // 360 bytes per DTensor
constexpr int kMaxDepth = 256;                                // nesting that would overflow the stack

/// Python's str() of a key; nothing for one that names no tensor.
std::optional<std::string> key_text(const Unpickled& pickle, Value key) {
  if (const auto text = pickle.heap->text(key)) return std::string(*text);
  if (const auto number = Heap::integer(key)) return fmt::format("{}", *number);
  if (key.is(Tag::Float)) {  // repr(), of finite ones
    std::string text = fmt::format("{}", *key.node<double>());
    if (text.find_first_of(".en") == std::string::npos) text += ".0";
    return text;
  }
  if (key.is(Tag::None)) return "None";
  if (key.is(Tag::True)) return "True";
  if (key.is(Tag::False)) return "False";
  return std::nullopt;
}

class TensorWalk {
 public:
  TensorWalk(const Unpickled& pickle, const Zip& zip) : pickle_(pickle), zip_(zip), most_(4 * pickle.text->size()) {
    for (const ZipRecord& record : zip.records()) records_.emplace(record.name, &record);
  }

  Result<NamedTensors> run() {
    RETURN_IF_ERROR(visit(pickle_.root, std::string(), 0));
    return std::move(tensors_);
  }

 private:
  Result<void> visit(Value value, const std::string& name, int depth) {
    // What the memo gives again and again multiplies.
    if (depth > kMaxDepth || ++visited_ > most_)
      return fail(ErrorCode::TooLarge, "its data.pkl: nested deeper, or shared more often, than a state dict is");
    switch (value.tag()) {
      case Tag::Dict: return visit_items(value.node<Container>()->blocks, name, depth);
      case Tag::List: {
        std::size_t position = 0;
        for (const Block* block = value.node<Container>()->blocks.first; block != nullptr; block = block->next) {
          for (const Value item : block->values()) {
            RETURN_IF_ERROR(visit(item, below(name, fmt::format("{}", position++), depth), depth + 1));
          }
        }
        return {};
      }
      case Tag::Tuple: {
        std::size_t position = 0;
        for (const Value item : value.node<Tuple>()->values()) {
          RETURN_IF_ERROR(visit(item, below(name, fmt::format("{}", position++), depth), depth + 1));
        }
        return {};
      }
      case Tag::Object: break;
      default: return {};
    }
    const Object& object = *value.node<Object>();
    const std::string callable = pickle_.callable(object);
    if (callable == "collections OrderedDict") return visit_items(object.blocks, name, depth);
    if (callable.starts_with("torch._utils _rebuild_") || callable == "torch._tensor _rebuild_from_type_v2") {
      auto [at, is_new] = tensors_.try_emplace(name, tensor(value));
      if (!is_new) at->second = fail(ErrorCode::BadItem, fmt::format("two tensors have the name '{}'", name));
    }
    return {};
  }

  static std::string below(const std::string& name, const std::string& key, int depth) {
    return depth == 0 ? key : fmt::format("{}.{}", name, key);
  }

  Result<void> visit_items(const BlockList& blocks, const std::string& name, int depth) {
    for (const Block* block = blocks.first; block != nullptr; block = block->next) {
      if (block->kind != Block::Kind::SetItem && block->kind != Block::Kind::SetItems) continue;
      const auto values = block->values();
      for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
        const auto key = key_text(pickle_, values[i]);
        if (!key) continue;
        RETURN_IF_ERROR(visit(values[i + 1], below(name, *key, depth), depth + 1));
      }
    }
    return {};
  }

  Result<TorchTensor> tensor(Value value) const {
    auto rebuilt = read_rebuilt(pickle_, local_tensor(pickle_, value));
    RETURN_IF_ERROR(rebuilt);
    const auto record = records_.find("data/" + rebuilt->key);
    if (record == records_.end()) {
      return fail(ErrorCode::BadItem,
                  fmt::format("an archive without the record 'data/{}' of a storage", rebuilt->key));
    }
    return place(zip_, *record->second, std::move(rebuilt->tensor));
  }

  const Unpickled& pickle_;
  const Zip& zip_;
  const std::uint64_t most_;
  std::uint64_t visited_ = 0;
  std::unordered_map<std::string_view, const ZipRecord*> records_;
  NamedTensors tensors_;
};

}  // namespace

Result<NamedTensors> read_torch_tensors(const ItemSource& archive) {
  const auto zip = Zip::open(archive);
  RETURN_IF_ERROR(zip);
  const auto pickle = read_pickle(*zip, kMaxPickle);
  RETURN_IF_ERROR(pickle);
  RETURN_IF_ERROR(check_byte_order(*zip));
  return TensorWalk(*pickle, *zip).run();
}

}  // namespace flatpoint::archive
