// An import is what `pickle.load` makes of the file, or it is refused. tests/dcp/differential/ compares with Python
// itself; here stand the pickles that once gave something else.
#include <boost/test/unit_test.hpp>

#include "base/format.hpp"
#include "describe.hpp"
#include "pickle/assemble.hpp"
#include "support.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

/// "imported", or what the importer says; with the fast lane open and closed it says the same.
std::string said_of(std::string_view pickle) {
  const auto imported = dcp::import_pickle(bytes_of(pickle), {});
  BOOST_TEST((import_through(dcp::Lane::Open, pickle) == import_through(dcp::Lane::Closed, pickle)));
  return imported ? "imported" : imported.error().message;
}

std::string keep_as(std::uint8_t id) { return op(Opcode::BINPUT, little_endian(id)); }
std::string fetch(std::uint8_t id) { return op(Opcode::BINGET, little_endian(id)); }

std::string info(std::uint8_t offset) {
  return object(global("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
                dict(str("relative_path") + str("f") + str("offset") + number(offset) + str("length") + number(1)));
}
std::string index(std::string_view cls, std::string_view rest = {}) {
  return object(cls, dict(str("fqn") + str("t") + std::string(rest)));
}
std::string storage(std::string_view items) { return metadata(str("storage_data") + dict(items), bytes_entry("t")); }

const std::string kIndex = dcp_class("MetadataIndex");
const std::string kUnknownKey = ": a key that only Python can hash and compare";
const std::string kKeyTwice = ": a key that comes twice";

}  // namespace

BOOST_AUTO_TEST_SUITE(equal_to_python)

