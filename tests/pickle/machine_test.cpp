// The pickle machine, opcode by opcode. What Python says of these pickles stands beside them.
#include "pickle/machine.hpp"

#include <boost/test/unit_test.hpp>

#include "base/format.hpp"
#include "pickle/assemble.hpp"
#include "pickle/text_forms.hpp"

using namespace flatpoint;
using namespace flatpoint::test;
using pickle::Tag;
using pickle::Value;
using Machine = pickle::Machine<pickle::NoFolds>;

namespace {

std::string repr(const pickle::Heap& heap, Value value);

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += flatpoint::fmt::format("{:02x}", static_cast<std::uint8_t>(c));
  return out;
}

std::string repr_all(const pickle::Heap& heap, std::span<const Value> values) {
  std::string out;
  for (const Value each : values) out += (out.empty() ? "" : ", ") + repr(heap, each);
  return out;
}

std::string repr_blocks(const pickle::Heap& heap, const pickle::BlockList& blocks) {
  std::string out;
  for (const pickle::Block* block = blocks.first; block != nullptr; block = block->next) {
    out += (out.empty() ? "" : ", ") + repr_all(heap, block->values());
  }
  return out;
}

std::string repr(const pickle::Heap& heap, Value value) {
  if (const auto text = heap.text(value)) return flatpoint::fmt::format("'{}'", *text);
  if (const auto number = pickle::Heap::integer(value)) return std::to_string(*number);
  switch (value.tag()) {
    case Tag::None: return "None";
    case Tag::True: return "True";
    case Tag::False: return "False";
    case Tag::PersistentId: return "id " + repr(heap, *value.node<Value>());
    case Tag::Float: return flatpoint::fmt::format("{}", *value.node<double>());
    case Tag::BinaryInt: return "int:" + hex(value.node<pickle::TextNode>()->view());
    case Tag::DecimalInt: return flatpoint::fmt::format("int:{}", value.node<pickle::TextNode>()->view());
    case Tag::Bytes: return flatpoint::fmt::format("b'{}'", value.node<pickle::TextNode>()->view());
    case Tag::ByteArray: return flatpoint::fmt::format("bytearray'{}'", value.node<pickle::TextNode>()->view());
    case Tag::Tuple: return "(" + repr_all(heap, value.node<pickle::Tuple>()->values()) + ")";
    case Tag::FrozenSet: return "frozenset(" + repr_all(heap, value.node<pickle::Tuple>()->values()) + ")";
    case Tag::List: return "[" + repr_blocks(heap, value.node<pickle::Container>()->blocks) + "]";
    case Tag::Dict: return "{" + repr_blocks(heap, value.node<pickle::Container>()->blocks) + "}";
    case Tag::Set: return "set(" + repr_blocks(heap, value.node<pickle::Container>()->blocks) + ")";
    case Tag::Global: return heap.globals[value.number()].module + "." + heap.globals[value.number()].name;
    case Tag::Object: {
      const auto* object = value.node<pickle::Object>();
      const char* const kinds[] = {"call", "new", "new_ex"};
      return flatpoint::fmt::format("{} {}{}{}", kinds[static_cast<int>(object->kind)], repr(heap, object->callable),
                                    repr(heap, object->args),
                                    object->blocks.first ? " with " + repr_blocks(heap, object->blocks) : "");
    }
    default: return "?";
  }
}

std::string run(std::string_view pickle, const pickle::Limits& limits = {}, const pickle::Dialect& dialect = {}) {
  pickle::Heap heap({reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size()});
  Machine machine(heap, limits, dialect, true, nullptr);
  switch (machine.run()) {
    case Machine::Outcome::Done: return repr(heap, machine.result());
    case Machine::Outcome::Failed: return machine.error().message;
    case Machine::Outcome::Gone: return "gone";
  }
  return {};
}

std::string value(std::string_view instructions) { return run(std::string(instructions) + "."); }

using namespace std::string_literals;

}  // namespace

BOOST_AUTO_TEST_SUITE(machine)

