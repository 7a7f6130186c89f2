#include "dcp/foreign_names.hpp"

#include <algorithm>
#include <unordered_set>

#include "flatpoint/types.hpp"
#include "pickle/globals.hpp"

namespace flatpoint::dcp {
namespace {

constexpr std::string_view kCheckpoint = "torch.distributed.checkpoint.";

/// Of torch.distributed.checkpoint: module and class. Its functions are not here: some load and save.
constexpr ModuleAndName kClasses[] = {
    {"metadata", "Metadata"},
    {"metadata", "TensorStorageMetadata"},
    {"metadata", "BytesStorageMetadata"},
    {"metadata", "ChunkStorageMetadata"},
    {"metadata", "TensorProperties"},
    {"metadata", "_MEM_FORMAT_ENCODING"},
    {"metadata", "MetadataIndex"},
    {"metadata", "StorageMeta"},
    {"filesystem", "_StorageInfo"},
    {"filesystem", "_StoragePrefix"},
    {"planner", "SavePlan"},
    {"planner", "LoadPlan"},
    {"planner", "WriteItem"},
    {"planner", "WriteItemType"},
    {"planner", "ReadItem"},
    {"planner", "LoadItemType"},
    {"planner", "TensorWriteData"},
    {"planner", "BytesIOWriteData"},
};

constexpr ModuleAndName kOthers[] = {
    {"torch.distributed._shard.sharded_tensor.metadata", "TensorProperties"},
    {"torch.distributed._shard.sharded_tensor.metadata", "MEM_FORMAT_ENCODING"},
    {"torch", "Size"},
    {"torch", "device"},
    {"torch.serialization", "_get_layout"},
    {"collections", "OrderedDict"},
    {"copyreg", "_reconstructor"},
    {"copyreg", "__newobj__"},
    {"_codecs", "encode"},
};

constexpr std::string_view kBuiltins[] = {"bool", "bytearray", "bytes", "complex", "dict",  "float", "frozenset", "int",
                                          "list", "object",    "range", "set",     "slice", "str",   "tuple"};

constexpr std::string_view kPaths[] = {"PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"};

bool holds(std::span<const ModuleAndName> names, std::string_view module, std::string_view name) noexcept {
  return std::ranges::any_of(names, [&](const ModuleAndName& own) { return own.name == name && own.module == module; });
}

/// Walks through everything once.
class Walk {
 public:
  explicit Walk(const Heap& heap) : heap_(heap) {}

  std::vector<std::string> run(Value root) {
    open_.push_back(root);
    while (!open_.empty()) {
      const Value value = open_.back();
      open_.pop_back();
      if (seen_.insert(value.word()).second) visit(value);
    }
    return std::move(foreign_);
  }

 private:
  void visit(Value value) {
    switch (value.tag()) {
      case Tag::Global: {
        const GlobalName& global = heap_.globals[value.number()];
        if (!is_own_name(global.module, global.name)) foreign_.push_back(global.module + '.' + global.name);
        return;
      }
      case Tag::Tuple:
      case Tag::FrozenSet: return visit_values(value.node<Tuple>()->values());
      case Tag::List:
      case Tag::Dict:
      case Tag::Set: return visit_blocks(value.node<Container>()->blocks);
      case Tag::Object: {
        const auto* const object = value.node<Object>();
        if (!is_member_of_enum(*object)) open_.push_back(object->callable);
        open_.push_back(object->args);
        open_.push_back(object->kwargs);
        return visit_blocks(object->blocks);
      }
      default: return;
    }
  }

  /// getattr(class, "NAME"), as Python 3.11.0 to 3.11.3 pickle it; the class is visited as an argument.
  [[nodiscard]] bool is_member_of_enum(const Object& object) const {
    if (object.kind != Object::Kind::Reduce || heap_.known(object.callable) != Known::GetAttr) return false;
    const auto arguments = object.args.node<Tuple>()->values();
    if (arguments.size() != 2 || !arguments[0].is(Tag::Global)) return false;
    const auto name = heap_.text(arguments[1]);
    return name && !name->starts_with('_');
  }

  void visit_values(std::span<const Value> values) { open_.insert(open_.end(), values.begin(), values.end()); }
  void visit_blocks(const BlockList& blocks) {
    for (const Block* block = blocks.first; block != nullptr; block = block->next) visit_values(block->values());
  }

  const Heap& heap_;
  std::vector<Value> open_;
  std::unordered_set<std::uint64_t> seen_;
  std::vector<std::string> foreign_;
};

}  // namespace

bool is_own_name(std::string_view module, std::string_view name) noexcept {
  if (module.starts_with(kCheckpoint)) return holds(kClasses, module.substr(kCheckpoint.size()), name);
  if (module == "builtins") return std::ranges::find(kBuiltins, name) != std::end(kBuiltins);
  if (module == "pathlib" || module == "pathlib._local") return std::ranges::find(kPaths, name) != std::end(kPaths);
  if (module == "torch" && scalar_type_from_name(name)) return true;
  return holds(kOthers, module, name);
}

std::vector<std::string> foreign_names(const Heap& heap, Value value) {
  auto names = Walk(heap).run(value);
  std::ranges::sort(names);
  return names;
}

}  // namespace flatpoint::dcp