BOOST_AUTO_TEST_CASE(a_state_that_changes_after_build) {
  const std::string late =
      object(global("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
             op(Opcode::EMPTY_DICT) + keep_as(1) + op(Opcode::MARK) + str("relative_path") + str("f") + str("offset") +
                 number(0) + str("length") + number(1) + op(Opcode::SETITEMS)) +
      fetch(1) + str("offset") + number(7) + ops(Opcode::SETITEM, Opcode::POP);
  const std::string said = said_of(storage(index(kIndex) + late));
  BOOST_TEST(said.starts_with("SETITEM at byte "), said);
  BOOST_TEST(said.ends_with("it changes what a call, an object or a dict took before"), said);
}

BOOST_AUTO_TEST_CASE(keys_that_python_finds_equal) {
  const std::string elsewhere = global("torch.distributed.checkpoint.filesystem", "MetadataIndex");
  BOOST_TEST(said_of(storage(index(kIndex) + info(1) + index(elsewhere) + info(2))) ==
             "item 1 of storage_data" + kUnknownKey);
  BOOST_TEST(said_of(storage(index(kIndex) + info(1) + call(kIndex, str("t")) + info(2))) ==
             "item 1 of storage_data" + kUnknownKey);
  const std::string called = call(global("builtins", "str"), str("t"));
  BOOST_TEST(said_of(metadata({}, bytes_entry("t") + called + op(Opcode::NONE))) ==
             "item 1 of state_dict_metadata" + kUnknownKey);
  BOOST_TEST(said_of(metadata(str("planner_data") + dict(str("a") + op(Opcode::NONE) + called + op(Opcode::NONE)))) ==
             "item 1 of planner_data" + kUnknownKey);
}

BOOST_AUTO_TEST_CASE(odd_keys_that_come_twice) {
  const std::string none = op(Opcode::NONE);
  const std::string one = number(1);
  for (const std::string& other :
       {op(Opcode::NEWTRUE), op(Opcode::INT, "1\n"), op(Opcode::LONG1, "\x02\x01" + std::string(1, '\0'))}) {
    BOOST_TEST(said_of(metadata({}, one + none + other + none)) == "item 1 of state_dict_metadata" + kKeyTwice);
  }
  BOOST_TEST(said_of(metadata({}, tuple(one + str("a")) + none + tuple(one + str("b")) + none)) == "imported");
  BOOST_TEST(said_of(metadata({}, tuple(one) + none + torch_size(one) + none)) ==
             "item 1 of state_dict_metadata" + kKeyTwice);
  // 1.0 is 1; -1 is no float that is whole.
  BOOST_TEST(said_of(metadata({}, str("t") + none + op(Opcode::BINFLOAT, "\x3f\xf0" + std::string(6, '\0')) + none)) ==
             "item 1 of state_dict_metadata" + kUnknownKey);
  BOOST_TEST(said_of(metadata({}, op(Opcode::BINFLOAT, "\x3f\xf8" + std::string(6, '\0')) + none)) == "imported");
}

// Of equal keys Python keeps the first, with the last value; no writer sets one twice.
BOOST_AUTO_TEST_CASE(keys_that_come_twice) {
  const std::string none = op(Opcode::NONE);
  BOOST_TEST(said_of(metadata({}, bytes_entry("a") + bytes_entry("b") + str("a") + none)) ==
             "item 2 of state_dict_metadata" + kKeyTwice);
  BOOST_TEST(said_of(metadata(str("planner_data") + dict(str("a") + none + str("a") + none))) ==
             "item 1 of planner_data" + kKeyTwice);
  BOOST_TEST(
      said_of(metadata(str("x") + none + str("x") + none)).ends_with("has a state that is not attributes, each once"));
}

BOOST_AUTO_TEST_CASE(keys_of_storage_data_that_come_twice) {
  const std::string none = op(Opcode::NONE);
  const std::string far_hint = str("index") + op(Opcode::LONG1, "\x09" + std::string(8, '\xFF') + std::string(1, '\0'));
  for (const std::string& fqn : {std::string("t"), std::string("loose")}) {
    const std::string key = object(kIndex, dict(str("fqn") + str(fqn)));
    const std::string same_key = object(kIndex, dict(str("fqn") + str(fqn) + far_hint));
    for (const std::string& items : {key + none + key + info(1), key + info(1) + key + none, key + none + key + none,
                                     key + info(1) + same_key + info(2), same_key + info(1) + key + info(2)}) {
      BOOST_TEST(said_of(storage(items)) == "item 1 of storage_data" + kKeyTwice);
    }
    BOOST_TEST(said_of(storage(key + info(1) + key + info(2))) == "item 1 of storage_data" + kKeyTwice);
    BOOST_TEST(said_of(storage(key + info(1))) == "imported");
  }
}

// Also of a key that is alone only Python can tell whether it has a hash.
BOOST_AUTO_TEST_CASE(keys_that_may_have_no_hash) {
  const std::string called = call(global("builtins", "list"), tuple(str("t")));
  BOOST_TEST(said_of(metadata({}, called + op(Opcode::NONE))) == "item 0 of state_dict_metadata" + kUnknownKey);
  BOOST_TEST(said_of(metadata(str("planner_data") + dict(called + op(Opcode::NONE)))) ==
             "item 0 of planner_data" + kUnknownKey);
  const std::string no_fqn = object(kIndex, dict(str("index") + op(Opcode::NONE)));
  for (const std::string& key : {called, no_fqn, call(kIndex, str("t")), global("elsewhere", "Key")}) {
    BOOST_TEST(said_of(storage(key + info(1))) == "item 0 of storage_data" + kUnknownKey);
  }
}

// copyreg._reconstructor calls __init__ of what stands in the place of the base class.
BOOST_AUTO_TEST_CASE(objects_that_are_made_by_other_objects) {
  const auto made_by = [](std::string_view base) {
    return metadata(str("x") + call(global("copyreg", "_reconstructor"),
                                    global("elsewhere", "A") + std::string(base) + op(Opcode::NONE)));
  };
  BOOST_TEST(said_of(made_by(global("builtins", "object"))) == "imported");
  for (const std::string& base : {call(global("elsewhere", "A"), {}), list({}), str("t")}) {
    const std::string said = said_of(made_by(base));
    BOOST_TEST(said.ends_with("it makes an object by another one"), said);
  }
}

// setattr, which sets what stands in slots, fails for a class that is frozen.
BOOST_AUTO_TEST_CASE(attributes_of_an_index_given_as_slots) {
  const std::string slots = op(Opcode::NONE) + dict(str("fqn") + str("t")) + op(Opcode::TUPLE2);
  BOOST_TEST(said_of(storage(object(kIndex, slots) + info(1) + index(kIndex) + info(2))) ==
             "item 0 of storage_data" + kUnknownKey);
}

// setattr of these changes all attributes, or the class; and a second state goes to the __setstate__ of the first.
BOOST_AUTO_TEST_CASE(states_that_change_the_object_itself) {
  const auto root = [](const std::string& states) {
    return said_of(whole_pickle(dcp_class("Metadata") + ops(Opcode::EMPTY_TUPLE, Opcode::NEWOBJ) + states));
  };
  const std::string entries = dict(str("state_dict_metadata") + dict(bytes_entry("a")));
  const std::string others = dict(str("state_dict_metadata") + dict(bytes_entry("b")));
  const std::string slots = op(Opcode::TUPLE2) + op(Opcode::BUILD);
  BOOST_TEST(root(entries + op(Opcode::EMPTY_DICT) + slots) == "imported");
  BOOST_TEST(root(entries + op(Opcode::NONE) + slots) == "imported");
  for (const std::string& states :
       {entries + dict(str("__dict__") + others) + slots, op(Opcode::NONE) + entries + slots,
        entries + dict(str("__class__") + dcp_class("StorageMeta")) + slots,
        dict(str("state_dict_metadata") + dict(bytes_entry("a")) + str("__setstate__") + global("builtins", "list")) +
            op(Opcode::BUILD) + dict(str("version") + str("1")) + op(Opcode::BUILD)}) {
    const std::string said = root(states);
    BOOST_TEST(said.ends_with("has a state that is not attributes, each once"), said);
  }
}

BOOST_AUTO_TEST_CASE(functions_that_are_made_as_objects_and_names_of_no_dtype) {
  const auto tensor = [](Opcode make_layout, std::string_view dtype = "float32") {
    const std::string layout =
        global("torch.serialization", "_get_layout") + tuple(str("torch.strided")) + op(make_layout);
    const std::string properties =
        object(dcp_class("TensorProperties"),
               tuple(global("torch", dtype) + layout + op(Opcode::NEWFALSE) +
                     call(dcp_class("_MEM_FORMAT_ENCODING"), number(0)) + op(Opcode::NEWFALSE)));
    return metadata({}, str("w") + object(dcp_class("TensorStorageMetadata"),
                                          dict(str("properties") + properties + str("size") + torch_size(number(1)) +
                                               str("chunks") + op(Opcode::EMPTY_LIST))));
  };
  const auto kind = [](const std::string& pickle) {
    const auto imported = dcp::import_pickle(bytes_of(pickle), {});
    BOOST_TEST_REQUIRE(imported.has_value());
    return describe(*MetadataFile::from_bytes(imported->bytes.bytes()))["state_dict_metadata"][0][1]["kind"]
        .get<std::string>();
  };
  BOOST_TEST(kind(tensor(Opcode::REDUCE)) == "tensor");
  BOOST_TEST(kind(tensor(Opcode::NEWOBJ)) == "opaque");  // a function has no __new__: Python fails
  BOOST_TEST(kind(tensor(Opcode::REDUCE, "float1000")) == "tensor");
  BOOST_TEST(kind(tensor(Opcode::REDUCE, "Size.__base__")) == "opaque");
}

// Python may fail at what it makes, and what it makes may do anything, also where nobody wants it.
BOOST_AUTO_TEST_CASE(calls_for_nothing) {
  const std::string fails = call(global("torch", "Size"), str("a"));
  const std::string said = "a call of torch.Size is made and not kept";
  const std::string rest = bytes_entry("a").substr(str("a").size());
  const auto before = [&](const std::string& dropped) { return metadata({}, str("a") + dropped + rest); };
  BOOST_TEST(said_of(before(fails + op(Opcode::POP))) == said);
  BOOST_TEST(said_of(before(fails + ops(Opcode::DUP, Opcode::POP, Opcode::POP))) == said);
  BOOST_TEST(said_of(before(fails + keep_as(9) + op(Opcode::POP))) == said);
  BOOST_TEST(said_of(before(op(Opcode::MARK) + number(1) + tuple(list(fails)) + op(Opcode::POP_MARK))) == said);
  BOOST_TEST(said_of(before(dict(str("k") + frozen_set(fails)) + op(Opcode::POP))) == said);
  BOOST_TEST(said_of(before(call(fails, {}) + op(Opcode::POP))).ends_with(" is made and not kept"));
  const std::string sound = metadata({}, bytes_entry("a"));
  BOOST_TEST(said_of(begin() + fails + sound.substr(begin().size())) == said);  // below what STOP takes
  BOOST_TEST(said_of(begin() + fails + op(Opcode::MARK) + sound.substr(begin().size())) == said);
  // A pickler writes names ahead; and a tuple that holds itself, whose items it throws away again.
  BOOST_TEST(said_of(before(global("posix", "system") + number(1) + list(number(2)) + tuple(str("b")) +
                            ops(Opcode::POP, Opcode::POP, Opcode::POP, Opcode::POP))) == "imported");
  const std::string kept = fails + keep_as(9) + op(Opcode::POP);
  BOOST_TEST(said_of(metadata(str("x") + kept + list(tuple(fetch(9))))) == "imported");
}

// What is folded by the fast lane and thrown away is made like everything else.
BOOST_AUTO_TEST_CASE(folded_objects_for_nothing) {
  std::string sample = read_file(samples() / "d01_dtensor_1d" / ".metadata");
  const std::size_t build = sample.rfind("\x62\x2e");  // BUILD, STOP
  BOOST_TEST_REQUIRE(build != std::string::npos);
  sample.resize(sample.size() - 2);
  sample.erase(2, 9);  // its one frame
  const std::string chunk = object(dcp_class("ChunkStorageMetadata"),
                                   dict(str("offsets") + torch_size(number(0)) + str("sizes") + torch_size(number(1))));
  BOOST_TEST(
      said_of(sample + chunk + ops(Opcode::POP, Opcode::BUILD, Opcode::STOP)).ends_with(" is made and not kept"));
}

// Objects of these take no attributes, or other ones.
BOOST_AUTO_TEST_CASE(classes_that_cannot_stand_in) {
  const auto root = [](std::string_view cls) {
    return said_of(whole_pickle(object(cls, dict(str("state_dict_metadata") + op(Opcode::EMPTY_DICT)))));
  };
  BOOST_TEST(root(global("elsewhere", "Metadata")) == "imported");
  BOOST_TEST(root(global("torch", "Size")) == "not a pickle of DCP's Metadata: it holds an object of torch.Size");
  BOOST_TEST(root(global("builtins", "str")) == "not a pickle of DCP's Metadata: it holds an object of builtins.str");
  // A name of Python 2, which protocols from 3 on do not translate.
  BOOST_TEST(root(global("__builtin__", "set")) ==
             "not a pickle of DCP's Metadata: it holds an object of __builtin__.set");
  const auto kind = [](std::string_view cls) {
    const std::string place =
        object(cls, dict(str("relative_path") + str("f") + str("offset") + number(0) + str("length") + number(1)));
    const auto imported = dcp::import_pickle(bytes_of(storage(index(kIndex) + place)), {});
    BOOST_TEST_REQUIRE(imported.has_value());
    return describe(*MetadataFile::from_bytes(imported->bytes.bytes()))["opaque"].size();
  };
  BOOST_TEST(kind(global("elsewhere", "_StorageInfo")) == 0U);
  BOOST_TEST(kind(global("torch", "int8")) == 1U);
  BOOST_TEST(kind(global("builtins", "int")) == 1U);
  BOOST_TEST(kind(dcp_class("MetadataIndex")) == 1U);
}

BOOST_AUTO_TEST_CASE(chunks_of_another_number_of_dimensions_are_named) {
  const std::string properties = object(
      dcp_class("TensorProperties"),
      tuple(global("torch", "float32") + call(global("torch.serialization", "_get_layout"), str("torch.strided")) +
            op(Opcode::NEWFALSE) + call(dcp_class("_MEM_FORMAT_ENCODING"), number(0)) + op(Opcode::NEWFALSE)));
  const auto tensor = [&](std::string_view fqn, std::string_view offsets, std::string_view sizes) {
    const std::string chunk = object(dcp_class("ChunkStorageMetadata"),
                                     dict(str("offsets") + torch_size(offsets) + str("sizes") + torch_size(sizes)));
    return str(fqn) + object(dcp_class("TensorStorageMetadata"),
                             dict(str("properties") + properties + str("size") + torch_size(number(4) + number(4)) +
                                  str("chunks") + list(chunk)));
  };
  const std::string one = number(1);
  const auto imported = dcp::import_pickle(
      bytes_of(metadata({}, tensor("sound", one + one, one + one) + tensor("flat", one, one) +
                                tensor("half", one + one, one) + tensor("texts", one + str("a"), one + one))),
      {});
  BOOST_TEST_REQUIRE(imported.has_value());
  std::vector<std::string> said;
  for (const Finding& finding : imported->findings) said.push_back(finding.kind + " " + finding.message);
  const std::string why =
      "': a chunk has another number of dimensions than its tensor, which is kept as an opaque record";
  BOOST_TEST(said == std::vector<std::string>({"chunk_dimensions FQN 'flat" + why, "chunk_dimensions FQN 'half" + why}),
             boost::test_tools::per_element());
  BOOST_TEST(describe(*MetadataFile::from_bytes(imported->bytes.bytes()))["opaque"].size() == 3U);
}

// The bytes of a sample in frames that are cut at each place inside of its storage data.
BOOST_AUTO_TEST_CASE(frames_cut_at_every_byte) {
  const std::string sample = read_file(samples() / "d01_dtensor_1d" / ".metadata");
  constexpr std::size_t kHeader = 11;  // PROTO, FRAME
  const std::string body = sample.substr(kHeader);
  const auto framed = [](std::string_view content) {
    return op(Opcode::FRAME, little_endian(std::uint64_t{content.size()})).append(content);
  };
  std::size_t between = 0;
  for (std::size_t cut = body.size() / 2; cut < body.size() - 1; ++cut) {
    const std::string said = said_of(begin() + framed(body.substr(0, cut)) + framed(body.substr(cut)));
    between += said == "imported" ? 1 : 0;
    BOOST_TEST((said == "imported" || said.ends_with("its frame ends inside it")), said);
  }
  BOOST_TEST(between > 100U);
}

// With Python itself they are compared by tests/dcp/differential/test_differential.py.
BOOST_AUTO_TEST_CASE(what_fuzzing_found_is_the_same_in_both_lanes) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(FLATPOINT_TEST_DIFFERENTIAL "/found")) {
    const std::string pickle = read_file(entry.path());
    BOOST_TEST((import_through(dcp::Lane::Open, pickle) == import_through(dcp::Lane::Closed, pickle)), entry.path());
    ++count;
  }
  BOOST_TEST(count >= 29U);
}