BOOST_AUTO_TEST_CASE(numbers) {
  BOOST_TEST(value("K\xff") == "255");
  BOOST_TEST(value("M\xff\xff") == "65535");
  BOOST_TEST(value("J\xfe\xff\xff\xff") == "-2");
  BOOST_TEST(value("\x8a\x00"s) == "0");
  BOOST_TEST(value("\x8a\x01\xff") == "-1");
  BOOST_TEST(value("\x8a\x05\x00\x00\x00\x00\x01"s) == "4294967296");
  BOOST_TEST(value("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"s) == "9223372036854775807");
  BOOST_TEST(value("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80"s) == "-9223372036854775808");
  BOOST_TEST(value("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00"s) == "int:000000000000008000");
  BOOST_TEST(value("\x8a\x0a\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00"s) == "7");  // more bytes than it needs
  BOOST_TEST(value("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff"s) == "-1");
  BOOST_TEST(value("\x8b\x02\x00\x00\x00\x00\x01"s) == "256");
  BOOST_TEST(value("\x8b\xff\xff\xff\xff"s) == "LONG4 at byte 0: a negative length");
  BOOST_TEST(value("I42\n") == "42");
  BOOST_TEST(value("I01\n") == "True");
  BOOST_TEST(value("I00\n") == "False");
  BOOST_TEST(value("L-7L\n") == "-7");
  BOOST_TEST(value("L9223372036854775808L\n") == "int:9223372036854775808");
  BOOST_TEST(value("Ix\n") == "INT at byte 0: not a number");
  BOOST_TEST(value("L\n") == "LONG at byte 0: not a number");
  BOOST_TEST(value("G\x3f\xf8\x00\x00\x00\x00\x00\x00"s) == "1.5");
  BOOST_TEST(value("F-2.5e3\n") == "-2500");
  BOOST_TEST(value("F1.5x\n") == "FLOAT at byte 0: not a number");
  BOOST_TEST(value("N") == "None");
  BOOST_TEST(value("\x88") == "True");
  BOOST_TEST(value("\x89") == "False");
}

BOOST_AUTO_TEST_CASE(texts) {
  BOOST_TEST(value("\x8c\x02hi") == "'hi'");
  BOOST_TEST(value("X\x02\x00\x00\x00hi"s) == "'hi'");
  BOOST_TEST(value("\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi"s) == "'hi'");
  BOOST_TEST(value("\x8c\x03\xed\xa0\x80") == "'\xed\xa0\x80'");  // a lone surrogate, as Python passes it
  BOOST_TEST(value("\x8c\x01\xff") == "SHORT_BINUNICODE at byte 0: a str that is not UTF-8");
  BOOST_TEST(value("Va\\u00e9\\\\u0041\\U0001f600b\n") == "'a\u00e9\\\\u0041\U0001f600b'");
  BOOST_TEST(value("V\xe9\n") == "'\u00e9'");
  BOOST_TEST(value("V\\u00g0\n") == "UNICODE at byte 0: a broken escape");
  BOOST_TEST(value("S'a\\'\\n\\x41\\101\\q'\n") == "'a'\nAA\\q'");
  BOOST_TEST(value("S'a\n") == "STRING at byte 0: not a quoted text");
  BOOST_TEST(value("S'\\xff'\n") == "STRING at byte 0: a str of Python 2 that is not ASCII");
  BOOST_TEST(value("U\x02hi") == "'hi'");
  BOOST_TEST(value("T\x02\x00\x00\x00hi"s) == "'hi'");
  BOOST_TEST(value("T\xff\xff\xff\xff"s) == "BINSTRING at byte 0: a negative length");
  BOOST_TEST(value("C\x02hi") == "b'hi'");
  BOOST_TEST(value("B\x02\x00\x00\x00hi"s) == "b'hi'");
  BOOST_TEST(value("\x8e\x02\x00\x00\x00\x00\x00\x00\x00hi"s) == "b'hi'");
  BOOST_TEST(value("\x96\x02\x00\x00\x00\x00\x00\x00\x00hi"s) == "bytearray'hi'");
}

