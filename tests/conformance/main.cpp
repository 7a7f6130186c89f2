// The C++ side of the suite, docs/conformance.md:
//
//   conformance say                  cases from standard input, with this reader's code, JSON and answers
//   conformance json FILE...         canonical JSON
//   conformance codes FILE...        a line per file: "opens", or the code that opening gives
//   conformance verify FILE...       a line per file: "sound", or the first broken rule
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/format.hpp"
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

std::string code_of(const Result<MetadataFile>& file) {
  return file ? "opens" : std::string(to_string(file.error().code));
}

/// Opens the bytes as a file is opened, and as bytes; both must give the same code.
Result<MetadataFile> opened(std::span<const std::byte> bytes) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("conformance_{}.flatpoint", ::getpid());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  auto mapped = MetadataFile::open(path);
  std::filesystem::remove(path);
  const auto held = MetadataFile::from_bytes(bytes);
  if (code_of(mapped) != code_of(held)) {
    throw std::runtime_error(fmt::format("{} from a file, {} from bytes", code_of(mapped), code_of(held)));
  }
  return mapped;
}

void say() {
  std::string line, name;
  std::optional<MetadataFile> file;
  while (std::getline(std::cin, line)) {
    const auto tab = line.find('\t');
    const std::string_view kind = std::string_view(line).substr(0, tab), rest = std::string_view(line).substr(tab + 1);
    if (kind == "case") {
      name = rest.substr(0, rest.find('\t'));
    } else if (kind == "file") {
      const std::string bytes = unhex(rest);
      auto result = opened(std::as_bytes(std::span(bytes)));
      std::cout << "case\t" << name << '\t' << code_of(result) << '\n' << line << '\n';
      file.reset();
      if (!result) continue;
      file.emplace(std::move(*result));
      std::cout << "json\t" << canonical_json(file->view());
    } else if (kind == "ask" && file) {
      const std::string_view question = rest.substr(0, rest.find("\t=\t"));
      std::cout << "ask\t" << question << "\t=\t" << answer(file->view(), question) << '\n';
    }
  }
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
  } else if (command == "say" && arguments.size() == 1) {
    say();
  } else if (command == "codes") {
    for (const char* path : arguments.subspan(1)) std::cout << code_of(MetadataFile::open(path)) << '\n';
  } else if (command == "verify") {
    for (const char* path : arguments.subspan(1)) std::cout << first_broken_rule(path) << '\n';
  } else {
    std::cerr << "usage: conformance say | json FILE... | codes FILE... | verify FILE...\n";
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
