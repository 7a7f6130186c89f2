// Pickles that try to run code, that lie, or that are broken: a clear error or an opaque record, and nothing else.

#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <random>

#include "base/format.hpp"
#include "dcp/machine.hpp"
#include "dcp/shapes.hpp"
#include "describe.hpp"
#include "flatpoint/verify.hpp"
#include "pickle/assemble.hpp"
#include "support.hpp"

using namespace flatpoint;
using namespace flatpoint::test;
using namespace std::string_literals;

namespace {

/// A command that would leave a file, and whether it did.
struct Trap {
  std::filesystem::path file =
      std::filesystem::temp_directory_path() / flatpoint::fmt::format("flatpoint_trap_{}", ::getpid());
  std::string command = "touch " + file.string();
  std::string arguments = str(command);

  Trap() { std::filesystem::remove(file); }
  ~Trap() { BOOST_TEST(!std::filesystem::exists(file), "the pickle ran a command"); }
};

std::string error_of(std::string_view pickle, const dcp::ImportOptions& options = {}) {
  const auto imported = dcp::import_pickle(bytes_of(pickle), options);
  return imported ? "imported"
                  : flatpoint::fmt::format("{}: {}", to_string(imported.error().code), imported.error().message);
}

Json describe_import(std::string_view pickle) {
  const auto imported = dcp::import_pickle(bytes_of(pickle), {});
  BOOST_TEST_REQUIRE(imported.has_value(), (imported ? "" : imported.error().message));
  const auto file = MetadataFile::from_bytes(imported->bytes.bytes());
  BOOST_TEST_REQUIRE(file.has_value());
  BOOST_TEST(verify(*file).sound());
  return describe(*file);
}

std::string record_of(const Json& description, std::string_view kind) {
  for (const Json& record : description["opaque"]) {
    if (record["kind"] == kind) return record["pickle"];
  }
  return "none";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attack)

BOOST_AUTO_TEST_CASE(code_in_root_position) {
  const Trap trap;
  const std::string system = global("os", "system");
  const std::pair<std::string, std::string> cases[] = {
      {"cos\nsystem\n(S'" + trap.command + "'\ntR.",
       "not_pickle: not a pickle of DCP's Metadata: it holds a call of os.system"},
      {whole_pickle(call(system, trap.arguments)),
       "not_pickle: not a pickle of DCP's Metadata: it holds a call of os.system"},
      {whole_pickle(str("posix") + str("system") + op(Opcode::STACK_GLOBAL) + tuple(trap.arguments) +
                    op(Opcode::REDUCE)),
       "not_pickle: not a pickle of DCP's Metadata: it holds a call of posix.system"},
      {whole_pickle(system + tuple(trap.arguments) + op(Opcode::NEWOBJ)),
       "not_pickle: not a pickle of DCP's Metadata: it holds an object of os.system"},
      {whole_pickle(system + tuple(trap.arguments) + ops(Opcode::EMPTY_DICT, Opcode::NEWOBJ_EX)),
       "not_pickle: not a pickle of DCP's Metadata: it holds an object of os.system"},
      {"(S'" + trap.command + "'\nios\nsystem\n.", "not_pickle: not a pickle of DCP's Metadata: INST at byte"},
      {"(cos\nsystem\nS'" + trap.command + "'\no.", "not_pickle: not a pickle of DCP's Metadata: OBJ at byte"},
      {whole_pickle(
           call(call(global("builtins", "getattr"), call(global("builtins", "__import__"), str("os")) + str("system")),
                trap.arguments)),
       "not_pickle: not a pickle of DCP's Metadata: it holds a call of something that is not a name"},
      {whole_pickle(system), "not_pickle: not a pickle of DCP's Metadata: it holds the name os.system"},
      {whole_pickle(dcp_class("Metadata")),
       "not_pickle: not a pickle of DCP's Metadata: it holds the name torch.distributed.checkpoint.metadata.Metadata"},
      // Calling the class is not making an object of it.
      {whole_pickle(call(dcp_class("Metadata"), op(Opcode::EMPTY_DICT))),
       "not_pickle: not a pickle of DCP's Metadata: it holds a call of torch.distributed.checkpoint.metadata.Metadata"},
      // BUILD calls __setstate__ where an object has one.
      {whole_pickle(object(dcp_class("Metadata"), dict(str("__setstate__") + system)) + trap.arguments +
                    op(Opcode::BUILD)),
       "not_pickle: not a pickle of DCP's Metadata: an object of torch.distributed.checkpoint.metadata.Metadata has a "
       "state that is not attributes"},
      // BUILD would set attributes of the module's function.
      {whole_pickle(system + dict(str("__call__") + number(1)) + op(Opcode::BUILD)), "bad_pickle: BUILD at byte"},
      // The last value on the stack counts, what lies below is never looked at.
      {whole_pickle(call(system, trap.arguments) + ops(Opcode::POP, Opcode::NONE)),
       "not_pickle: not a pickle of DCP's Metadata: it holds another value"},
  };
  for (const auto& [attack, message] : cases) BOOST_TEST(error_of(attack).starts_with(message), error_of(attack));
}

BOOST_AUTO_TEST_CASE(code_thrown_away_on_the_way) {
  const Trap trap;
  const std::string thrown = call(global("os", "system"), trap.arguments) + op(Opcode::POP);
  const std::string said = error_of(
      whole_pickle(thrown + object(dcp_class("Metadata"), dict(str("state_dict_metadata") + op(Opcode::EMPTY_DICT)))));
  BOOST_TEST(said == "bad_pickle: a call of os.system is made and not kept");
}

// Wherever a value may stand: it is kept as bytes, and the bytes hold the call.
BOOST_AUTO_TEST_CASE(code_in_the_place_of_a_value) {
  const Trap trap;
  const std::string code = call(global("os", "system"), trap.arguments);
  const std::string index =
      object(dcp_class("MetadataIndex"), dict(str("fqn") + str("a") + str("index") + op(Opcode::NONE)));
  const std::string info_class = global("torch.distributed.checkpoint.filesystem", "_StorageInfo");
  const auto info = [&](std::string_view path) {
    return object(info_class, dict(str("relative_path") + std::string(path) + str("offset") + number(0) +
                                   str("length") + number(1)));
  };
  const auto entry = [&](std::string_view properties, std::string_view dims, std::string_view chunks) {
    return str("w") +
           object(dcp_class("TensorStorageMetadata"), dict(str("properties") + std::string(properties) + str("size") +
                                                           std::string(dims) + str("chunks") + std::string(chunks)));
  };
  const auto properties = [&](std::string_view dtype, std::string_view format) {
    return object(dcp_class("TensorProperties"),
                  tuple(std::string(dtype) + call(global("torch.serialization", "_get_layout"), str("torch.strided")) +
                        op(Opcode::NEWFALSE) + std::string(format) + op(Opcode::NEWFALSE)));
  };
  const std::string contiguous = call(dcp_class("_MEM_FORMAT_ENCODING"), number(0));
  const std::string usual = properties(global("torch", "float32"), contiguous);
  const std::string meta = object(dcp_class("StorageMeta"), dict(str("checkpoint_id") + code));
  const std::string by_name =
      call(global("builtins", "getattr"), global("os", "path") + str("TORCH_CONTIGUOUS_FORMAT"));

  const std::pair<const char*, std::string> cases[] = {
      {"Attribute", metadata(str("mcore_data") + list(code + op(Opcode::NONE)))},
      {"PlannerData", metadata(str("planner_data") + code)},
      {"PlannerItem", metadata(str("planner_data") + dict(str("a") + code), bytes_entry("a"))},
      {"StorageData", metadata(str("storage_data") + code)},
      {"StorageItem", metadata(str("storage_data") + dict(index + code))},
      {"StorageItem", metadata(str("storage_data") + dict(index + info(code)))},
      {"StorageMeta", metadata(str("storage_meta") + code)},
      {"StorageMeta", metadata(str("storage_meta") + meta)},
      {"Version", metadata(str("version") + code)},
      {"StateDictItem", metadata({}, number(1) + code)},
      {"StateDictValue", metadata({}, str("w") + code)},
      {"StateDictValue", metadata({}, entry(code, torch_size(number(1)), list({})))},
      {"StateDictValue", metadata({}, entry(usual, code, list({})))},
      {"StateDictValue", metadata({}, entry(usual, torch_size(code), list({})))},
      {"StateDictValue", metadata({}, entry(usual, torch_size(number(1)), list(code)))},
      {"StateDictValue", metadata({}, entry(properties(code, contiguous), torch_size(number(1)), list({})))},
      {"StateDictValue",
       metadata({}, entry(properties(global("torch", "float32"), code), torch_size(number(1)), list({})))},
  };
  for (const auto& [kind, attack] : cases) {
    BOOST_TEST_CONTEXT(kind)
    BOOST_TEST(record_of(describe_import(attack), kind).find(hex(trap.command)) != std::string::npos);
  }
  // What a call makes may be equal to another key, or have no hash.
  BOOST_TEST(error_of(metadata(str("storage_data") + dict(code + info(str("x"))))) ==
             "bad_pickle: item 0 of storage_data: a key that only Python can hash and compare");
  BOOST_TEST(error_of(metadata({}, code + op(Opcode::NONE))) ==
             "bad_pickle: item 0 of state_dict_metadata: a key that only Python can hash and compare");
  // getattr of anything but the enumeration is no memory format.
  const Json description = describe_import(
      metadata({}, entry(properties(global("torch", "float32"), by_name), torch_size(number(1)), list({}))));
  BOOST_TEST(record_of(description, "StateDictValue").find(hex("TORCH_CONTIGUOUS_FORMAT")) != std::string::npos);
}

// Python would look a name up, and could thereby run a module. Here it stays a name.
BOOST_AUTO_TEST_CASE(names_are_never_looked_up) {
  const Json description =
      describe_import(metadata(str("a") + global("antigravity", "x") + str("b") + global("os.path", "join")));
  BOOST_TEST(description["opaque"].size() == 2U);
}

BOOST_AUTO_TEST_CASE(not_a_pickle) {
  for (const auto& [bytes, message] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"", "not_pickle: the file is empty"},
           {"{\"a\": 1}", "not_pickle: not a pickle of DCP's Metadata: opcode at byte 0: no such opcode: 0x7b"},
           {"PK\x03\x04 zip", "not_pickle: not a pickle of DCP's Metadata: PERSID at byte 0: "},
           {"FLPT", "not_pickle: not a pickle of DCP's Metadata: FLOAT at byte 0: "},
           {"\x80\x04", "bad_pickle: the pickle ends at byte 2 without STOP"},
           {"\x80\x04N.", "not_pickle: not a pickle of DCP's Metadata: it holds another value"},
           {"\x80\x04}.", "not_pickle: not a pickle of DCP's Metadata: it holds a dict"},
       }) {
    BOOST_TEST(error_of(bytes).starts_with(message), error_of(bytes));
  }
  BOOST_TEST(
      error_of(whole_pickle(object(global("torch.nn", "Linear"), dict(str("weight") + number(1))))) ==
      "not_pickle: not a pickle of DCP's Metadata: an object of torch.nn.Linear without a dict state_dict_metadata");
  BOOST_TEST(
      error_of(whole_pickle(object(global("a b", "M"), dict(str("state_dict_metadata") + op(Opcode::EMPTY_DICT))))) ==
      "not_pickle: not a pickle of DCP's Metadata: an object of a b.M has a name with spaces");
}

