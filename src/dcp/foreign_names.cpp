#include "dcp/foreign_names.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_set>

#include "base/format.hpp"
#include "dcp/shapes.hpp"
#include "pickle/globals.hpp"

namespace flatpoint::dcp {
namespace {

using Arguments = std::span<const Value>;

constexpr std::size_t kMaxDigits = 4300;  // Python refuses longer ints, or reads them in quadratic time

/// Classes whose objects are made bare and given attributes.
constexpr ModuleAndName kClasses[] = {
    names::kMetadata,
    names::kTensorStorageMetadata,
    names::kBytesStorageMetadata,
    names::kMetadataIndex,
    names::kChunkStorageMetadata,
    names::kStorageMeta,
    names::kTensorProperties,
    names::kStorageInfo,
    {names::kFileSystemModule, "_StoragePrefix"},
    {names::kPlannerModule, "SavePlan"},
    {names::kPlannerModule, "LoadPlan"},
    {names::kPlannerModule, "WriteItem"},
    {names::kPlannerModule, "ReadItem"},
    {names::kPlannerModule, "TensorWriteData"},
    {names::kPlannerModule, "BytesIOWriteData"},
    names::kOldTensorProperties,
};

struct Enumeration {
  ModuleAndName cls;
  std::int64_t first;  // number of the first member
  std::array<std::string_view, 3> members;
};
constexpr std::array<std::string_view, 3> kMemoryFormats = {"TORCH_CONTIGUOUS_FORMAT", "TORCH_CHANNELS_LAST",
                                                            "TORCH_PRESERVE_FORMAT"};
constexpr Enumeration kEnumerations[] = {
    {names::kMemFormatEncoding, 0, kMemoryFormats},
    {names::kOldMemFormatEncoding, 0, kMemoryFormats},
    {{names::kPlannerModule, "WriteItemType"}, 1, {"TENSOR", "SHARD", "BYTE_IO"}},
    {{names::kPlannerModule, "LoadItemType"}, 1, {"TENSOR", "BYTE_IO"}},
};

/// What a call makes, as far as it matters for what may be done to it.
enum class Made { Foreign, Instance, Index, Properties, Constant, Size, Unhashable, OrderedDict };

bool is_path_class(const GlobalName& global) noexcept {
  return path_type_of(static_cast<Known>(global.meaning)) != PathType::Absent;
}

Arguments values_of(Value tuple) { return tuple.node<Tuple>()->values(); }
bool is_int(Value value) { return Heap::integer(value).has_value(); }
bool is_bool(Value value) { return value.is(Tag::True) || value.is(Tag::False); }

/// Judges one object: how it is made.
class Maker {
 public:
  explicit Maker(const Heap& heap) : heap_(heap) {}

  [[nodiscard]] const GlobalName* global(Value value) const {
    return value.is(Tag::Global) ? &heap_.globals[value.number()] : nullptr;
  }

  [[nodiscard]] Made made_by(const Object& object) const {
    const GlobalName* const callable = global(object.callable);
    if (callable == nullptr) return Made::Foreign;
    const Arguments arguments = values_of(object.args);
    switch (object.kind) {
      case Object::Kind::New: return arguments.empty() ? bare(object.callable) : Made::Foreign;
      case Object::Kind::Reduce: return called(*callable, object.callable, arguments);
      case Object::Kind::NewEx: break;
    }
    return Made::Foreign;
  }

  [[nodiscard]] bool is_dtype(Value value) const {
    const GlobalName* const name = global(value);
    return name != nullptr && name->module == "torch" && is_dtype_name(name->name);
  }
  /// A member of the encoding of memory formats.
  [[nodiscard]] bool is_memory_format(Value value) const {
    if (!value.is(Tag::Object) || made_by(*value.node<Object>()) != Made::Constant) return false;
    const auto* const object = value.node<Object>();
    const bool by_name = heap_.known(object->callable) == Known::GetAttr;
    return heap_.known(by_name ? values_of(object->args)[0] : object->callable) == Known::MemFormatEncoding;
  }

 private:
  [[nodiscard]] Made bare(Value cls) const {
    const GlobalName* const name = global(cls);
    if (name == nullptr) return Made::Foreign;
    if (std::ranges::none_of(kClasses, [&](ModuleAndName own) { return *name == own; })) return Made::Foreign;
    if (heap_.known(cls) == Known::MetadataIndex) return Made::Index;
    return heap_.known(cls) == Known::TensorProperties ? Made::Properties : Made::Instance;
  }

