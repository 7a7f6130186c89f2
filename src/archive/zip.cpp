#include "archive/zip.hpp"

#include <algorithm>
#include <cstring>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"

namespace flatpoint::archive {
namespace {

constexpr std::size_t kEndSize = 22;
constexpr std::size_t kLocatorSize = 20;
constexpr std::size_t kEnd64Size = 56;
constexpr std::size_t kEntrySize = 46;
constexpr std::size_t kHeaderSize = 30;
constexpr std::uint64_t kMaxDirectory = std::uint64_t{1} << 28;  // a directory that would take all memory
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;                      // the number stands in the zip64 field

template <class Number>
Number get(const char* at) noexcept {
  Number number;
  std::memcpy(&number, at, sizeof number);
  return number;
}

bool has_signature(const char* at, std::string_view signature) noexcept {
  return std::string_view(at, signature.size()) == signature;
}

tl::unexpected<Error> bad(std::string_view what) {
  return fail(ErrorCode::BadItem, fmt::format("not an archive of torch.save: {}", what));
}

/// Numbers of an entry that may stand in its zip64 field instead, in the order in which they stand there.
bool take_zip64(const char* extra, std::size_t size, std::span<std::uint64_t* const> numbers) noexcept {
  while (size >= 4) {
    const std::size_t length = get<std::uint16_t>(extra + 2);
    if (length > size - 4) return false;
    if (get<std::uint16_t>(extra) == 1) {
      std::size_t at = 0;
      for (std::uint64_t* const number : numbers) {
        if (*number != kIn64) continue;
        if (length - at < sizeof(std::uint64_t)) return false;
        *number = get<std::uint64_t>(extra + 4 + at);
        at += sizeof(std::uint64_t);
      }
      return true;
    }
    extra += 4 + length;
    size -= 4 + length;
  }
  return true;
}

struct Directory {
  std::uint64_t count = 0;
  std::uint64_t size = 0;
  std::uint64_t begin = 0;
};

/// The record at the item's very end says where the directory lies; it must lie right before it.
Result<Directory> find_directory(const ItemSource& source) {
  std::array<char, kEnd64Size + kLocatorSize + kEndSize> end{};
  const std::uint64_t length = source.length();
  if (length < end.size()) return bad(fmt::format("it has {} bytes", length));
  if (!source.read(length - end.size(), std::as_writable_bytes(std::span(end)))) return bad("its end cannot be read");
  const char* const last = end.data() + kEnd64Size + kLocatorSize;
  if (!has_signature(last, "PK\5\6")) return bad("no zip directory at its end");
  Directory found{get<std::uint16_t>(last + 10), get<std::uint32_t>(last + 12), get<std::uint32_t>(last + 16)};
  std::uint64_t directory_end = length - kEndSize;
  if (has_signature(last - kLocatorSize, "PK\6\7")) {
    const char* const end64 = end.data();
    directory_end = length - end.size();
    if (!has_signature(end64, "PK\6\6") || get<std::uint64_t>(last - kLocatorSize + 8) != directory_end)
      return bad("a zip64 end record that is not where it is said to be");
    found = {get<std::uint64_t>(end64 + 32), get<std::uint64_t>(end64 + 40), get<std::uint64_t>(end64 + 48)};
  }
  if (!base::in_range(found.begin, found.size, directory_end) || found.begin + found.size != directory_end)
    return bad("the zip directory does not end where the end record begins");
  if (found.size > kMaxDirectory)
    return fail(ErrorCode::TooLarge,
                fmt::format("a zip directory of {} bytes; the limit is {}", found.size, kMaxDirectory));
  if (found.count > found.size / kEntrySize) return bad("the zip directory is too small for its entries");
  return found;
}

}  // namespace

ItemSource::ItemSource(const base::ByteSource& file, std::uint64_t begin, std::uint64_t length) noexcept
    : file_(file), begin_(begin), length_(length) {
  const std::size_t size = std::min<std::uint64_t>(kEnd, length);
  has_ends_ = file_.read(begin, std::span(head_).first(size)) &&
              file_.read(begin + length - size, std::span(tail_).first(size));
}

bool ItemSource::read(std::uint64_t position, std::span<std::byte> to) const noexcept {
  if (!base::in_range(position, to.size(), length_)) return false;
  const std::uint64_t tail = length_ - std::min<std::uint64_t>(kEnd, length_);
  if (has_ends_ && position + to.size() <= std::min<std::uint64_t>(kEnd, length_)) {
    std::copy_n(head_.data() + position, to.size(), to.data());
  } else if (has_ends_ && position >= tail) {
    std::copy_n(tail_.data() + (position - tail), to.size(), to.data());
  } else {
    return file_.read(begin_ + position, to);
  }
  return true;
}

Result<Zip> Zip::open(const ItemSource& source) {
  const auto directory = find_directory(source);
  RETURN_IF_ERROR(directory);
  Zip zip(source);
  zip.directory_.resize(directory->size);
  if (!source.read(directory->begin, std::as_writable_bytes(std::span(zip.directory_))))
    return bad("its zip directory cannot be read");
  return zip.parse(directory->count).map([&] { return std::move(zip); });
}

Result<void> Zip::parse(std::uint64_t count) {
  const char* at = directory_.data();
  std::size_t left = directory_.size();
  records_.reserve(count);
  for (; count > 0; --count) {
    if (left < kEntrySize || !has_signature(at, "PK\1\2")) return bad("a broken entry in its zip directory");
    const std::size_t name_size = get<std::uint16_t>(at + 28);
    const std::size_t extra_size = get<std::uint16_t>(at + 30);
    const std::size_t size = kEntrySize + name_size + extra_size + get<std::uint16_t>(at + 32);
    if (left < size) return bad("a broken entry in its zip directory");
    std::uint64_t compressed = get<std::uint32_t>(at + 20);
    std::uint64_t plain = get<std::uint32_t>(at + 24);
    std::uint64_t header = get<std::uint32_t>(at + 42);
    const std::array numbers{&plain, &compressed, &header};
    if (!take_zip64(at + kEntrySize + name_size, extra_size, numbers)) return bad("a broken zip64 field");
    const std::string_view full_name(at + kEntrySize, name_size);
    if (get<std::uint16_t>(at + 10) != 0 || compressed != plain)
      return bad(fmt::format("the record '{}' is compressed", full_name));
    const std::size_t slash = full_name.find('/');
    if (slash == std::string_view::npos) return bad(fmt::format("the record '{}' lies in no folder", full_name));
    const std::string_view folder = full_name.substr(0, slash);
    if (records_.empty()) folder_ = folder;
    if (folder != folder_)
      return bad(fmt::format("the record '{}' does not lie in the folder '{}' of the first", full_name, folder_));
    records_.push_back({full_name.substr(slash + 1), static_cast<std::uint32_t>(name_size), get<std::uint32_t>(at + 16),
                        header, plain});
    at += size;
    left -= size;
  }
  if (left != 0) return bad("bytes behind the last entry of its zip directory");
  return check_names();
}

// Of records of one name each reader takes another; torch's finds names in any case.
Result<void> Zip::check_names() const {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  std::vector<std::string> names;
  names.reserve(records_.size());
  for (const ZipRecord& record : records_) {
    names.emplace_back(record.name);
    std::ranges::transform(names.back(), names.back().begin(), lower);
  }
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  return twice == names.end() ? Result<void>() : bad(fmt::format("the record '{}' comes twice", *twice));
}

const ZipRecord* Zip::find(std::string_view name) const noexcept {
  const auto found = std::ranges::find(records_, name, &ZipRecord::name);
  return found == records_.end() ? nullptr : &*found;
}

Result<std::uint64_t> Zip::begin_of(const ZipRecord& record) const {
  std::array<char, kHeaderSize> header{};
  if (!source_->read(record.header, std::as_writable_bytes(std::span(header))) ||
      !has_signature(header.data(), "PK\3\4") || get<std::uint16_t>(header.data() + 26) != record.full_name_size)
    return bad(fmt::format("the record '{}' has no header where the directory says", record.name));
  const std::uint64_t begin =
      record.header + kHeaderSize + record.full_name_size + get<std::uint16_t>(header.data() + 28);
  if (!base::in_range(begin, record.size, source_->length()))
    return bad(fmt::format("the record '{}' reaches past the item's end", record.name));
  return begin;
}

Result<std::string> Zip::read(const ZipRecord& record, std::uint64_t limit) const {
  if (record.size > limit)
    return fail(ErrorCode::TooLarge,
                fmt::format("the record '{}' has {} bytes; the limit is {}", record.name, record.size, limit));
  const auto begin = begin_of(record);
  RETURN_IF_ERROR(begin);
  std::string bytes(record.size, '\0');
  if (!source_->read(*begin, std::as_writable_bytes(std::span(bytes))))
    return bad(fmt::format("the record '{}' cannot be read", record.name));
  return bytes;
}

}  // namespace flatpoint::archive
