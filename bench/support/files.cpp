#include "support/files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "support/keep.hpp"

namespace bench {

void die(std::string_view what) {
  std::fprintf(stderr, "flatpoint_bench: %.*s\n", static_cast<int>(what.size()), what.data());
  std::exit(1);
}

namespace {

int open_or_die(const char* path, int flags) {
  const int file = ::open(path, flags | O_CLOEXEC, 0666);
  if (file < 0) die(std::string(path) + ": " + std::strerror(errno));
  return file;
}

}  // namespace

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const int file = open_or_die(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(file, bytes.data() + done, bytes.size() - done);
    if (n <= 0) die(path.string() + ": " + std::strerror(errno));
    done += static_cast<std::size_t>(n);
  }
  if (::fsync(file) != 0 || ::close(file) != 0) die(path.string() + ": " + std::strerror(errno));
}

void drop_from_cache(const std::filesystem::path& path) {
  const int file = open_or_die(path.c_str(), O_RDONLY);
  ::fdatasync(file);  // dirty pages would stay
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

void warm_cache(const std::filesystem::path& path) {
  std::vector<char> block(1 << 20);
  std::ifstream file(path, std::ios::binary);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size()))) {
  }
}

void map_and_touch(const char* path, std::size_t position) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  struct stat status {};
  ::fstat(file, &status);
  const auto size = static_cast<std::size_t>(status.st_size);
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) die(std::string(path) + ": mmap failed");
  const auto* bytes = static_cast<const volatile unsigned char*>(mapped);
  keep(bytes[0] + bytes[position]);
  ::munmap(mapped, size);
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int file = open_or_die(path.c_str(), O_RDONLY);
  size_ = static_cast<std::size_t>(std::filesystem::file_size(path));
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) die(path.string() + ": mmap failed");
  data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

std::size_t private_memory() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;) {
    std::size_t kilobytes = 0;
    if (word == "Private_Dirty:" && rollup >> kilobytes) return kilobytes * 1024;
  }
  die("/proc/self/smaps_rollup has no Private_Dirty");
}

}  // namespace bench
