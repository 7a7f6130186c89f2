// The C++ side of the suite, a line of output per question or file:
//
//   conformance json FILE...              canonical JSON
//   conformance answers FILE QUESTIONS    answers
//   conformance codes FILE...             "opens", or the code that opening gives
//   conformance verify FILE...            "sound", or the first broken rule
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>

#include "canonical.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/verify.hpp"

namespace flatpoint::conformance {
namespace {

MetadataFile open(const char* path) {
  auto file = MetadataFile::open(path);
  if (!file) throw std::runtime_error(file.error().message);
  return std::move(*file);
}

void print_answers(const char* path, const char* questions) {
  const MetadataFile file = open(path);
  std::ifstream in(questions);
  if (!in) throw std::runtime_error(std::string("cannot read ") + questions);
  for (std::string line; std::getline(in, line);) std::cout << answer(file.view(), line) << '\n';
}

std::string code_of(const char* path) {
  const auto file = MetadataFile::open(path);
  return file ? "opens" : std::string(to_string(file.error().code));
}

std::string first_broken_rule(const char* path) {
  const auto report = verify(open(path));
  return report.sound() ? "sound" : report.broken_rules.front().rule;
}

int run(std::span<const char* const> arguments) {
  const std::string command = arguments.empty() ? "" : arguments.front();
  if (command == "json") {
    for (const char* path : arguments.subspan(1)) {
      const MetadataFile file = open(path);
      std::cout << canonical_json(file.view());
    }
  } else if (command == "answers" && arguments.size() == 3) {
    print_answers(arguments[1], arguments[2]);
  } else if (command == "codes") {
    for (const char* path : arguments.subspan(1)) std::cout << code_of(path) << '\n';
  } else if (command == "verify") {
    for (const char* path : arguments.subspan(1)) std::cout << first_broken_rule(path) << '\n';
  } else {
    std::cerr << "usage: conformance json FILE... | answers FILE QUESTIONS | codes FILE... | verify FILE...\n";
    return 2;
  }
  return std::cout.flush() ? 0 : 1;
}

}  // namespace
}  // namespace flatpoint::conformance

int main(int argc, char** argv) {
  try {
    return flatpoint::conformance::run(std::span<const char* const>(argv, static_cast<std::size_t>(argc)).subspan(1));
  } catch (const std::exception& error) {
    std::cerr << "conformance: " << error.what() << '\n';
    return 1;
  }
}