BOOST_AUTO_TEST_CASE(limits_of_the_whole) {
  const std::string sample = read_file(samples() / "d01_dtensor_1d" / ".metadata");
  dcp::ImportOptions options;
  options.limits.max_input_bytes = sample.size() - 1;
  BOOST_TEST(error_of(sample, options) ==
             flatpoint::fmt::format("too_large: {} bytes exceed the limit max_input_bytes = {}", sample.size(),
                                    sample.size() - 1));
  options = {};
  options.limits.max_chunks = 19;
  BOOST_TEST(error_of(sample, options) == "too_large: more chunks than the limit max_chunks = 19");
  options.limits.max_chunks = 20;
  BOOST_TEST(error_of(sample, options) == "imported");
  options = {};
  options.limits.max_output_bytes = 1000;
  BOOST_TEST(error_of(sample, options).starts_with("too_large: the metadata file's "));
  options = {};
  options.limits.max_opcodes = 100;
  BOOST_TEST(error_of(sample, options).ends_with("exceeds the limit max_opcodes = 100"));
  options = {};
  options.limits.max_memo = 100;
  BOOST_TEST(error_of(sample, options).ends_with("exceeds the limit max_memo = 100"));
  options = {};
  options.limits.max_depth = 4;
  BOOST_TEST(error_of(sample, options).ends_with("exceeds the limit max_depth = 4"));
}

