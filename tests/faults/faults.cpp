// Preloaded into a process (LD_PRELOAD): makes one of its system calls fail, fall short, or be its last.
//
//   FLATPOINT_FAULT="CALL NUMBER ACTION": the NUMBERth such call, from 1
//     CALL    any: of all those below, by their order
//             create, write, sync, close: those of a temporary file of write_file
//             sync_folder, rename, link
//             map: the mapping of a metadata file
//     ACTION  a number: it fails with that errno
//             kill_before, kill_after: SIGKILL instead of the call, or right after it
//             short: a write takes one byte only (other calls are not counted)
//             truncate: the file that was mapped is cut to nothing
//   FLATPOINT_CALLS=FILE: appends the name of each call
//   FLATPOINT_SCRIBBLE="AT VALUE NAME": as soon as a file of that name is opened, a thread writes VALUE and what was
//             there in turn into the four bytes at AT, on and on
//   FLATPOINT_NO_TMPFILE=1: the file system has no files without a name
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>

namespace {

struct Fault {
  std::string call;
  long number = 0;
  std::string action;
};

/// Read when it is there: a sanitizer's runtime makes calls before the environment is.
const Fault& fault() {
  static Fault from_environment;
  const char* const text = from_environment.call.empty() ? std::getenv("FLATPOINT_FAULT") : nullptr;
  if (text != nullptr)
    std::istringstream(text) >> from_environment.call >> from_environment.number >> from_environment.action;
  return from_environment;
}

int temporary_file = -1;
int folder = -1;
long calls = 0;  // that FLATPOINT_FAULT names

template <class Function>
Function* libc(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

void log(const std::string& name) {
  const char* const path = std::getenv("FLATPOINT_CALLS");
  if (path == nullptr) return;
  const int file = libc<int(const char*, int, ...)>("open")(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
  const std::string line = name + "\n";
  static_cast<void>(!libc<ssize_t(int, const void*, std::size_t)>("write")(file, line.data(), line.size()));
  libc<int(int)>("close")(file);
}

/// Whether this is the call that the fault is for. `role`: what the call is to write_file, or empty.
bool is_struck(std::string_view name, std::string_view role) {
  if (fault().action == "short" && !name.ends_with("write")) return false;
  return (fault().call == "any" || (!role.empty() && fault().call == role)) && ++calls == fault().number;
}

/// Makes a call, or what the fault makes of it.
template <class Call, class Short>
auto run(const char* name, std::string_view role, Call&& call, Short&& fall_short) -> decltype(call()) {
  log(name);
  if (!is_struck(name, role)) return call();
  if (fault().action == "short") return fall_short();
  if (fault().action == "kill_before") ::raise(SIGKILL);
  if (fault().action == "kill_after") {
    call();
    ::raise(SIGKILL);
  }
  if (std::string_view(name) == "close") call();  // it releases the descriptor even where it fails
  errno = std::atoi(fault().action.c_str());
  return -1;
}

template <class Call>
auto run(const char* name, std::string_view role, Call&& call) {
  return run(name, role, call, call);
}

/// What FLATPOINT_SCRIBBLE says, once.
void scribble(const char* path) {
  static std::atomic<bool> begun = false;
  const char* const text = std::getenv("FLATPOINT_SCRIBBLE");
  if (text == nullptr) return;
  std::size_t at = 0;
  std::uint32_t bad = 0;
  std::string name;
  std::istringstream(text) >> at >> bad >> name;
  if (std::strstr(path, name.c_str()) == nullptr || begun.exchange(true)) return;
  const int file = libc<int(const char*, int, ...)>("open")(path, O_RDWR);
  void* const mapped = ::mmap(nullptr, at + sizeof bad, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) ::raise(SIGKILL);
  auto* const number = reinterpret_cast<volatile std::uint32_t*>(static_cast<char*>(mapped) + at);
  std::atomic<bool> running = false;
  std::thread([number, bad, &running] {
    const std::uint32_t good = *number;
    for (running = true;;) {
      *number = bad;
      *number = good;
    }
  }).detach();
  while (!running) std::this_thread::yield();
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  scribble(path);
  const bool is_nameless = (flags & O_TMPFILE) == O_TMPFILE;
  const mode_t mode = (flags & O_CREAT) != 0 || is_nameless ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (is_nameless && std::getenv("FLATPOINT_NO_TMPFILE") != nullptr) {
    errno = EOPNOTSUPP;
    return -1;
  }
  const bool is_temporary = is_nameless || std::strstr(path, ".flatpoint-") != nullptr;
  const int file = run("open", is_temporary ? "create" : "",
                       [&] { return libc<int(const char*, int, ...)>("open")(path, flags, mode); });
  if (is_temporary) temporary_file = file;
  if ((flags & O_DIRECTORY) != 0 && !is_nameless) folder = file;
  return file;
}

ssize_t write(int file, const void* bytes, std::size_t size) {
  const auto call = [&](std::size_t length) {
    return libc<ssize_t(int, const void*, std::size_t)>("write")(file, bytes, length);
  };
  return run(
      "write", file == temporary_file ? "write" : "", [&] { return call(size); },
      [&] { return call(std::min<std::size_t>(size, 1)); });
}

int fsync(int file) {
  return run("fsync",
             file == temporary_file ? "sync"
             : file == folder       ? "sync_folder"
                                    : "",
             [&] { return libc<int(int)>("fsync")(file); });
}

int close(int file) {
  const bool is_temporary = file >= 0 && file == temporary_file;
  if (is_temporary) temporary_file = -1;
  return run("close", is_temporary ? "close" : "", [&] { return libc<int(int)>("close")(file); });
}

void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
  void* const mapped =
      libc<void*(void*, std::size_t, int, int, int, off_t)>("mmap")(at, size, protection, flags, file, offset);
  if (fault().call == "map" && file >= 0) {
    char path[4096] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    if (::readlink(link.c_str(), path, sizeof path - 1) > 0 && std::strstr(path, ".metadata.flatpoint") != nullptr) {
      if (::truncate(path, 0) != 0) ::raise(SIGKILL);
    }
  }
  return mapped;
}

int rename(const char* from, const char* to) noexcept {
  return run("rename", "rename", [&] { return libc<int(const char*, const char*)>("rename")(from, to); });
}

int link(const char* from, const char* to) noexcept {
  return run("link", "link", [&] { return libc<int(const char*, const char*)>("link")(from, to); });
}

int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  return run("linkat", "link", [&] {
    return libc<int(int, const char*, int, const char*, int)>("linkat")(from_folder, from, to_folder, to, flags);
  });
}

int unlink(const char* path) noexcept {
  return run("unlink", "", [&] { return libc<int(const char*)>("unlink")(path); });
}

// Of conversions.

ssize_t pwrite(int file, const void* bytes, std::size_t size, off_t at) {
  const auto call = [&](std::size_t length) {
    return libc<ssize_t(int, const void*, std::size_t, off_t)>("pwrite")(file, bytes, length, at);
  };
  return run(
      "pwrite", "", [&] { return call(size); }, [&] { return call(std::min<std::size_t>(size, 1)); });
}

ssize_t copy_file_range(int in, off_t* from, int out, off_t* to, std::size_t size, unsigned flags) {
  return run("copy_file_range", "copy", [&] {
    return libc<ssize_t(int, off_t*, int, off_t*, std::size_t, unsigned)>("copy_file_range")(in, from, out, to, size,
                                                                                             flags);
  });
}

int fallocate(int file, int mode, off_t at, off_t size) {
  return run("fallocate", "allocate",
             [&] { return libc<int(int, int, off_t, off_t)>("fallocate")(file, mode, at, size); });
}

int mkdir(const char* path, mode_t mode) noexcept {
  return run("mkdir", "", [&] { return libc<int(const char*, mode_t)>("mkdir")(path, mode); });
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  return run("renameat2", (flags & RENAME_EXCHANGE) != 0 ? "exchange" : "rename", [&] {
    return libc<int(int, const char*, int, const char*, unsigned)>("renameat2")(from_folder, from, to_folder, to,
                                                                                flags);
  });
}

int getentropy(void* bytes, std::size_t size) {
  return run("getentropy", "", [&] { return libc<int(void*, std::size_t)>("getentropy")(bytes, size); });
}

}  // extern "C"