BOOST_AUTO_TEST_CASE(containers) {
  BOOST_TEST(value(")") == "()");
  BOOST_TEST(value("N\x85") == "(None)");
  BOOST_TEST(value("K\x01K\x02\x86") == "(1, 2)");
  BOOST_TEST(value("K\x01K\x02K\x03\x87") == "(1, 2, 3)");
  BOOST_TEST(value("(K\x01K\x02K\x03K\x04t") == "(1, 2, 3, 4)");
  BOOST_TEST(value("(t") == "()");
  BOOST_TEST(value("]K\x01"
                   "a(K\x02K\x03"
                   "e") == "[1, 2, 3]");
  BOOST_TEST(value("(K\x01K\x02lK\x03"
                   "a") == "[1, 2, 3]");
  BOOST_TEST(value("}K\x01K\x02s(K\x03K\x04u") == "{1, 2, 3, 4}");
  BOOST_TEST(value("(K\x01K\x02"
                   "d") == "{1, 2}");
  BOOST_TEST(value("\x8f(K\x01K\x02\x90") == "set(1, 2)");
  BOOST_TEST(value("(K\x01K\x02\x91") == "frozenset(1, 2)");
  BOOST_TEST(value("](e") == "[]");
  BOOST_TEST(value("(K\x01"
                   "d") == "DICT at byte 3: a key without a value");
  BOOST_TEST(value("}(K\x01u") == "SETITEMS at byte 4: a key without a value");
  BOOST_TEST(value("NK\x01"
                   "a") == "APPEND at byte 3: the value below cannot take it");
  BOOST_TEST(value("}K\x01"
                   "a") == "APPEND at byte 3: the value below cannot take it");
  BOOST_TEST(value("](K\x01\x90") == "ADDITEMS at byte 4: the value below cannot take it");
}

BOOST_AUTO_TEST_CASE(stack) {
  BOOST_TEST(value("K\x01"
                   "2\x86") == "(1, 1)");
  BOOST_TEST(value("K\x01K\x02"
                   "0") == "1");
  BOOST_TEST(value("K\x01(K\x02K\x03"
                   "1") == "1");
  BOOST_TEST(value("K\x01(0") == "1");  // POP takes a mark, too
  BOOST_TEST(value("0") == "POP at byte 0: the stack holds too few values");
  BOOST_TEST(value("1") == "POP_MARK at byte 0: there is no mark");
  BOOST_TEST(value("2") == "DUP at byte 0: the stack holds too few values");
  BOOST_TEST(value("t") == "TUPLE at byte 0: there is no mark");
  BOOST_TEST(value("K\x01\x86") == "TUPLE2 at byte 2: the stack holds too few values");
  BOOST_TEST(value("K\x01(K\x02\x86") == "TUPLE2 at byte 5: the stack holds too few values");  // not below a mark
  BOOST_TEST(value("K\x01(\x94") == "MEMOIZE at byte 3: the stack holds too few values");
  BOOST_TEST(value("") == "STOP at byte 0: the stack holds too few values");
  BOOST_TEST(value("(") == "STOP at byte 1: the stack holds too few values");
  BOOST_TEST(value("(K\x01") == "1");
}

BOOST_AUTO_TEST_CASE(memo) {
  BOOST_TEST(value("]\x94h\x00\x86"s) == "([], [])");
  BOOST_TEST(value("]\x94h\x00h\x00\x87"s) == "([], [], [])");
  BOOST_TEST(value("K\x07q\x05h\x05\x86"s) == "(7, 7)");
  BOOST_TEST(value("K\x07r\x05\x00\x00\x00j\x05\x00\x00\x00\x86"s) == "(7, 7)");
  BOOST_TEST(value("K\x07p5\ng5\n\x86"s) == "(7, 7)");
  // MEMOIZE uses the number of entries, whatever their numbers are.
  BOOST_TEST(value("K\x07q\x05K\x08\x94h\x01\x87"s) == "(7, 8, 8)");
  BOOST_TEST(value("K\x07q\x00K\x08q\x00h\x00\x87"s) == "(7, 8, 8)");
  BOOST_TEST(value("h\x00"s) == "BINGET at byte 0: the memo has no entry 0");
  BOOST_TEST(value("g-1\n") == "GET at byte 0: not a memo index");
  BOOST_TEST(value("Np99999999999999999999\n") == "PUT at byte 1: not a memo index");
  BOOST_TEST(value("Np9223372036854775807\n") == "PUT at byte 1: exceeds the limit max_memo = 2147483648");
}