BOOST_AUTO_TEST_CASE(values_of_other_types_are_told) {
  const auto findings = [](std::string_view name) {
    std::vector<std::string> said;
    const auto imported = dcp::import_file(hand_made(name));
    BOOST_TEST_REQUIRE(imported.has_value());
    for (const Finding& finding : imported->findings) said.push_back(finding.message);
    return said;
  };
  BOOST_TEST(
      findings("lists_for_sizes") ==
          std::vector<std::string>({"4 sizes, offsets or strides are lists, and read as torch.Size; an export writes "
                                    "torch.Size"}),
      boost::test_tools::per_element());
  BOOST_TEST(
      findings("paths_for_texts") ==
          std::vector<std::string>({"1 relative paths are paths of pathlib, and read as their text; an export writes "
                                    "str"}),
      boost::test_tools::per_element());
  BOOST_TEST(findings("numpy_2_integers").empty());
}

BOOST_AUTO_TEST_SUITE_END()

// What took quadratic time: of a size at which that would not end.
BOOST_AUTO_TEST_SUITE(linear)

namespace {

std::string padded(std::uint32_t i) { return flatpoint::fmt::format("{:06}", i); }

}  // namespace

BOOST_AUTO_TEST_CASE(attributes_of_metadata) {
  std::string attributes;
  for (std::uint32_t i = 0; i < 300'000; ++i) attributes += str(padded(i)) + op(Opcode::NONE);
  BOOST_TEST(said_of(metadata(attributes)) == "imported");
}

BOOST_AUTO_TEST_CASE(names_of_dtypes) {
  const std::string rest = call(global("torch.serialization", "_get_layout"), str("torch.strided")) +
                           op(Opcode::NEWFALSE) + call(dcp_class("_MEM_FORMAT_ENCODING"), number(0)) +
                           op(Opcode::NEWFALSE);
  std::string entries;
  for (std::uint32_t i = 0; i < 60'000; ++i) {
    const std::string properties =
        object(dcp_class("TensorProperties"), tuple(global("torch", "d" + padded(i)) + rest));
    entries += str(padded(i)) + object(dcp_class("TensorStorageMetadata"),
                                       dict(str("properties") + properties + str("size") + torch_size(number(1)) +
                                            str("chunks") + op(Opcode::EMPTY_LIST)));
  }
  BOOST_TEST(said_of(metadata({}, entries)) == "imported");
}

/// Items of storage_data that share one value, which is made before.
std::string sharing_items(std::string_view made, std::string_view rest) {
  std::string items;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    items += object(fetch(2), dict(str("fqn") + str(padded(i)))) +
             object(fetch(3), dict(std::string(rest) + str("offset") + number(0) + str("length") + number(1)));
  }
  const std::string shared = std::string(made) + keep_as(1) + op(Opcode::POP) + kIndex + keep_as(2) + op(Opcode::POP) +
                             global("torch.distributed.checkpoint.filesystem", "_StorageInfo") + keep_as(3) +
                             op(Opcode::POP);
  return begin() + shared + metadata(str("storage_data") + dict(items)).substr(2);
}

