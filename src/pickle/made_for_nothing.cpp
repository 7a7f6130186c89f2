#include "pickle/made_for_nothing.hpp"

#include <vector>

namespace flatpoint::pickle {
namespace {

class Reach {
 public:
  /// Marks what `from` holds. Ends at the first object that is new, where that is asked for, and returns it.
  Value mark(Value from, bool until_object) {
    open_.assign(1, from);
    while (!open_.empty()) {
      const Value next = open_.back();
      open_.pop_back();
      if (visit(next) && until_object && next.is(Tag::Object)) return next;
    }
    return {};
  }

 private:
  /// False: it was visited before, or holds nothing.
  bool visit(Value value) {
    switch (value.tag()) {
      case Tag::Tuple:
      case Tag::FrozenSet: {
        auto* const tuple = value.node<Tuple>();
        if (tuple->reached) return false;
        tuple->reached = 1;
        open(tuple->values());
        return true;
      }
      case Tag::List:
      case Tag::Dict:
      case Tag::Set: {
        auto* const container = value.node<Container>();
        if (container->reached) return false;
        container->reached = 1;
        open(container->blocks);
        return true;
      }
      case Tag::Object: {
        auto* const object = value.node<Object>();
        if (object->reached) return false;
        object->reached = true;
        for (const Value part : {object->callable, object->args, object->kwargs}) open({&part, 1});
        open(object->blocks);
        return true;
      }
      default: return false;
    }
  }
  void open(std::span<const Value> values) {
    for (const Value value : values) {
      if (value.tag() >= Tag::Tuple && value.tag() <= Tag::Object) open_.push_back(value);
    }
  }
  void open(const BlockList& blocks) {
    for (const Block* block = blocks.first; block != nullptr; block = block->next) open(block->values());
  }

  std::vector<Value> open_;
};

}  // namespace

Value made_for_nothing(const Heap& heap, Value root) {
  if (heap.dropped.empty()) return {};
  Reach reach;
  reach.mark(root, false);
  for (const Value value : heap.dropped) {
    if (const Value object = reach.mark(value, true); !object.is(Tag::Unset)) return object;
  }
  return {};
}

}  // namespace flatpoint::pickle
