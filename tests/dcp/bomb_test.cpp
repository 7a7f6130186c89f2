// Small pickles that ask for much: memory and output stay in proportion to the pickle, or the import is refused. No
// clocks: what would be quadratic or exponential would not end.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <fstream>
#include <random>

#include "base/format.hpp"
#include "flatpoint/verify.hpp"
#include "pickle/assemble.hpp"
#include "pickle/text_forms.hpp"
#include "support.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// "imported", or the error; what is imported is sound.
std::string outcome(std::string_view pickle) {
  const auto imported = dcp::import_pickle(bytes_of(pickle), {});
  if (!imported) return flatpoint::fmt::format("{}: {}", to_string(imported.error().code), imported.error().message);
  const auto file = MetadataFile::from_bytes(imported->bytes.bytes());
  return file && verify(*file).sound() ? "imported" : "unsound";
}

/// The same in a process that may take so much memory more and not a byte beyond.
std::string outcome_within([[maybe_unused]] std::uint64_t bytes, const std::string& pickle) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return outcome(pickle);  // sanitizers take terabytes of addresses for themselves
#else
  int pipe[2] = {};
  BOOST_TEST_REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t most = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + bytes;
    const rlimit limit{most, most};
    ::setrlimit(RLIMIT_AS, &limit);
    std::string said = "too much memory";
    try {
      said = outcome(pickle);
    } catch (const std::bad_alloc&) {
    }
    _exit(::write(pipe[1], said.data(), said.size()) < 0 ? 1 : 0);
  }
  ::close(pipe[1]);
  std::array<char, 4096> said{};
  std::size_t length = 0;
  for (ssize_t n = 0; (n = ::read(pipe[0], said.data() + length, said.size() - length)) > 0;)
    length += static_cast<std::size_t>(n);
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? std::string(said.data(), length) : "the process ended";
#endif
}

std::string put(std::uint32_t id) { return op(Opcode::LONG_BINPUT, little_endian(id)); }
std::string get(std::uint32_t id) { return op(Opcode::LONG_BINGET, little_endian(id)); }

std::string chunk() {
  return object(dcp_class("ChunkStorageMetadata"),
                dict(str("offsets") + torch_size(number(0)) + str("sizes") + torch_size(number(1))));
}
std::string tensor_state(std::string_view chunks) {
  return dict(str("properties") + get(1) + str("size") + get(2) + str("chunks") + std::string(chunks));
}

/// Tensors that share their list of chunks; its chunks are one object.
std::string sharing_tensors(std::uint32_t tensors, std::uint32_t chunks) {
  const std::string properties = object(
      dcp_class("TensorProperties"),
      tuple(global("torch", "float32") + call(global("torch.serialization", "_get_layout"), str("torch.strided")) +
            op(Opcode::NEWFALSE) + call(dcp_class("_MEM_FORMAT_ENCODING"), number(0)) + op(Opcode::NEWFALSE)));
  std::string list = op(Opcode::EMPTY_LIST) + op(Opcode::MARK) + chunk() + put(3);
  for (std::uint32_t i = 1; i < chunks; ++i) list += get(3);
  list += op(Opcode::APPENDS) + put(4);
  std::string shared;
  for (const std::string& made :
       {properties + put(1), torch_size(number(1)) + put(2), list, dcp_class("TensorStorageMetadata") + put(5)}) {
    shared += made + op(Opcode::POP);
  }
  std::string entries;
  for (std::uint32_t i = 0; i < tensors; ++i) entries += str(std::to_string(i)) + object(get(5), tensor_state(get(4)));
  return begin() + shared + metadata({}, entries).substr(2);
}

/// A value in which each level holds the one below it twice: 2^64 values to whoever follows all ways.
std::string doubled(std::string_view make, Opcode join) {
  std::string value = std::string(make) + put(100);
  for (std::uint32_t level = 0; level < 64; ++level) {
    value += get(100 + level) + op(join) + put(101 + level);
  }
  return value;
}
std::string doubled_tuple() { return doubled(op(Opcode::EMPTY_TUPLE), Opcode::TUPLE2); }

