// What unpickling would run, by the audit's own list; and that the audit stands behind the exporter's first decision.
#include <boost/test/unit_test.hpp>

#include "describe.hpp"
#include "flatpoint/pickle_audit.hpp"
#include "pickle/assemble.hpp"
#include "pickle/audit_walk.hpp"
#include "support.hpp"
#include "support/random_model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;
using namespace std::string_literals;

namespace {

/// "name what; name what"; "clean".
std::string told(const PickleAudit& audit) {
  std::string all = audit.complete ? "" : "incomplete: ";
  for (const ForeignAct& act : audit.acts) {
    if (&act != audit.acts.data()) all += "; ";
    all += act.name + (act.name.empty() ? "" : " ") + act.what;
  }
  return audit.clean() ? "clean" : all;
}
std::string audited(std::string_view pickle) { return told(audit_pickle(bytes_of(pickle))); }

/// Of a value in the place of an attribute.
std::string audited_value(std::string_view value) { return audited(metadata(str("note") + std::string(value))); }

std::string exported_with(std::string_view value, dcp::ForeignNames foreign = dcp::ForeignNames::Refuse) {
  const auto file = dcp::import_pickle(bytes_of(metadata(str("note") + std::string(value))));
  if (!file) return "not imported: " + file.error().message;
  dcp::ExportOptions options;
  options.foreign_names = foreign;
  const auto borrowed = MetadataFile::from_bytes(file->bytes.bytes());
  const auto done = dcp::export_pickle(borrowed->view(), options);
  return done ? "written" : done.error().message;
}

std::string walked(std::string_view pickle, std::vector<audit::Span> spans) {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size());
  return told(audit::Walk(bytes, {spans, {}}).run());
}

const std::string kCode = call(global("posix", "system"), str("touch x"));
const std::string kMember = call(dcp_class("_MEM_FORMAT_ENCODING"), number(0));
const std::string kLayout = call(global("torch.serialization", "_get_layout"), str("torch.strided"));

}  // namespace

BOOST_AUTO_TEST_SUITE(auditing)

BOOST_AUTO_TEST_CASE(what_torch_wrote_is_clean) {
  for (const auto& path : sample_pickles()) BOOST_TEST(audited(read_file(path)) == "clean", path);
}