// Limits mean the same with and without the fast lane.
BOOST_AUTO_TEST_CASE(limits_at_every_value) {
  const std::string sample = read_file(samples() / "d01_dtensor_1d" / ".metadata");
  for (std::uint64_t limit = 0; limit < 1400; ++limit) {
    dcp::ImportOptions options;
    options.limits.max_opcodes = limit;
    BOOST_TEST(
        (import_through(dcp::Lane::Open, sample, options) == import_through(dcp::Lane::Closed, sample, options)));
    options = {};
    options.limits.max_memo = limit / 3;
    BOOST_TEST(
        (import_through(dcp::Lane::Open, sample, options) == import_through(dcp::Lane::Closed, sample, options)));
  }
  for (std::uint32_t limit = 0; limit < 12; ++limit) {
    dcp::ImportOptions options;
    options.limits.max_depth = limit;
    BOOST_TEST(
        (import_through(dcp::Lane::Open, sample, options) == import_through(dcp::Lane::Closed, sample, options)));
  }
}

// A list of chunks that many FQNs share through the memo multiplies when it is written out.
BOOST_AUTO_TEST_CASE(chunks_that_multiply) {
  const std::string chunk = object(dcp_class("ChunkStorageMetadata"),
                                   dict(str("offsets") + torch_size(number(0)) + str("sizes") + torch_size(number(1))));
  std::string chunks =
      op(Opcode::EMPTY_LIST) + op(Opcode::BINPUT, "\x01") + op(Opcode::MARK) + chunk + op(Opcode::BINPUT, "\x02");
  for (int i = 0; i < 999; ++i) chunks += op(Opcode::BINGET, "\x02");
  chunks += op(Opcode::APPENDS);
  const std::string properties = object(
      dcp_class("TensorProperties"),
      tuple(global("torch", "float32") + call(global("torch.serialization", "_get_layout"), str("torch.strided")) +
            op(Opcode::NEWFALSE) + call(dcp_class("_MEM_FORMAT_ENCODING"), number(0)) + op(Opcode::NEWFALSE)));
  std::string entries;
  for (int i = 0; i < 100; ++i) {
    entries +=
        str(std::to_string(i)) + object(dcp_class("TensorStorageMetadata"),
                                        dict(str("properties") + properties + str("size") + torch_size(number(1)) +
                                             str("chunks") + (i == 0 ? chunks : op(Opcode::BINGET, "\x01"))));
  }
  dcp::ImportOptions options;
  BOOST_TEST(error_of(metadata({}, entries), options) == "imported");
  options.limits.max_chunks = 99999;
  BOOST_TEST(error_of(metadata({}, entries), options) == "too_large: more chunks than the limit max_chunks = 99999");
}

