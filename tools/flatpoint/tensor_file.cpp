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
  if (fs::is_directory(path, ignored))
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: is a folder; name a file", path.string()));
  if (!force && fs::exists(fs::symlink_status(path, ignored)))
    return fail(ErrorCode::Conflict, fmt::format("{}: there is a file (--force replaces it)", path.string()));
  std::string name = (path.parent_path() / ".flatpoint-XXXXXX.tmp").string();
  writer.file_ = ::mkostemps(name.data(), 4, O_CLOEXEC);
  if (writer.file_ < 0) return writer.failed("open", errno).map([&] { return std::move(writer); });
  writer.temporary_ = name;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(writer.file_, 0666 & ~mask) != 0)
    return writer.failed("chmod", errno).map([&] { return std::move(writer); });
  return writer;
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::exchange(other.file_, -1)),
      force_(other.force_) {}

FileWriter::~FileWriter() {
  if (temporary_.empty()) return;
  if (file_ >= 0) ::close(file_);
  ::unlink(temporary_.c_str());
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

Result<void> FileWriter::finish() {
  if (temporary_.empty()) return {};
  if (::fsync(file_) != 0 && errno != EINVAL && errno != ENOTSUP) return failed("fsync", errno);
  if (::close(std::exchange(file_, -1)) != 0 && errno != EINTR) return failed("close", errno);
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
