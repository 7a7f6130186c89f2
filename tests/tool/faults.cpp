// Preloaded into the tool: makes one system call of its atomic write fail, or kills the process there.
//
// FLATPOINT_FAULT is "CALL NUMBER ACTION". CALL: create, write, sync, close, rename, link (those of the temporary
// file), sync_folder. NUMBER: which of these calls, from 1. ACTION: an errno; interrupt (EINTR, once); short (at most 7
// bytes); kill_before; kill_after.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

namespace {

struct Fault {
  std::string call;
  int number = 0;
  std::string action;
};

/// Read when it is there: a sanitizer's runtime makes calls before the environment is.
const Fault& fault() {
  static Fault from_environment;
  const char* const text = from_environment.call.empty() ? std::getenv("FLATPOINT_FAULT") : nullptr;
  if (text != nullptr) std::istringstream(text) >> from_environment.call >> from_environment.number >> from_environment.action;
  return from_environment;
}

int temporary_file = -1;
int folder = -1;
int calls = 0;

bool is_temporary(const char* path) { return std::strstr(path, ".flatpoint-") != nullptr; }

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

/// Makes a call, or what stands for it.
template <class Call>
auto apply(const char* name, Call&& call) -> decltype(call()) {
  if (fault().call != name || ++calls != fault().number) return call();
  if (fault().action == "kill_before") ::raise(SIGKILL);
  if (fault().action == "kill_after") {
    call();
    ::raise(SIGKILL);
  }
  errno = fault().action == "interrupt" ? EINTR : std::atoi(fault().action.c_str());
  return -1;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  const auto real = [&] { return next<int(const char*, int, ...)>("open")(path, flags, mode); };
  if (is_temporary(path)) return temporary_file = apply("create", real);
  const int file = real();
  if ((flags & O_DIRECTORY) != 0) folder = file;
  return file;
}

ssize_t write(int file, const void* bytes, size_t size) {
  const auto real = next<ssize_t(int, const void*, size_t)>("write");
  if (file != temporary_file) return real(file, bytes, size);
  if (fault().call == "write" && fault().action == "short") return real(file, bytes, std::min<size_t>(size, 7));
  return apply("write", [&] { return real(file, bytes, size); });
}

int fsync(int file) {
  const auto real = [&] { return next<int(int)>("fsync")(file); };
  if (file == temporary_file) return apply("sync", real);
  return file == folder ? apply("sync_folder", real) : real();
}

int close(int file) {
  const auto real = [&] { return next<int(int)>("close")(file); };
  if (file != temporary_file) return real();
  temporary_file = -1;
  if (fault().call == "close") real();  // close releases the descriptor even where it fails
  return fault().call == "close" ? apply("close", [] { return 0; }) : real();
}

void* mmap(void* at, size_t size, int protection, int flags, int file, off_t offset) noexcept {
  void* const mapped = next<void*(void*, size_t, int, int, int, off_t)>("mmap")(at, size, protection, flags, file, offset);
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
  return apply("rename", [&] { return next<int(const char*, const char*)>("rename")(from, to); });
}

int link(const char* from, const char* to) noexcept {
  return apply("link", [&] { return next<int(const char*, const char*)>("link")(from, to); });
}
}