BOOST_AUTO_TEST_CASE(more_dimensions_than_the_format_has) {
  std::string numbers;
  for (int i = 0; i < 256; ++i) numbers += number(1);
  const std::string index =
      object(dcp_class("MetadataIndex"), dict(str("fqn") + str("w") + str("offset") + torch_size(numbers)));
  BOOST_TEST(error_of(metadata(str("storage_data") + dict(index + op(Opcode::NONE)))) ==
             "too_large: FQN 'w': more than 255 dimensions, the format's limit");
  const std::string entry =
      str("w") + object(dcp_class("TensorStorageMetadata"), dict(str("size") + torch_size(numbers)));
  BOOST_TEST(error_of(metadata({}, entry)) == "too_large: FQN 'w': more than 255 dimensions, the format's limit");
}

// A Metadata that holds itself: written once per record, never followed for ever.
BOOST_AUTO_TEST_CASE(self_reference) {
  const std::string root = begin() + dcp_class("Metadata") + ops(Opcode::EMPTY_TUPLE, Opcode::NEWOBJ) +
                           op(Opcode::BINPUT, "\x07") + op(Opcode::EMPTY_DICT) + op(Opcode::BINPUT, "\x08") +
                           op(Opcode::MARK);
  const std::string self = op(Opcode::BINGET, "\x07");
  const std::string attacks = str("state_dict_metadata") + op(Opcode::EMPTY_DICT) + op(Opcode::BINPUT, "\x09") +
                              op(Opcode::MARK) + str("me") + self + str("entries") + op(Opcode::BINGET, "\x09") +
                              op(Opcode::SETITEMS) + str("again") + self + str("storage_data") +
                              op(Opcode::BINGET, "\x09") + str("planner_data") + op(Opcode::BINGET, "\x08");
  const Json description = describe_import(root + attacks + ops(Opcode::SETITEMS, Opcode::BUILD, Opcode::STOP));
  BOOST_TEST(description["state_dict_metadata"].dump() ==
             R"([["me",{"kind":"opaque"}],["entries",{"kind":"opaque"}]])");
}

