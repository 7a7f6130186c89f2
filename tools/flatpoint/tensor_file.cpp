#include "tensor_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/format.hpp"

namespace flatpoint::tool {

namespace fs = std::filesystem;

std::optional<std::string_view> npy_dtype(ScalarType dtype) noexcept {
  switch (dtype) {
    case ScalarType::Uint8: return "|u1";
    case ScalarType::Int8: return "|i1";
    case ScalarType::Bool: return "|b1";
    case ScalarType::Int16: return "<i2";
    case ScalarType::Int32: return "<i4";
    case ScalarType::Int64: return "<i8";
    case ScalarType::Uint16: return "<u2";
    case ScalarType::Uint32: return "<u4";
    case ScalarType::Uint64: return "<u8";
    case ScalarType::Float16: return "<f2";
    case ScalarType::Float32: return "<f4";
    case ScalarType::Float64: return "<f8";
    case ScalarType::Complex64: return "<c8";
    case ScalarType::Complex128: return "<c16";
    case ScalarType::Bfloat16: return "<V2";  // as ml_dtypes writes its own: np.load(...).view(ml_dtypes.bfloat16)
    case ScalarType::Float8_e4m3fn:
    case ScalarType::Float8_e5m2:
    case ScalarType::Float8_e4m3fnuz:
    case ScalarType::Float8_e5m2fnuz:
    case ScalarType::Float8_e8m0fnu: return "<V1";
    default: return std::nullopt;
  }
}

std::string npy_head(ScalarType dtype, std::span<const std::int64_t> sizes) {
  constexpr std::size_t kAlign = 64;
  std::string shape;
  for (const std::int64_t size : sizes) shape += fmt::format("{}, ", size);
  if (sizes.size() > 1) shape.resize(shape.size() - 2);
  if (sizes.size() == 1) shape.resize(shape.size() - 1);
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", *npy_dtype(dtype), shape);
  const std::size_t before = 10 + text.size() + 1;  // magic, version, length; newline
  text.append((kAlign - before % kAlign) % kAlign, ' ');
  text += '\n';
  std::string head("\x93NUMPY\x01\x00", 8);
  head += static_cast<char>(text.size() & 0xFFU);
  head += static_cast<char>(text.size() >> 8U);
  return head + text;
}

Result<FileWriter> FileWriter::create(const fs::path& path, bool force) {
  FileWriter writer;
  writer.path_ = path;
  writer.force_ = force;
  if (path == "-") {
    writer.file_ = STDOUT_FILENO;
    return writer;
  }
  std::error_code ignored;
  const auto there = fs::symlink_status(path, ignored).type();
  if (fs::is_directory(path, ignored))
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: is a folder; name a file", path.string()));
  if (!force && there != fs::file_type::not_found)
    return fail(ErrorCode::Conflict, fmt::format("{}: there is a file (--force replaces it)", path.string()));
  if (there != fs::file_type::not_found && there != fs::file_type::regular && there != fs::file_type::symlink) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("{}: is a device or the like; only a file is replaced ('-' is standard output)", path.string()));
  }
  if (auto opened = writer.open_temporary(); !opened) return tl::unexpected(std::move(opened.error()));
  return writer;
}

std::string FileWriter::temporary_name() const { return (path_.parent_path() / ".flatpoint-XXXXXX.tmp").string(); }

/// A file without a name, which is gone with this process however that ends; else one with a name for a while.
Result<void> FileWriter::open_temporary() {
#ifdef O_TMPFILE
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  file_ = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (file_ >= 0 && ::access(descriptor_path().c_str(), F_OK) == 0) return {};
  if (file_ >= 0) ::close(std::exchange(file_, -1));
#endif
  std::string name = temporary_name();
  file_ = ::mkostemps(name.data(), 4, O_CLOEXEC);
  if (file_ < 0) return failed("open", errno);
  temporary_ = name;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return ::fchmod(file_, 0666 & ~mask) == 0 ? Result<void>() : failed("chmod", errno);
}

/// Where Linux shows an open file that may have no other name.
std::string FileWriter::descriptor_path() const { return fmt::format("/proc/self/fd/{}", file_); }

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::exchange(other.file_, -1)),
      force_(other.force_) {}

FileWriter::~FileWriter() {
  if (file_ >= 0 && file_ != STDOUT_FILENO) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> FileWriter::failed(const char* call, int number) const {
  const bool missing = number == ENOENT || number == ENOTDIR;
  return fail(missing ? ErrorCode::NotFound : ErrorCode::Io,
              fmt::format("{}: {}: {}", path_.string(), call, std::generic_category().message(number)));
}

Result<void> FileWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write", n == 0 ? EIO : errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

/// A name for the file without one: its own, or where that is taken and may be replaced, one to rename it from.
Result<void> FileWriter::link_nameless() {
  const auto link = [&](const fs::path& to) {
    return ::linkat(AT_FDCWD, descriptor_path().c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (link(path_)) return {};
  if (errno != EEXIST) return failed("link", errno);
  if (!force_)
    return fail(ErrorCode::Conflict, fmt::format("{}: there is a file (--force replaces it)", path_.string()));
  std::string name = temporary_name();
  const int placeholder = ::mkostemps(name.data(), 4, O_CLOEXEC);  // finds a name that is free
  if (placeholder < 0) return failed("open", errno);
  ::close(placeholder);
  ::unlink(name.c_str());
  if (!link(name)) return failed("link", errno);
  temporary_ = name;
  return {};
}

Result<void> FileWriter::finish() {
  if (file_ == STDOUT_FILENO) return {};
  if (::fsync(file_) != 0 && errno != EINVAL && errno != ENOTSUP) return failed("fsync", errno);
  if (temporary_.empty()) {
    if (auto linked = link_nameless(); !linked) return linked;
  }
  if (::close(std::exchange(file_, -1)) != 0 && errno != EINTR) return failed("close", errno);
  if (temporary_.empty()) return {};
  if (!force_) {                                                    // never over a file that came meanwhile
    if (::link(temporary_.c_str(), path_.c_str()) == 0) return {};  // the destructor takes the other name away
    if (errno == EEXIST)
      return fail(ErrorCode::Conflict, fmt::format("{}: there is a file (--force replaces it)", path_.string()));
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return failed("rename", errno);
  temporary_.clear();
  return {};
}

}  // namespace flatpoint::tool