BOOST_AUTO_TEST_CASE(objects) {
  BOOST_TEST(value("ca.b\nC\n)R") == "call a.b.C()");
  BOOST_TEST(value("\x80\x04\x8c\x03"
                   "a.b\x8c\x03"
                   "C.D\x93)\x81") == "new a.b.C.D()");
  BOOST_TEST(value("ca\nC\n)}\x92") == "new_ex a.C()");
  BOOST_TEST(value("ca\nC\n)\x81}b") == "new a.C() with {}");
  BOOST_TEST(value("ca\nC\n)RK\x01"
                   "a(K\x02K\x03u") == "call a.C() with 1, 2, 3");
  BOOST_TEST(value("ca\nC\n)R)R") == "call call a.C()()");  // a callable that a call would return
  BOOST_TEST(value("K\x01)R") == "REDUCE at byte 3: what would be called is not a name");
  BOOST_TEST(value("ca\nC\nNR") == "REDUCE at byte 6: the arguments are not a tuple");
  BOOST_TEST(value("ca\nC\n)N\x92") == "NEWOBJ_EX at byte 7: the keyword arguments are not a dict");
  BOOST_TEST(value("ca\nC\n}b") == "BUILD at byte 6: only an object has a state");
  BOOST_TEST(value("]}b") == "BUILD at byte 2: only an object has a state");
  BOOST_TEST(value("K\x01K\x02\x93") == "STACK_GLOBAL at byte 4: a name that is not str");
  BOOST_TEST(value("c\xff\nC\n") == "GLOBAL at byte 0: a name that is not UTF-8");
  BOOST_TEST(value("\x80\x02"
                   "c__builtin__\nxrange\n") == "builtins.range");  // as Python 3 reads protocol 2
  BOOST_TEST(value("\x80\x03"
                   "c__builtin__\nxrange\n") == "__builtin__.xrange");
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  const std::pair<std::string, const char*> cases[] = {
      {"(ios\nsystem\n", "INST at byte 1: refused: "},
      {"(cos\nsystem\no", "OBJ at byte 12: refused: "},
      {"Pid\n", "PERSID at byte 0: refused: "},
      {"K\x01Q", "BINPERSID at byte 2: refused: "},
      {"\x82\x01", "EXT1 at byte 0: refused: "},
      {"\x83\x01\x01", "EXT2 at byte 0: refused: "},
      {"\x84\x01\x01\x01\x01", "EXT4 at byte 0: refused: "},
      {"\x97", "NEXT_BUFFER at byte 0: refused: "},
      {"\x98", "READONLY_BUFFER at byte 0: refused: "},
      {"\x80\x06", "PROTO at byte 0: protocol 6 is newer than 5"},
      {"N\xff", "opcode at byte 1: no such opcode: 0xff"},
  };
  for (const auto& [pickle, message] : cases) BOOST_TEST(value(pickle).starts_with(message), value(pickle));
}