/// 2^bits texts of equal length that libstdc++'s hash cannot tell apart, whatever stands before them in multiples of 8
/// bytes: of two blocks of 8 bytes each, both or none are replaced by the block that differs in the top bit of what the
/// hash makes of it.
std::vector<std::string> colliding_texts(int bits) {
  constexpr std::uint64_t kMul = 0xC6A4A7935BD1E995;
  std::uint64_t inverse = kMul;  // modulo 2^64, by Newton
  for (int i = 0; i < 6; ++i) inverse *= 2 - kMul * inverse;
  std::mt19937_64 random(1);
  const auto block = [&] {
    for (;;) {
      std::string one;
      while (one.size() < 8) {
        const auto byte = [&](unsigned low, unsigned count) { one += static_cast<char>(low + random() % count); };
        switch (8 - one.size() < 3 ? 0 : random() % 3) {
          case 0: byte('a', 26); break;
          case 1: byte(0xC4, 0x1C), byte(0x80, 0x40); break;
          default: byte(0xE1, 0x0C), byte(0x80, 0x40), byte(0x80, 0x40);
        }
      }
      std::uint64_t other = 0;
      std::memcpy(&other, one.data(), 8);
      other *= kMul;
      other = (other ^ other >> 47) * kMul;
      other ^= std::uint64_t{1} << 63;
      other *= inverse;
      other = (other ^ other >> 47) * inverse;
      const std::string two(reinterpret_cast<const char*>(&other), 8);
      if (dcp::is_utf8(two) && two.find('\n') == std::string::npos) return std::pair(one, two);
    }
  };
  std::vector<std::string> texts = {""};
  for (int i = 0; i < bits; ++i) {
    const auto first = block();
    const auto second = block();
    const std::size_t count = texts.size();
    for (std::size_t t = 0; t < count; ++t) {
      texts.push_back(texts[t] + first.second + second.second);
      texts[t] += first.first + second.first;
    }
  }
  return texts;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bomb)