BOOST_AUTO_TEST_CASE(attacks_of_allowed_names_alone) {
  const std::string posix_path = global("pathlib", "PosixPath");
  const std::string path = call(posix_path, str("x"));
  const std::string write_text = call(global("builtins", "getattr"), posix_path + str("write_text"));
  const std::string getattr_other = "builtins.getattr is called in another way than DCP does";
  const auto state = [](std::string_view key, std::string_view value) { return dict(str(key) + std::string(value)); };
  const std::string index = dcp_class("MetadataIndex") + ops(Opcode::EMPTY_TUPLE, Opcode::NEWOBJ);
  std::string heavy = number(1) + op(Opcode::TUPLE1);
  for (int i = 0; i < 60; ++i) heavy += ops(Opcode::DUP, Opcode::TUPLE2);
  const std::string other_state = "a state is another than DCP's objects have";
  const std::string shared_state = "a state is given to what is shared or has none";

  const std::pair<std::string, std::string> cases[] = {
      {call(write_text, path + str("code")), getattr_other},
      {call(global("builtins", "getattr"), dcp_class("_MEM_FORMAT_ENCODING") + str("mro")), getattr_other},
      {call(global("builtins", "bytes"), op(Opcode::BININT, "\xff\xff\xff\x7f")),
       "builtins.bytes is called in another way than DCP does"},
      {call(global("builtins", "bytearray"), number(200)), "builtins.bytearray is called in another way than DCP does"},
      {call(dcp_class("_MEM_FORMAT_ENCODING"), number(3)),
       std::string(dcp::names::kMetadataModule) + "._MEM_FORMAT_ENCODING is called in another way than DCP does"},
      {call(global("_codecs", "encode"), str("x") + str("idna")),
       "_codecs.encode is called in another way than DCP does"},
      {call(global("builtins", "list"), ""), "builtins.list is imported; builtins.list is called"},
      {kMember + state("_value_", number(7)) + op(Opcode::BUILD), shared_state},
      {kLayout + state("x", number(7)) + op(Opcode::BUILD), shared_state},
      {torch_size(number(1)) + op(Opcode::MARK) + number(0) + number(1) + op(Opcode::SETITEMS),
       "items are given to what is no dict"},
      {kMember + op(Opcode::MARK) + number(0) + op(Opcode::APPENDS), "items are given to what is no list or set"},
      {dcp_class("MetadataIndex"),
       std::string(dcp::names::kMetadataModule) + ".MetadataIndex is a value where DCP has none"},
      {tuple(posix_path), "a class is a value where DCP has none"},
      {index + state("__setstate__", number(1)) + op(Opcode::BUILD), other_state},
      {index + state("offset", heavy) + op(Opcode::BUILD), other_state},
      {index + tuple(op(Opcode::NONE) + state("fqn", str("w"))) + op(Opcode::BUILD), other_state},
      {dict(heavy + op(Opcode::NONE)), "a key is one that cannot be hashed quickly"},
      {object(dcp_class("TensorProperties"), dict("")), other_state},
      {global("torch", "load"), "torch.load is imported"},
      {global("pathlib", "PosixPath.write_text"), "pathlib.PosixPath.write_text is imported"},
      {global("torch", "Size") + ops(Opcode::EMPTY_TUPLE, Opcode::NEWOBJ),
       "torch.Size is made an object of in another way than DCP does"},
      {op(Opcode::LONG, std::string(5000, '1') + "L\n"), "an int has more than 4300 digits"},
  };
  std::vector<std::string> imported_no_longer;
  for (const auto& [value, verdict] : cases) {
    BOOST_TEST(audited_value(value) == verdict);
    // The exporter's first decision comes to the same, by its own list.
    const std::string refused = exported_with(value);
    if (refused.starts_with("not imported: ")) {  // the importer's rules stand before the exporter's
      imported_no_longer.push_back(refused);
      continue;
    }
    BOOST_TEST(refused.starts_with("attribute 'note' of Metadata needs "), refused << " for " << verdict);
    BOOST_TEST(exported_with(value, dcp::ForeignNames::Drop) == "written");
    BOOST_TEST(exported_with(value, dcp::ForeignNames::Keep) == "written");
  }
  for (const std::string& refused : imported_no_longer) BOOST_TEST_MESSAGE(refused);
  BOOST_TEST(imported_no_longer.size() == 1U);
}

// The importer refuses these already.
BOOST_AUTO_TEST_CASE(attacks_that_no_import_lets_pass) {
  BOOST_TEST(audited_value(global("pathlib", "PosixPath") + dict(str("x") + number(7)) + op(Opcode::BUILD)) ==
             "pathlib.PosixPath a state is given to what is shared or has none; "
             "pathlib.PosixPath is a value where DCP has none");
  BOOST_TEST(audited_value(ops(Opcode::NONE, Opcode::EMPTY_TUPLE, Opcode::REDUCE)) ==
             "something other than a name is called");
}

BOOST_AUTO_TEST_CASE(names_beside_those_of_the_list) {
  BOOST_TEST(audited_value(global("torch", "float")) == "torch.float is imported");
  BOOST_TEST(audited_value(global("torch", "int_repr")) == "torch.int_repr is imported");
  BOOST_TEST(audited_value(global("torch", "float4_e2m1fn_x2")) == "clean");
  const auto slice = [](std::string_view step) {
    return call(global("builtins", "slice"), op(Opcode::NONE) + number(7) + std::string(step));
  };
  BOOST_TEST(audited_value(slice(op(Opcode::NONE))) == "clean");
  BOOST_TEST(audited_value(slice(str("x"))) == "builtins.slice is called in another way than DCP does");
}