BOOST_DATA_TEST_CASE(truncated_at_every_byte,
                     boost::unit_test::data::make({"d01_dtensor_1d", "real_t2.6.0_sharded", "legacy/t215_py3.11.7_p3"}),
                     sample) {
  const std::string whole = read_file(samples() / sample / ".metadata");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    const std::string message = import_through(dcp::Lane::Open, cut);
    const bool clear = message == "error: the file is empty" || message.ends_with("without STOP") ||
                       message.ends_with("the pickle ends inside it");
    BOOST_TEST(clear, size << ": " << message);
    BOOST_TEST((message == import_through(dcp::Lane::Closed, cut)));
  }
}

// Broken anywhere, the fast lane and the machine say the same, and what is imported is a sound file.
BOOST_DATA_TEST_CASE(broken_at_every_byte,
                     boost::unit_test::data::make({"d01_dtensor_1d", "s23_megatron_all_local_plans",
                                                   "d11_zstd_dedup_lowest"}),
                     sample) {
  const std::string whole = read_file(samples() / sample / ".metadata");
  std::mt19937 random(20261124);
  std::size_t sound = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const std::uint8_t byte :
         {std::uint8_t{0}, static_cast<std::uint8_t>(whole[at] ^ 1), static_cast<std::uint8_t>(random())}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(byte);
      const std::string open = import_through(dcp::Lane::Open, broken);
      BOOST_TEST((open == import_through(dcp::Lane::Closed, broken)), at << " = " << unsigned{byte});
      if (open.starts_with("error: ")) continue;
      const auto file = MetadataFile::from_bytes(bytes_of(open));
      BOOST_TEST((file && verify(*file).sound()), at << " = " << unsigned{byte});
      ++sound;
    }
  }
  BOOST_TEST(sound > 100U);
}

BOOST_AUTO_TEST_CASE(broken_at_random_in_a_large_file) {
  const std::string whole = read_file(samples() / "synthetic_w64_1000" / ".metadata");
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    std::string broken = whole;
    for (int n = 0; n < 3; ++n)
      broken[random() % broken.size()] = static_cast<char>(random() % 4 ? random() % 160 : random());
    BOOST_TEST((import_through(dcp::Lane::Open, broken) == import_through(dcp::Lane::Closed, broken)), i);
  }
}

// The large file is read in the fast lane but for the first of each form and the end of the file.
BOOST_AUTO_TEST_CASE(the_fast_lane_is_taken) {
  const std::string whole = read_file(samples() / "synthetic_w64_1000" / ".metadata");
  const auto imported = dcp::import_draft(bytes_of(whole), {}, dcp::Lane::Open);
  BOOST_TEST_REQUIRE(imported.has_value());
  BOOST_TEST(imported->heap->records.infos.size() > 900U);
  BOOST_TEST(imported->draft.boxes.size() > 3900U);
}

BOOST_AUTO_TEST_CASE(a_windows_path_of_an_empty_text) {
  const std::string pickle = "cpathlib\nPureWindowsPath\n(V\ntR.";
  dcp::Heap heap({reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size()});
  dcp::Machine machine(heap, {}, false, nullptr);
  BOOST_TEST_REQUIRE((machine.run() == dcp::Machine::Outcome::Done));
  BOOST_TEST(dcp::read_path(heap, machine.result())->text == ".");
}

BOOST_AUTO_TEST_SUITE_END()