  [[nodiscard]] Made called(const GlobalName& callable, Value cls, Arguments arguments) const {
    const auto if_fits = [](bool fits, Made made) { return fits ? made : Made::Foreign; };
    if (const Enumeration* const found = enumeration(callable)) {
      return if_fits(arguments.size() == 1 && is_member(*found, arguments[0]), Made::Constant);
    }
    if (is_path_class(callable))
      return if_fits(std::ranges::all_of(arguments, [&](Value v) { return is_text(v); }), Made::Constant);
    if (callable.module == "builtins") return called_builtin(callable.name, arguments);
    if (callable.module == "torch") return called_torch(callable.name, arguments);
    switch (heap_.known(cls)) {
      case Known::GetLayout:
        return if_fits(arguments.size() == 1 && starts_with(arguments[0], "torch."), Made::Constant);
      case Known::BytesStorageMetadata: return if_fits(arguments.empty(), bare(cls));
      case Known::NewObj: return arguments.size() == 1 ? bare(arguments[0]) : Made::Foreign;
      case Known::Reconstructor:
        return arguments.size() == 3 && heap_.known(arguments[1]) == Known::Object && arguments[2].is(Tag::None)
                   ? bare(arguments[0])
                   : Made::Foreign;
      case Known::OrderedDict: return if_fits(arguments.empty(), Made::OrderedDict);
      case Known::Encode: return if_fits(is_latin(arguments), Made::Constant);
      default: return Made::Foreign;
    }
  }

  [[nodiscard]] Made called_builtin(std::string_view name, Arguments arguments) const {
    const std::size_t count = arguments.size();
    const auto all = [&](auto fits) { return std::ranges::all_of(arguments, fits); };
    bool fits = false;
    if (name == "getattr") {
      const GlobalName* const cls = count == 2 ? global(arguments[0]) : nullptr;
      const Enumeration* const found = cls != nullptr ? enumeration(*cls) : nullptr;
      const auto member = found != nullptr ? heap_.text(arguments[1]) : std::nullopt;
      fits = member && !member->empty() && std::ranges::find(found->members, *member) != found->members.end();
    } else if (name == "bytearray") {
      fits = count == 0 || (count == 1 && arguments[0].is(Tag::Bytes)) || is_latin(arguments);
      return fits ? Made::Unhashable : Made::Foreign;
    } else if (name == "bytes") {  // of protocols that have no form for the empty one
      fits = count == 0;
    } else if (name == "complex") {
      fits = count == 2 && all([](Value v) { return v.is(Tag::Float); });
    } else if (name == "range") {
      fits = count >= 1 && count <= 3 && all(is_int);
    } else if (name == "slice") {
      fits = count == 3 && all([](Value v) { return v.is(Tag::None) || is_int(v); });
      return fits ? Made::Unhashable : Made::Foreign;
    }
    return fits ? Made::Constant : Made::Foreign;
  }

  [[nodiscard]] Made called_torch(std::string_view name, Arguments arguments) const {
    if (name == "Size") {
      if (arguments.size() != 1 || !arguments[0].is(Tag::Tuple)) return Made::Foreign;
      const Arguments numbers = values_of(arguments[0]);
      const bool fits = numbers.size() <= kMaxDimensions &&
                        std::ranges::all_of(numbers, [](Value v) { return is_int(v) || is_bool(v); });
      return fits ? Made::Size : Made::Foreign;
    }
    const bool is_device =
        name == "device" && (arguments.size() == 1 || (arguments.size() == 2 && is_int(arguments[1])));
    return is_device && is_text(arguments[0]) ? Made::Constant : Made::Foreign;
  }

  [[nodiscard]] static const Enumeration* enumeration(const GlobalName& name) noexcept {
    const auto* const found = std::ranges::find_if(kEnumerations, [&](const Enumeration& e) { return name == e.cls; });
    return found == std::end(kEnumerations) ? nullptr : found;
  }
  [[nodiscard]] static bool is_member(const Enumeration& enumeration, Value number) {
    const auto value = Heap::integer(number);
    if (!value || *value < enumeration.first) return false;
    const auto at = static_cast<std::uint64_t>(*value - enumeration.first);
    return at < enumeration.members.size() && !enumeration.members[at].empty();
  }
  [[nodiscard]] bool is_text(Value value) const { return heap_.text(value).has_value(); }
  [[nodiscard]] bool starts_with(Value value, std::string_view prefix) const {
    const auto text = heap_.text(value);
    return text && text->starts_with(prefix);
  }
  /// (str, "latin1"): how protocols 0 to 2 hold bytes.
  [[nodiscard]] bool is_latin(Arguments arguments) const {
    if (arguments.size() != 2 || !is_text(arguments[0])) return false;
    const auto codec = heap_.text(arguments[1]);
    return codec == "latin1" || codec == "latin-1";
  }

  const Heap& heap_;
};

/// Walks through everything once.
class Walk {
 public:
  explicit Walk(const Heap& heap) : heap_(heap), maker_(heap) {}