// Each instruction that has an operand, with every part of it missing.
BOOST_AUTO_TEST_CASE(ends_inside_an_instruction) {
  const std::string whole[] = {"K\x01",
                               "M\x01\x01",
                               "J\x01\x01\x01\x01",
                               "\x8a\x02\x01\x01",
                               "\x8b\x02\x00\x00\x00\x01\x01"s,
                               "I1\n",
                               "L1L\n",
                               "F1\n",
                               "G12345678",
                               "\x8c\x02hi",
                               "X\x02\x00\x00\x00hi"s,
                               "\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi"s,
                               "S'a'\n",
                               "Va\n",
                               "U\x02hi",
                               "T\x02\x00\x00\x00hi"s,
                               "C\x02hi",
                               "B\x02\x00\x00\x00hi"s,
                               "\x8e\x02\x00\x00\x00\x00\x00\x00\x00hi"s,
                               "\x96\x02\x00\x00\x00\x00\x00\x00\x00hi"s,
                               "ca\nb\n",
                               "\x80\x04",
                               "\x95\x01\x00\x00\x00\x00\x00\x00\x00N"s,
                               "h\x01",
                               "j\x01\x01\x01\x01",
                               "g1\n"};
  for (const std::string& instruction : whole) {
    for (std::size_t size = 1; size < instruction.size(); ++size) {
      const std::string message = run(instruction.substr(0, size));
      BOOST_TEST(message.ends_with(" at byte 0: the pickle ends inside it"), message);
    }
  }
  BOOST_TEST(run("N") == "the pickle ends at byte 1 without STOP");
  BOOST_TEST(run("N\x94q") == "BINPUT at byte 2: the pickle ends inside it");
}

// A length is believed only after it was compared with what is left.
BOOST_AUTO_TEST_CASE(lengths_beyond_the_end) {
  for (const auto* instruction : {"\x8d", "\x8e", "\x96", "\x95"}) {
    const std::string message = value(instruction + little_endian(~std::uint64_t{0}));
    BOOST_TEST(message.ends_with(" at byte 0: the pickle ends inside it"), message);
  }
}

BOOST_AUTO_TEST_CASE(limits_by_name) {
  pickle::Limits limits;
  limits.max_depth = 3;
  BOOST_TEST(run("(((ttt.", limits) == "((()))");
  BOOST_TEST(run("((((tttt.", limits) == "MARK at byte 3: exceeds the limit max_depth = 3");
  limits.max_memo = 2;
  BOOST_TEST(run("N\x94\x94.", limits) == "None");
  BOOST_TEST(run("N\x94\x94\x94.", limits) == "MEMOIZE at byte 3: exceeds the limit max_memo = 2");
  BOOST_TEST(run("Nq\x02.", limits) == "BINPUT at byte 1: exceeds the limit max_memo = 2");
  limits.max_opcodes = 4;
  BOOST_TEST(run("NNN.", limits) == "None");
  BOOST_TEST(run("NNNN.", limits) == "STOP at byte 4: exceeds the limit max_opcodes = 4");
}

// torch.save's data.pkl, and a pickle of plain values alone.
BOOST_AUTO_TEST_CASE(other_dialects) {
  const pickle::Dialect torch_save{.persistent_ids = true};
  const pickle::Dialect plain{.names = false};
  const std::string storage =
      "(\x8c\x07storage\x8c\x01"
      "0K\x05tQ.";
  BOOST_TEST(run(storage, {}, torch_save) == "id ('storage', '0', 5)");
  BOOST_TEST(run("K\x01K\x02Q\x86.", {}, torch_save) == "(1, id 2)");
  BOOST_TEST(run("Q.", {}, torch_save) == "BINPERSID at byte 0: the stack holds too few values");
  BOOST_TEST(run(storage).starts_with("BINPERSID at byte 16: refused: "));
  BOOST_TEST(run("ca\nb\n.", {}, plain) == "GLOBAL at byte 0: refused: a pickle of plain values names nothing");
  BOOST_TEST(run("}\x8c\x01xK\x01s.", {}, plain) == "{'x', 1}");
}

// Python reads protocol 0's numbers in octal, hexadecimal, with signs and spaces. Its pickler writes none of it.
BOOST_AUTO_TEST_CASE(numbers_that_python_does_not_write) {
  for (const char* line : {"I010\n", "I0x10\n", "I+1\n", "I-0\n", "I 1\n", "I1 \n", "I1_0\n", "I\n", "L010L\n",
                           "L1LL\n", "F+1.5\n", "Finfinity\n", "Fnan(1)\n", "F0x1p3\n", "F1e999\n"}) {
    BOOST_TEST(value(line).ends_with("not a number"), line << " " << value(line));
  }
  BOOST_TEST(value("I0\n") == "0");
  BOOST_TEST(value("I-10\n") == "-10");
  BOOST_TEST(value("Finf\n") == "inf");
  BOOST_TEST(value("L" + std::string(4300, '9') + "L\n").starts_with("int:9999"));
  BOOST_TEST(value("L" + std::string(4301, '9') + "L\n").ends_with("not a number"));
  BOOST_TEST(value("Np01\n").ends_with("not a memo index"));
}

