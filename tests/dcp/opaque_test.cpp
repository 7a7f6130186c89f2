// Opaque records: self-contained, sharing and cycles kept, nothing executed.
#include <boost/test/unit_test.hpp>

#include "dcp/machine.hpp"
#include "dcp/opaque_writer.hpp"
#include "describe.hpp"
#include "pickle/assemble.hpp"
#include "support.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

/// Runs instructions and writes what they leave on the stack.
std::string rewrite(std::string_view instructions, const dcp::ImportLimits& limits = {}) {
  const std::string pickle = std::string(instructions) + ".";
  dcp::Heap heap({reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size()});
  dcp::Machine machine(heap, limits, true, nullptr);
  if (machine.run() != dcp::Machine::Outcome::Done) return machine.error().message;
  dcp::OpaqueWriter writer(heap, limits, limits.max_output_bytes);
  const auto written = writer.write(machine.result());
  return written ? std::string(*written) : written.error().message;
}

/// The instructions between PROTO and STOP.
std::string rewritten(std::string_view instructions) {
  const std::string pickle = rewrite(instructions);
  BOOST_TEST(pickle.starts_with("\x80\x04"));
  BOOST_TEST(pickle.ends_with("."));
  return pickle.substr(2, pickle.size() - 3);
}

using namespace std::string_literals;

}  // namespace

BOOST_AUTO_TEST_SUITE(opaque)

// Written in the form that Python itself writes, except for frames.
BOOST_AUTO_TEST_CASE(values) {
  for (const std::string& canonical : {
           "N"s,
           "\x88"s,
           "\x89"s,
           "K\x07"s,
           "M\x00\x01"s,
           "J\xff\xff\xff\xff"s,
           "\x8a\x05\x00\x00\x00\x00\x01"s,
           "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80"s,
           "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00"s,
           "L9223372036854775808L\n"s,
           "G\x3f\xf8\x00\x00\x00\x00\x00\x00"s,
           "\x8c\x02hi\x94"s,
           "C\x02hi\x94"s,
           ")"s,
           "N\x85\x94"s,
           "(NNNNt\x94"s,
           "]\x94"s,
           "]\x94Na"s,
           "]\x94(NNe"s,
           "}\x94"s,
           "}\x94K\x01Ns"s,
           "}\x94(K\x01NK\x02Nu"s,
           "\x8f\x94(N\x90"s,
           "(N\x91\x94"s,
           "\x8c\x01m\x94\x8c\x01n\x94\x93\x94"s,
           "\x8c\x01m\x94\x8c\x01n\x94\x93\x94)R\x94"s,
           "\x8c\x01m\x94\x8c\x01n\x94\x93\x94)\x81\x94}\x94"
           "b"s,
           "\x8c\x01m\x94\x8c\x01n\x94\x93\x94)}\x94\x92\x94"s,
       }) {
    BOOST_TEST(hex(rewritten(canonical)) == hex(canonical));
  }
}

BOOST_AUTO_TEST_CASE(other_forms_become_protocol_4) {
  BOOST_TEST(hex(rewritten("I-5\n")) == hex("J\xfb\xff\xff\xff"));
  BOOST_TEST(hex(rewritten("cm\nn\n")) == hex("\x8c\x01m\x94\x8c\x01n\x94\x93\x94"));
  BOOST_TEST(hex(rewritten("\x96\x02\x00\x00\x00\x00\x00\x00\x00hi"s)) == hex("\x8c\x08"
                                                                              "builtins\x94\x8c\x09"
                                                                              "bytearray\x94\x93"
                                                                              "C\x02hi\x85R\x94"));
  const std::string large(300, 'x');
  BOOST_TEST(hex(rewritten("X" + little_endian(std::uint32_t{300}) + large)) ==
             hex("X" + little_endian(std::uint32_t{300}) + large + "\x94"));
}