  std::vector<std::string> run(Value root, bool is_item) {
    if (is_item && root.is(Tag::Tuple) && root.node<Tuple>()->count > 0) check_key(values_of(root)[0]);
    open_.push_back(root);
    while (!open_.empty()) {
      const Value value = open_.back();
      open_.pop_back();
      if (seen_.insert(value.word()).second) visit(value);
    }
    // A pickle that calls with one long text again and again makes much of little.
    if (copied_ > 4096 + 4 * heap_.input.size()) foreign_.emplace("calls that copy one text over and over");
    return {foreign_.begin(), foreign_.end()};
  }

 private:
  void visit(Value value) {
    switch (value.tag()) {
      case Tag::DecimalInt:
        if (value.node<TextNode>()->size > kMaxDigits) foreign_.emplace("an int of more than 4300 digits");
        return;
      case Tag::Global:
        if (!maker_.is_dtype(value)) foreign_.insert(text_of(value));
        return;
      case Tag::FrozenSet:
        std::ranges::for_each(values_of(value), [&](Value item) { check_key(item); });
        [[fallthrough]];
      case Tag::Tuple: return visit_values(values_of(value));
      case Tag::Dict:
      case Tag::Set: visit_keys(value.node<Container>()->blocks, value.is(Tag::Dict) ? 2 : 1); [[fallthrough]];
      case Tag::List: return visit_blocks(value.node<Container>()->blocks);
      case Tag::Object: return visit_object(*value.node<Object>());
      case Tag::Unset:
      case Tag::None:
      case Tag::False:
      case Tag::True:
      case Tag::Int:
      case Tag::BoxedInt:
      case Tag::BinaryInt:
      case Tag::Float:
      case Tag::Text:
      case Tag::LongText:
      case Tag::Interned:
      case Tag::Bytes:
      case Tag::ByteArray:
      case kSizeTag:
      case kChunkTag:
      case kIndexTag:
      case kInfoTag: return;
      default: foreign_.emplace("a value that lies outside of the pickle"); return;
    }
  }

  void visit_object(const Object& object) {
    const Made made = maker_.made_by(object);
    if (made == Made::Foreign) {
      const bool is_known = object.callable.is(Tag::Global) && !is_foreign(object.callable);
      if (is_known) foreign_.insert(fmt::format("{} (called in another way than for DCP)", text_of(object.callable)));
      if (!object.callable.is(Tag::Global)) foreign_.emplace("a call of something other than a name");
      if (!is_known) open_.push_back(object.callable);
      open_.push_back(object.args);
      open_.push_back(object.kwargs);
      return visit_blocks(object.blocks);
    }
    // What the form allows as arguments is plain, and looked at.
    if (object.kind == Object::Kind::Reduce) count_copies(values_of(object.args));
    for (const Block* block = object.blocks.first; block != nullptr; block = block->next) {
      if (!may_be_done(made, *block)) {
        foreign_.insert(fmt::format("{} (changed in another way than for DCP)", text_of(object.callable)));
      }
    }
    if (made == Made::OrderedDict) visit_keys(object.blocks, 2);
    visit_blocks(object.blocks);
  }

  [[nodiscard]] bool may_be_done(Made made, const Block& block) const {
    if (made == Made::OrderedDict) {
      return block.kind == Block::Kind::SetItem || block.kind == Block::Kind::SetItems;
    }
    if (block.kind != Block::Kind::Build) return false;
    const Value state = block.values()[0];
    switch (made) {
      case Made::Instance:
      case Made::Index: return state.is(Tag::Dict) && is_attributes(state, made);
      case Made::Properties: return is_properties(state);
      default: return false;  // what the whole process shares, or has no state
    }
  }

  [[nodiscard]] bool is_attributes(Value dict, Made made) const {
    for (const Block* block = dict.node<Container>()->blocks.first; block != nullptr; block = block->next) {
      const auto values = block->values();
      for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
        const auto name = heap_.text(values[i]);
        if (!name || is_special_attribute(*name)) return false;
        if (made == Made::Index && !is_simple(values[i + 1])) return false;
      }
    }
    return true;
  }

  /// A MetadataIndex is a key: its attributes are hashed.
  [[nodiscard]] bool is_simple(Value value) const {
    switch (value.tag()) {
      case Tag::None:
      case Tag::False:
      case Tag::True:
      case Tag::Int:
      case Tag::BoxedInt:
      case kSizeTag: return true;
      case Tag::Tuple:
        return values_of(value).size() <= kMaxDimensions && std::ranges::all_of(values_of(value), is_int);
      case Tag::Object: return is_size(value);
      default: return heap_.text(value).has_value();
    }
  }
  [[nodiscard]] bool is_size(Value value) const { return maker_.made_by(*value.node<Object>()) == Made::Size; }