// `pickle.load` of a file, `pickle.loads` and the unpickler in Python disagree about frames that end elsewhere.
BOOST_AUTO_TEST_CASE(frames_that_end_inside_of_an_instruction) {
  const auto framed = [](std::string_view content) {
    return "\x95" + little_endian(std::uint64_t{content.size()}) + std::string(content);
  };
  BOOST_TEST(run(framed("K\x01") + framed("K\x02\x86.")) == "(1, 2)");
  BOOST_TEST(run(framed("K") + "\x01.") == "BININT1 at byte 9: its frame ends inside it");
  BOOST_TEST(run(framed("J\x01\x01") + framed("\x01\x01.")) == "BININT at byte 9: its frame ends inside it");
  BOOST_TEST(run(framed("\x8c\x02h") + "i.") == "SHORT_BINUNICODE at byte 9: its frame ends inside it");
  BOOST_TEST(run(framed("I1") + "\n.") == "INT at byte 9: its frame ends inside it");
  BOOST_TEST(run(framed(framed("N")) + ".") == "FRAME at byte 9: a frame inside of a frame");
  BOOST_TEST(run(framed("") + framed("N") + ".") == "None");
}

// Python looks at these while the pickle runs, and copies what it finds.
BOOST_AUTO_TEST_CASE(changes_that_come_too_late) {
  const std::string late = ": it changes what a call, an object or a dict took before";
  const std::string made = "ca\nb\n)\x81";  // an object
  BOOST_TEST(run(made + "}q\x01"
                        "bh\x01NNs0.") == "SETITEM at byte 15" + late);  // its state
  BOOST_TEST(run(made + "N}q\x01\x86"
                        "bh\x01NNs0.") == "SETITEM at byte 17" + late);          // its slots
  BOOST_TEST(run("ca\nb\n]q\x01\x85Rh\x01Na0.") == "APPEND at byte 13" + late);  // an argument
  BOOST_TEST(run("ca\nb\n]q\x01\x85\x85Rh\x01(Ne0.") == "APPENDS at byte 15" + late);
  BOOST_TEST(run("ca\nb\n" + made + "q\x01\x85Rh\x01}b0.") == "BUILD at byte 19" + late);
  BOOST_TEST(run("}" + made + "q\x01Nsh\x01}b0.") == "BUILD at byte 15" + late);  // a key
  // A list that the state holds is the same list; it may grow.
  BOOST_TEST(run(made + "}\x8c\x01x]q\x01sbh\x01Na0.") == "new a.b() with {'x', [None]}");
}

BOOST_AUTO_TEST_CASE(keys_without_a_hash) {
  for (const char* key : {"]", "}", "\x8f", "]\x85", "]\x85\x85"}) {
    BOOST_TEST(value("}" + std::string(key) + "Ns").ends_with("an unhashable key"));
    BOOST_TEST(value("(" + std::string(key) + "Nd").ends_with("an unhashable key"));
    BOOST_TEST(value("\x8f(" + std::string(key) + "\x90").ends_with("an unhashable key"));
  }
  BOOST_TEST(value("}N\x85Ns") == "{(None), None}");
}

BOOST_AUTO_TEST_CASE(names_that_python_refuses) {
  BOOST_TEST(value("c\na\n") == "GLOBAL at byte 0: an empty name");
  BOOST_TEST(value("\x80\x03"
                   "ca\nb.c\n") == "GLOBAL at byte 2: a name inside of a name, before protocol 4");
  BOOST_TEST(value("\x80\x04"
                   "ca\nb.c\n") == "a.b.c");
  BOOST_TEST(value("ccPickle\nloads\n") == "pickle.loads");
  BOOST_TEST(value("curllib2\nURLError\n") == "urllib.error.URLError");
}

BOOST_AUTO_TEST_SUITE_END()
