// Loaded before libc (LD_PRELOAD): makes one system call of a process fail, fall short, or be its last.
//
//   FLATPOINT_FAULT="ACTION N": the Nth of the calls below, from 1
//     kill_before, kill_after   SIGKILL instead of the call, or right after it
//     short                     a write takes one byte only (other calls are not counted)
//     a number                  the call fails with that errno
//   FLATPOINT_CALLS=FILE        appends the name of each call
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Fault {
  char action[16] = "";
  long at = 0;
};

Fault read_fault() {
  Fault fault;
  const char* text = std::getenv("FLATPOINT_FAULT");
  if (text != nullptr) std::sscanf(text, "%15s %ld", fault.action, &fault.at);
  return fault;
}

template <class Function>
Function* libc(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void log(const char* name) {
  const char* path = std::getenv("FLATPOINT_CALLS");
  if (path == nullptr) return;
  const int file = libc<int(const char*, int, ...)>("open")(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
  static_cast<void>(!libc<ssize_t(int, const void*, std::size_t)>("write")(file, name, std::strlen(name)));
  static_cast<void>(!libc<ssize_t(int, const void*, std::size_t)>("write")(file, "\n", 1));
  libc<int(int)>("close")(file);
}

long count = 0;  // of all calls together

/// Runs a call, or what the fault makes of it.
template <class Call, class Short>
auto run(const char* name, Call&& call, Short&& fall_short) -> decltype(call()) {
  static const Fault fault = read_fault();
  const bool is_short = std::strcmp(fault.action, "short") == 0;
  if (!is_short || std::strcmp(name, "write") == 0) ++count;
  log(name);
  if (count != fault.at || (is_short && std::strcmp(name, "write") != 0)) return call();
  if (std::strcmp(fault.action, "kill_before") == 0) std::raise(SIGKILL);
  if (is_short) return fall_short();
  if (std::strcmp(fault.action, "kill_after") == 0) {
    call();
    std::raise(SIGKILL);
  }
  errno = std::atoi(fault.action);
  return -1;
}

template <class Call>
auto run(const char* name, Call&& call) {
  return run(name, call, call);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return run("open", [&] { return libc<int(const char*, int, ...)>("open")(path, flags, mode); });
}

ssize_t write(int file, const void* bytes, std::size_t size) {
  const auto call = [&](std::size_t length) {
    return libc<ssize_t(int, const void*, std::size_t)>("write")(file, bytes, length);
  };
  return run(
      "write", [&] { return call(size); }, [&] { return call(size > 0 ? 1 : 0); });
}

int fsync(int file) {
  return run("fsync", [&] { return libc<int(int)>("fsync")(file); });
}

int close(int file) {
  return run("close", [&] { return libc<int(int)>("close")(file); });
}

int rename(const char* from, const char* to) {
  return run("rename", [&] { return libc<int(const char*, const char*)>("rename")(from, to); });
}

int link(const char* from, const char* to) {
  return run("link", [&] { return libc<int(const char*, const char*)>("link")(from, to); });
}

int unlink(const char* path) {
  return run("unlink", [&] { return libc<int(const char*)>("unlink")(path); });
}

int getentropy(void* bytes, std::size_t size) {
  return run("getentropy", [&] { return libc<int(void*, std::size_t)>("getentropy")(bytes, size); });
}

}  // extern "C"