  [[nodiscard]] bool is_properties(Value state) const {
    if (!state.is(Tag::Tuple)) return false;
    const auto fields = values_of(state);
    return (fields.size() == 5 || fields.size() == 6) && maker_.is_dtype(fields[0]) &&
           maker_.is_memory_format(fields[3]);
  }

  void visit_values(Arguments values) { open_.insert(open_.end(), values.begin(), values.end()); }
  void visit_blocks(const BlockList& blocks) {
    for (const Block* block = blocks.first; block != nullptr; block = block->next) visit_values(block->values());
  }
  /// Of every `step` values the first is a key.
  void visit_keys(const BlockList& blocks, std::size_t step) {
    for (const Block* block = blocks.first; block != nullptr; block = block->next) {
      for (std::size_t i = 0; i < block->count; i += step) check_key(block->values()[i]);
    }
  }

  void check_key(Value key) {
    std::size_t budget = 1024;
    if (!can_hash(key, budget)) foreign_.emplace("a key that DCP does not have");
  }

  /// Python hashes tuples anew each time, and what they share once for every path to it.
  [[nodiscard]] bool can_hash(Value value, std::size_t& budget) const {
    const auto take = [&](std::size_t weight) {
      if (budget < weight) return false;
      budget -= weight;
      return true;
    };
    switch (value.tag()) {
      case Tag::Tuple:
        return take(2) && values_of(value).size() <= budget &&
               std::ranges::all_of(values_of(value), [&](Value item) { return can_hash(item, budget); });
      case kSizeTag: return take(1 + std::size_t{ndim_of(value)});
      case kIndexTag: return take(2 * kMaxDimensions);
      case Tag::Global: return is_foreign(value) || (maker_.is_dtype(value) && take(1));
      case Tag::Object: {
        const auto* const object = value.node<Object>();
        switch (maker_.made_by(*object)) {
          case Made::Foreign: return true;  // said elsewhere
          case Made::Constant: return take(1);
          case Made::Size: return take(1 + values_of(values_of(object->args)[0]).size());
          case Made::Index: return take(2 * kMaxDimensions);
          default: return false;
        }
      }
      case Tag::List:
      case Tag::Dict:
      case Tag::Set:
      case Tag::ByteArray:
      case Tag::BinaryInt:
      case Tag::DecimalInt:
      case kChunkTag:
      case kInfoTag: return false;
      default: return take(1);
    }
  }

  void count_copies(Arguments arguments) {
    for (const Value argument : arguments) {
      if (const auto text = heap_.text(argument)) copied_ += text->size();
      if (argument.is(Tag::Bytes)) copied_ += argument.node<TextNode>()->size;
    }
  }

  [[nodiscard]] std::string text_of(Value global) const {
    const GlobalName* const name = maker_.global(global);
    return name == nullptr ? std::string("a call of something other than a name") : name->module + '.' + name->name;
  }

  /// Whether the list has the name in no form at all.
  [[nodiscard]] bool is_foreign(Value global) const {
    const GlobalName& name = heap_.globals[global.number()];
    static constexpr std::string_view kBuiltins[] = {"getattr", "bytearray", "bytes", "complex",
                                                     "range",   "slice",     "object"};
    const auto named = [&](ModuleAndName own) { return name == own; };
    const bool own = std::ranges::any_of(kClasses, named) || is_path_class(name) || maker_.is_dtype(global) ||
                     std::ranges::any_of(kEnumerations, [&](const Enumeration& e) { return name == e.cls; }) ||
                     (name.module == "builtins" && std::ranges::find(kBuiltins, name.name) != std::end(kBuiltins)) ||
                     (name.module == "torch" && (name.name == "Size" || name.name == "device")) ||
                     heap_.known(global) == Known::GetLayout || heap_.known(global) == Known::NewObj ||
                     heap_.known(global) == Known::Reconstructor || named({"collections", "OrderedDict"}) ||
                     named({"_codecs", "encode"});
    return !own;
  }

  const Heap& heap_;
  Maker maker_;
  std::vector<Value> open_;
  std::unordered_set<std::uint64_t> seen_;
  std::set<std::string> foreign_;
  std::uint64_t copied_ = 0;
};

}  // namespace

bool is_dtype_name(std::string_view name) noexcept {
  if (name == "bool") return true;
  const std::size_t digit = std::min(name.find_first_of("0123456789"), name.size());
  constexpr std::string_view kStems[] = {"bcomplex", "bfloat", "bits",  "complex", "float",
                                         "int",      "qint",   "quint", "uint"};
  return digit < name.size() && std::ranges::find(kStems, name.substr(0, digit)) != std::end(kStems) &&
         name.find_first_not_of("0123456789_abcdefghijklmnopqrstuvwxyz", digit) == std::string_view::npos;
}

std::vector<std::string> foreign_parts(const Heap& heap, Value value, bool is_item) {
  return Walk(heap).run(value, is_item);
}

}  // namespace flatpoint::dcp