BOOST_AUTO_TEST_CASE(memo_numbers_far_apart) {
  std::string puts = op(Opcode::NONE);
  for (std::uint32_t i = 0; i < 100'000; ++i) puts += put(4096 * i);
  const std::string pickle = begin() + puts + metadata({}).substr(2);
  BOOST_TEST(outcome_within(64 * kMiB, pickle) ==
             flatpoint::fmt::format("bad_pickle: LONG_BINPUT at byte 618: memo index 503808 in a pickle of {} bytes",
                                    pickle.size()));
}

BOOST_AUTO_TEST_CASE(memo_numbers_as_far_apart_as_they_may_be) {
  std::string puts = op(Opcode::NONE);
  for (std::uint32_t i = 0; i < 100; ++i) puts += put(4096 * i);
  const std::string pickle =
      begin() + puts + std::string(600'000, static_cast<char>(Opcode::DUP)) + metadata({}).substr(2);
  BOOST_TEST(outcome_within(32 * pickle.size() + kMiB, pickle) == "imported");
}

// docs/safety.md states the multiple.
BOOST_AUTO_TEST_CASE(values_that_take_more_memory_than_they_have_bytes) {
  const std::string object = get(0) + ops(Opcode::EMPTY_TUPLE, Opcode::NEWOBJ);
  for (const std::string& small :
       {op(Opcode::EMPTY_LIST), op(Opcode::EMPTY_DICT), op(Opcode::NONE), ops(Opcode::NONE, Opcode::TUPLE1), str(""),
        ops(Opcode::EMPTY_LIST, Opcode::MEMOIZE), object, op(Opcode::INT, "1\n"), op(Opcode::BINFLOAT, "12345678"),
        op(Opcode::LONG1, "\x09 12345678")}) {
    std::string values;
    while (values.size() < 2'000'000) values += small;
    const std::string pickle = begin() + global("a", "b") + put(0) + values + metadata({}).substr(2);
    BOOST_TEST(outcome_within(50 * pickle.size() + 16 * kMiB, pickle) ==
               (small == object ? "bad_pickle: an object of a.b is made and not kept" : "imported"));
  }
}

BOOST_AUTO_TEST_CASE(one_list_of_chunks_shared_by_many_tensors) {
  const std::string small = sharing_tensors(1000, 1000);
  BOOST_TEST(outcome_within(256 * kMiB, small) == "imported");
  const std::string large = sharing_tensors(1000, 10'000);
  BOOST_TEST(outcome_within(256 * kMiB, large) ==
             flatpoint::fmt::format("too_large: more chunks than the limit max_chunks = {}", kMiB + large.size()));
  BOOST_TEST(outcome(sharing_tensors(200'000, 1)) == "imported");
}

// Each record is a pickle of its own, so that what records share is written again and again.
BOOST_AUTO_TEST_CASE(one_list_shared_by_many_records) {
  std::string list = op(Opcode::EMPTY_LIST) + op(Opcode::MARK);
  for (int i = 0; i < 100'000; ++i) list += number(1);
  std::string planner;
  std::string entries;
  for (int i = 0; i < 1000; ++i) {
    entries += bytes_entry(std::to_string(i));
    planner += str(std::to_string(i)) + get(1);
  }
  const std::string pickle = begin() + list + op(Opcode::APPENDS) + put(1) + op(Opcode::POP) +
                             metadata(str("planner_data") + dict(planner), entries).substr(2);
  BOOST_TEST(outcome_within(256 * kMiB, pickle) ==
             flatpoint::fmt::format("too_large: the opaque records exceed the limit max_output_bytes = {}",
                                    64 * kMiB + 16 * pickle.size()));
}

BOOST_AUTO_TEST_CASE(values_that_double_level_by_level) {
  const std::string index =
      object(dcp_class("MetadataIndex"), dict(str("fqn") + str("w") + str("offset") + doubled_tuple()));
  const std::string tensor = dcp_class("TensorStorageMetadata");
  for (const std::string& attack : {
           metadata(str("x") + doubled_tuple()),
           metadata(str("x") + doubled(op(Opcode::EMPTY_LIST), Opcode::TUPLE2)),
           metadata({}, str("w") + doubled_tuple()),
           metadata({}, str("w") + object(tensor, dict(str("size") + doubled_tuple()))),
           metadata({}, str("w") + object(tensor, dict(str("chunks") + doubled_tuple()))),
           metadata({}, str("w") + object(tensor, dict(str("properties") + doubled_tuple()))),
           metadata(str("planner_data") + dict(str("w") + doubled_tuple()), bytes_entry("w")),
           metadata(str("storage_meta") + doubled_tuple()),
           metadata(str("version") + doubled_tuple()),
       }) {
    BOOST_TEST(outcome_within(64 * kMiB, attack) == "imported");
  }
  // As keys: Python compares all 2^64 values, if it must.
  const std::string key = doubled_tuple() + op(Opcode::NONE);
  const std::string other = number(1) + op(Opcode::NONE);
  const std::string why = "a key that only Python can hash and compare";
  for (const std::string& items : {key, key + other}) {
    BOOST_TEST(outcome_within(64 * kMiB, metadata({}, items)) == "bad_pickle: item 0 of state_dict_metadata: " + why);
  }
  BOOST_TEST(outcome_within(64 * kMiB, metadata(str("planner_data") + dict(key + other))) ==
             "bad_pickle: item 0 of planner_data: " + why);
  for (const std::string& each : {key, index + op(Opcode::NONE)}) {
    BOOST_TEST(outcome_within(64 * kMiB, metadata(str("storage_data") + dict(each + other))) ==
               "bad_pickle: item 0 of storage_data: " + why);
  }
}

BOOST_AUTO_TEST_CASE(nesting_as_deep_as_the_pickle_is_long) {
  constexpr std::size_t kDepth = 50'000;
  const auto times = [](std::string_view text, std::size_t count) {
    std::string all;
    while (count-- > 0) all += text;
    return all;
  };
  const std::string lists = times(op(Opcode::EMPTY_LIST), kDepth) + times(op(Opcode::APPEND), kDepth - 1);
  const std::string tuples = op(Opcode::NONE) + times(op(Opcode::TUPLE1), kDepth);
  const std::string calls = times(global("a", "b"), kDepth) + op(Opcode::EMPTY_TUPLE) +
                            times(op(Opcode::REDUCE) + op(Opcode::TUPLE1), kDepth);
  const std::string states =
      times(global("a", "b") + ops(Opcode::EMPTY_TUPLE, Opcode::NEWOBJ), kDepth) + times(op(Opcode::BUILD), kDepth - 1);
  const std::string callables = global("a", "b") + times(ops(Opcode::EMPTY_TUPLE, Opcode::REDUCE), kDepth);
  for (const std::string& deep : {lists, tuples, calls, states, callables}) {
    for (const std::string& attack : {
             metadata(str("x") + deep),
             metadata({}, deep + op(Opcode::NONE)),
             metadata({}, str("w") + deep),
             metadata({}, str("w") + object(dcp_class("TensorStorageMetadata"),
                                            dict(str("size") + deep + str("chunks") + get(0)))),
             metadata(str("planner_data") + dict(str("w") + deep), bytes_entry("w")),
             metadata(str("storage_data") + dict(deep + deep)),
             metadata(str("storage_meta") + deep),
         }) {
      const std::string said = outcome(begin() + op(Opcode::NONE) + put(0) + attack.substr(2));
      BOOST_TEST((said.ends_with("max_depth = 256") || said.ends_with("an unhashable key") ||
                  said.ends_with("a key that only Python can hash and compare")),
                 said);
    }
    BOOST_TEST(outcome(whole_pickle(deep)).starts_with("not_pickle: "));
  }
}

// Python takes quadratic time to make a number of so many digits; here it stays the bytes that it was.
BOOST_AUTO_TEST_CASE(integers_of_millions_of_digits) {
  const std::string digits = op(Opcode::LONG, "-1" + std::string(4'000'000, '0') + "L\n");
  BOOST_TEST(outcome(metadata(str("x") + digits)).ends_with("not a number"));  // nor does Python since 3.11

  const std::string huge = op(Opcode::LONG4, little_endian(std::int32_t{4'000'000})) + std::string(4'000'000, '\x7F');
  const auto index = [&](std::string_view offset) {
    return object(dcp_class("MetadataIndex"), dict(str("fqn") + str("w") + std::string(offset) + str("index") + huge));
  };
  const auto outcome_in_proportion = [](const std::string& attack) {
    return outcome_within(16 * attack.size() + 64 * kMiB, attack);
  };
  BOOST_TEST(outcome_in_proportion(metadata(str("x") + huge)) == "imported");
  BOOST_TEST(outcome_in_proportion(metadata(str("storage_data") + dict(index("") + op(Opcode::NONE)))) == "imported");
  BOOST_TEST(outcome_in_proportion(
                 metadata(str("storage_data") + dict(index(str("offset") + torch_size(huge)) + op(Opcode::NONE)))) ==
             "bad_pickle: item 0 of storage_data: a key that only Python can hash and compare");
  BOOST_TEST(outcome_in_proportion(metadata(str("planner_data") + dict(str("w") + tuple(huge)), bytes_entry("w"))) ==
             "imported");
}

// Many empty values in one record, kept or shared. docs/safety.md states the multiple.
BOOST_AUTO_TEST_CASE(many_small_values_in_one_record) {
  for (const std::string& small : {op(Opcode::EMPTY_LIST), op(Opcode::EMPTY_TUPLE),
                                   ops(Opcode::EMPTY_LIST, Opcode::MEMOIZE), ops(Opcode::NONE, Opcode::TUPLE1)}) {
    std::string values;
    while (values.size() < 4'000'000) values += small;
    const std::string pickle = metadata(str("x") + list(values));
    BOOST_TEST(outcome_within(50 * pickle.size() + 16 * kMiB, pickle) == "imported");
  }
}

// A size of 255 dimensions that every tensor shares would be spelled out for each.
BOOST_AUTO_TEST_CASE(sizes_that_multiply) {
  std::string numbers;
  for (int i = 0; i < 255; ++i) numbers += number(1);
  std::string entries = str("first") + op(Opcode::NONE);
  const std::string properties = object(
      dcp_class("TensorProperties"),
      tuple(global("torch", "float32") + call(global("torch.serialization", "_get_layout"), str("torch.strided")) +
            op(Opcode::NEWFALSE) + call(dcp_class("_MEM_FORMAT_ENCODING"), number(0)) + op(Opcode::NEWFALSE)));
  const std::string tensor =
      object(dcp_class("TensorStorageMetadata"), dict(str("properties") + properties + str("size") +
                                                      torch_size(numbers) + str("chunks") + op(Opcode::EMPTY_LIST))) +
      put(1);
  for (int i = 0; i < 100'000; ++i) entries += str(std::to_string(i)) + (i == 0 ? tensor : get(1));
  BOOST_TEST(outcome_within(256 * kMiB, metadata({}, entries)).find("max_output_bytes") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(names_that_collide_in_the_standard_librarys_hash) {
  const auto texts = colliding_texts(16);
  BOOST_TEST(std::hash<std::string>()(texts.front()) == std::hash<std::string>()(texts.back()));
  std::string names;  // of modules that the pickle mentions: "6\nmodule" stands before them
  std::string storage;
  const std::string info_class = global("torch.distributed.checkpoint.filesystem", "_StorageInfo");
  const auto long_str = [](std::string_view text) {
    return op(Opcode::BINUNICODE, little_endian(static_cast<std::uint32_t>(text.size()))).append(text);
  };
  for (const std::string& text : texts) {
    names += global("module", text) + op(Opcode::POP);
    storage += object(dcp_class("MetadataIndex"), dict(str("fqn") + long_str(text))) +
               object(info_class, dict(str("relative_path") + long_str(text) + str("offset") + number(0) +
                                       str("length") + number(1)));
  }
  BOOST_TEST(outcome(begin() + names + metadata({}).substr(2)) == "imported");
  BOOST_TEST(outcome(metadata(str("storage_data") + dict(storage))) == "imported");
}

BOOST_AUTO_TEST_SUITE_END()