BOOST_AUTO_TEST_CASE(what_is_shared_stays_shared) {
  BOOST_TEST(hex(rewritten("]q\x05h\x05\x86"s)) == hex("]\x94h\x00\x86\x94"s));
  BOOST_TEST(hex(rewritten("]]\x86")) == hex("]\x94]\x94\x86\x94"));  // two lists stay two
  BOOST_TEST(hex(rewritten("\x8c\x01"
                           "a\x8c\x01"
                           "a\x86")) == hex("\x8c\x01"
                                            "a\x94h\x00\x86\x94"s));  // texts may be one
}

BOOST_AUTO_TEST_CASE(cycles) {
  // l = []; l.append(l)
  BOOST_TEST(hex(rewritten("]q\x00h\x00"
                           "a"s)) == hex("]\x94h\x00"
                                         "a"s));
  // d = {}; d[1] = d
  BOOST_TEST(hex(rewritten("}q\x00K\x01h\x00s"s)) == hex("}\x94K\x01h\x00s"s));
  // l = []; t = (l,); l.append(t); starting with t: Python, too, throws the second tuple away.
  BOOST_TEST(hex(rewritten("]q\x00h\x00\x85q\x01"
                           "ah\x00"
                           "0h\x01"s)) == hex("]\x94h\x00\x85\x94"
                                              "a0h\x01"s));
  // l = []; t = (l, 1, 2, 3); l.append(t)
  BOOST_TEST(hex(rewritten("]q\x00"
                           "0(h\x00K\x01K\x02K\x03tq\x01"
                           "0h\x00h\x01"
                           "a0h\x01"s)) == hex("(]\x94(h\x00K\x01K\x02K\x03t\x94"
                                               "aK\x01K\x02K\x03"
                                               "1h\x01"s));
  // o = C(); o.me = o
  BOOST_TEST(hex(rewritten("cm\nn\n)\x81q\x00}K\x01h\x00sb"s)) ==
             hex("\x8c\x01m\x94\x8c\x01n\x94\x93\x94)\x81\x94}\x94K\x01h\x03sb"s));
  // l = []; o = C(l); l.append(o): what a call took is not changed behind its back.
  BOOST_TEST(rewrite("cm\nn\n]q\x00\x85Rq\x01"
                     "0h\x00h\x01"
                     "a0h\x01"s)
                 .find("it changes what a call, an object or a dict took before") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nesting_is_limited_not_the_stack) {
  dcp::ImportLimits limits;
  std::string lists = "]";
  for (int i = 0; i < 100000; ++i)
    lists +=
        "]q\x01"
        "0h\x01"s;  // deep on the stack is not deep
  BOOST_TEST(rewrite(lists, limits).size() > 2U);
  std::string nested = ")";
  for (int i = 0; i < 255; ++i) nested += "\x85";
  BOOST_TEST(rewrite(nested, limits).size() > 255U);
  nested += std::string(1000000, '\x85');  // one instruction deeper each: the stack holds one value all the time
  BOOST_TEST(rewrite(nested, limits) == "a value is nested deeper than the limit max_depth = 256");
}

BOOST_AUTO_TEST_CASE(a_value_that_doubles_is_written_once) {
  std::string doubling = "K\x01\x85";
  for (int i = 0; i < 100; ++i) doubling += "2\x86";
  BOOST_TEST(rewrite(doubling).size() < 1000U);
}

BOOST_AUTO_TEST_CASE(output_is_limited) {
  const std::string part = str(std::string(200, 'x'));
  dcp::ImportOptions options;
  options.limits.max_output_bytes = 1000;
  // Each record is small; together they are not.
  std::string attributes;
  for (char name = 'a'; name < 'k'; ++name) attributes += str(std::string(1, name)) + part;
  const auto imported = dcp::import_pickle(bytes_of(metadata(attributes)), options);
  BOOST_TEST_REQUIRE(!imported.has_value());
  BOOST_TEST((imported.error().code == ErrorCode::TooLarge));
  BOOST_TEST(imported.error().message == "the opaque records exceed the limit max_output_bytes = 1000");
}

BOOST_AUTO_TEST_SUITE_END()