BOOST_AUTO_TEST_CASE(one_text_copied_over_and_over) {
  std::string value = op(Opcode::BINBYTES, little_endian(std::uint32_t{100000})) + std::string(100000, 'x') +
                      op(Opcode::BINPUT, "\x01") + op(Opcode::POP);
  std::string calls;
  for (int i = 0; i < 1000; ++i) calls += call(global("builtins", "bytearray"), op(Opcode::BINGET, "\x01"));
  value += list(calls);
  BOOST_TEST(audited_value(value) == "calls copy one text over and over");
  BOOST_TEST(exported_with(value).find("copy one text") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(attributes_that_python_looks_at) {
  const std::string pickle = metadata(str("__setstate__") + op(Opcode::NONE));
  BOOST_TEST(audited(pickle) == "a state is another than DCP's objects have");
  const auto file = dcp::import_pickle(bytes_of(pickle));
  const auto view = MetadataFile::from_bytes(file->bytes.bytes());
  dcp::ExportOptions options;
  for (const auto foreign : {dcp::ForeignNames::Refuse, dcp::ForeignNames::Keep}) {
    options.foreign_names = foreign;
    const auto done = dcp::export_pickle(view->view(), options);
    BOOST_TEST(!done);
    BOOST_TEST(done.error().message == "attribute '__setstate__' of Metadata, which Python itself looks at");
  }
  options.foreign_names = dcp::ForeignNames::Drop;
  BOOST_TEST(dcp::export_pickle(view->view(), options)->dropped.size() == 1U);
}

// Only what kept records hold goes unjudged; they cannot reach outside, nor anything into them.
BOOST_AUTO_TEST_CASE(unjudged_records) {
  const std::string first = begin() + op(Opcode::EMPTY_LIST) + op(Opcode::MEMOIZE);
  const auto with = [&](std::string_view record, std::string_view after = "a.") {
    const std::string pickle = first + std::string(record) + std::string(after);
    return walked(pickle, {{first.size(), first.size() + record.size()}});
  };
  BOOST_TEST(with(kCode) == "clean");
  BOOST_TEST(with(kCode + op(Opcode::MEMOIZE)) == "clean");
  BOOST_TEST(walked(first + kCode + "a.", {}) == "posix.system is imported; posix.system is called");
  BOOST_TEST(with(kCode, kCode + "\x86" + "a.") == "posix.system is imported; posix.system is called");
  BOOST_TEST(with(op(Opcode::BINGET, "\0"s)).find("reaches for a value of others") != std::string::npos);
  BOOST_TEST(with(op(Opcode::NONE) + op(Opcode::BINPUT, "\0"s)).find("changes a memo entry") != std::string::npos);
  BOOST_TEST(with(op(Opcode::NONE) + op(Opcode::MEMOIZE), "ah\x01"s + "0.").find("reaches into") != std::string::npos);
  BOOST_TEST(with("NN").find("other than one value") != std::string::npos);
  BOOST_TEST(with("Na").starts_with("incomplete"));  // it would append to the list below
  BOOST_TEST(with("0N").starts_with("incomplete"));
  BOOST_TEST(with(".").starts_with("incomplete"));
  BOOST_TEST(with(kCode, "}bN\x86"s + "a.") == "a state is given to what is shared or has none");
  BOOST_TEST(with(kCode, ")R.") == "something other than a name is called");
}

// Python would read other instructions than we do.
BOOST_AUTO_TEST_CASE(frames) {
  const auto framed = [](std::uint64_t length, std::string_view rest) {
    return audited(begin() + op(Opcode::FRAME, little_endian(length)) + std::string(rest));
  };
  BOOST_TEST(framed(4, "\x8c\x01x.") == "clean");
  BOOST_TEST(framed(2, "\x8c\x01x.") == "incomplete: a frame ended inside the instruction before");
  BOOST_TEST(framed(5, "\x8c\x01x.") == "incomplete: a frame is longer than the pickle");
  BOOST_TEST(framed(9, op(Opcode::FRAME, little_endian(std::uint64_t{1})) + ".") ==
             "incomplete: a frame begins inside of another");
}

BOOST_AUTO_TEST_CASE(old_protocols) {
  BOOST_TEST(audited("(S'touch x'\nios\nsystem\n.") == "os.system is imported; os.system is called");
  BOOST_TEST(audited("(cos\nsystem\nS'x'\no.") == "os.system is imported; os.system is called");
  BOOST_TEST(audited("ccopy_reg\n_reconstructor\n(c" + std::string(dcp::names::kMetadataModule) +
                     "\nMetadata\nc__builtin__\nobject\nNtR.") == "clean");
  BOOST_TEST(audited(begin(3) + "c__builtin__\nbytearray\n.") == "__builtin__.bytearray is imported");
  BOOST_TEST(audited("Pid\n.").starts_with("incomplete"));
  BOOST_TEST(audited("\x82\x01.").starts_with("incomplete"));
  BOOST_TEST(audited("").starts_with("incomplete"));
}

/// "clean", or each act with its place, judged with or without whole objects in one step.
std::string judged(std::string_view pickle, bool one_by_one, std::span<const audit::Span> spans = {}) {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size());
  const PickleAudit audit = audit::Walk(bytes, {.unjudged = spans, .classes = {}, .one_by_one = one_by_one}).run();
  std::string all = told(audit);
  for (const ForeignAct& act : audit.acts) all += " @" + std::to_string(act.position);
  return all;
}

// A whole object in one step comes to what its instructions come to, whatever it holds and wherever it is cut.
BOOST_AUTO_TEST_CASE(whole_objects_as_instruction_by_instruction) {
  std::mt19937_64 random(7);
  constexpr std::string_view kOpcodes = "NKMJhjqr(t)}ubeasR.0\x81\x85\x86\x87\x88\x8a\x94\x95";
  std::size_t clean = 0;
  std::size_t others = 0;
  for (const auto& path : sample_pickles()) {
    const std::string sample = read_file(path);
    BOOST_TEST(judged(sample, false) == judged(sample, true), path);
    if (sample.size() > 20000) continue;
    for (int round = 0; round < 300; ++round) {
      std::string bytes = sample;
      for (int i = 0; i < 1 + round % 2; ++i) {
        const std::size_t at = random() % bytes.size();
        switch (random() % 4) {
          case 0: bytes[at] = static_cast<char>(random()); break;
          case 1: bytes[at] = kOpcodes[random() % kOpcodes.size()]; break;
          case 2: bytes.erase(at, 1 + random() % 3); break;
          default: bytes.insert(at, 1, kOpcodes[random() % kOpcodes.size()]);
        }
      }
      const std::size_t begin = random() % bytes.size();
      const audit::Span span{begin, std::min<std::uint64_t>(bytes.size(), begin + random() % 64)};
      const bool with_span = round % 5 == 0;
      const std::span<const audit::Span> spans(&span, with_span ? 1 : 0);
      const std::string one_by_one = judged(bytes, true, spans);
      BOOST_REQUIRE_EQUAL(judged(bytes, false, spans), one_by_one);
      ++(one_by_one == "clean" ? clean : others);
    }
  }
  BOOST_TEST(clean > 100U);
  BOOST_TEST(others > 1000U);
}

// Any bytes have an answer.
BOOST_AUTO_TEST_CASE(random_bytes) {
  std::mt19937_64 random(1);
  const std::string sample = read_file(samples() / "s23_megatron_all_local_plans" / ".metadata");
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = sample.substr(0, 2000);
    for (int i = 0; i < 1 + round % 8; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    BOOST_TEST(!audited(bytes).empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()