BOOST_AUTO_TEST_CASE(descriptors_that_all_items_share) {
  std::string texts;
  for (int i = 0; i < 100'000; ++i) texts += str("x");
  BOOST_TEST(said_of(sharing_items(list(texts), str("relative_path") + str("f") + str("transform_descriptors") +
                                                    fetch(1))) == "imported");
}

BOOST_AUTO_TEST_CASE(a_path_that_all_items_share) {
  std::string texts;
  for (int i = 0; i < 100'000; ++i) texts += str("x");
  for (const char* cls : {"PurePosixPath", "PureWindowsPath"}) {
    BOOST_TEST(said_of(sharing_items(call(global("pathlib", cls), texts), str("relative_path") + fetch(1))) ==
               "imported");
  }
}

// A state that names an attribute again and again is read by every item that shares it.
BOOST_AUTO_TEST_CASE(a_state_that_all_items_share) {
  std::string state;
  for (int i = 0; i < 100'000; ++i) state += str("offset") + number(0);
  std::string items;
  for (std::uint32_t i = 0; i < 100'000; ++i) items += object(fetch(2), dict(str("fqn") + str(padded(i)))) + fetch(1);
  const std::string shared = object(global("torch.distributed.checkpoint.filesystem", "_StorageInfo"), dict(state)) +
                             keep_as(1) + op(Opcode::POP) + kIndex + keep_as(2) + op(Opcode::POP);
  const std::string said = said_of(begin() + shared + metadata(str("storage_data") + dict(items)).substr(2));
  BOOST_TEST(said.find("max_output_bytes") != std::string::npos, said);  // each record would hold it
}

BOOST_AUTO_TEST_CASE(arguments_that_all_calls_share) {
  std::string numbers;
  for (int i = 0; i < 100'000; ++i) numbers += number(1);
  std::string calls = list(numbers) + op(Opcode::TUPLE1) + keep_as(1) + op(Opcode::POP);
  calls += ops(Opcode::EMPTY_LIST, Opcode::MARK);
  for (std::uint32_t i = 0; i < 100'000; ++i) calls += global("a", "b") + fetch(1) + op(Opcode::REDUCE);
  BOOST_TEST(said_of(metadata(str("x") + calls + op(Opcode::APPENDS))) == "imported");
}

BOOST_AUTO_TEST_SUITE_END()
