#include "archive/write_item.hpp"

#include <algorithm>

#include "archive/crc32.hpp"
#include "archive/torch_item.hpp"
#include "base/format.hpp"

namespace flatpoint::archive {
namespace {

constexpr std::uint64_t kMost32 = 0xFFFFFFFF;
constexpr std::string_view kDataRecord = "archive/data/0";

void put(std::string& to, unsigned bytes, std::uint64_t number) {
  for (unsigned i = 0; i < bytes; ++i) to += static_cast<char>(number >> (8 * i) & 0xFFU);
}

/// The local header of a record, padded so that its data begin at a multiple of 64. Sizes and checksum stand behind the
/// data (flag 8).
void put_local_header(std::string& to, std::uint64_t at, std::string_view name) {
  constexpr std::uint64_t kAlign = 64;
  const std::uint64_t padding = (kAlign - (at + 30 + name.size() + 4) % kAlign) % kAlign;
  put(to, 4, 0x04034b50);
  put(to, 2, 0);
  put(to, 2, 0x0808);
  to.append(18, '\0');  // method, time, date, checksum, sizes
  put(to, 2, name.size());
  put(to, 2, 4 + padding);
  to += name;
  to += "FB";
  put(to, 2, padding);
  to.append(padding, 'Z');
}

void put_descriptor(std::string& to, std::uint32_t crc, std::uint64_t bytes) {
  const unsigned width = bytes < kMost32 ? 4 : 8;
  put(to, 4, 0x08074b50);
  put(to, 4, crc);
  put(to, width, bytes);
  put(to, width, bytes);
}

/// The instructions of pickle that data.pkl consists of, protocol 2.
class Pickle {
 public:
  explicit Pickle(std::string& out) : out_(out) { out_ += "\x80\x02"; }
  void global(std::string_view module, std::string_view name) {
    out_ += 'c';
    out_.append(module).append("\n").append(name).append("\n");
  }
  void text(std::string_view value) {
    out_ += 'X';
    put(out_, 4, value.size());
    out_ += value;
  }
  void integer(std::uint64_t value) {
    if (value < 256) {
      out_ += 'K';
      put(out_, 1, value);
    } else if (value < 65536) {
      out_ += 'M';
      put(out_, 2, value);
    } else if (value < 0x80000000) {
      out_ += 'J';
      put(out_, 4, value);
    } else {
      out_ += "\x8a\x08";  // two's complement of eight bytes; below 2^63
      put(out_, 8, value);
    }
  }
  void integers(std::span<const std::int64_t> values) {
    if (values.empty()) {
      out_ += ')';
      return;
    }
    out_ += '(';
    for (const std::int64_t value : values) integer(static_cast<std::uint64_t>(value));
    out_ += 't';
  }
  void op(std::string_view instructions) { out_ += instructions; }

 private:
  std::string& out_;
};

std::string data_pickle(ScalarType dtype, std::span<const std::int64_t> sizes, std::uint64_t bytes) {
  const std::string_view typed = storage_class_of(dtype);
  std::string out;
  Pickle pickle(out);
  pickle.global("torch._utils", typed.empty() ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
  pickle.op("((");
  pickle.text("storage");
  if (typed.empty()) {
    pickle.global("torch.storage", "UntypedStorage");
  } else {
    pickle.global("torch", typed.substr(typed.find(' ') + 1));
  }
  pickle.text("0");
  pickle.text("cpu");
  pickle.integer(typed.empty() ? bytes : bytes / item_size(dtype));
  pickle.op("tQK");
  pickle.op(std::string_view("\0", 1));
  pickle.integers(sizes);
  pickle.integers(contiguous_strides(sizes));
  pickle.op("\x89");
  pickle.global("collections", "OrderedDict");
  pickle.op(")R");
  if (typed.empty()) pickle.global("torch", name_of(dtype));
  pickle.op("tR.");
  return out;
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

bool can_store(ScalarType dtype) noexcept {
  switch (dtype) {
    case ScalarType::Qint8:
    case ScalarType::Quint8:
    case ScalarType::Qint32:
    case ScalarType::Quint4x2:
    case ScalarType::Quint2x4:
    case ScalarType::Other: return false;
    default: return item_size(dtype) > 0;
  }
}

void TensorItem::add(std::string& to, std::uint64_t before, std::string_view name, std::string_view data,
                     std::vector<Record>& records) const {
  const std::uint64_t at = before + to.size();
  put_local_header(to, at, name);
  const std::uint32_t crc = crc32(0, bytes_of(data));
  to += data;
  put_descriptor(to, crc, data.size());
  records.push_back({std::string(name), at, data.size(), crc});
}

TensorItem::TensorItem(ScalarType dtype, std::span<const std::int64_t> sizes, std::uint64_t bytes) : bytes_(bytes) {
  add(head_, 0, "archive/data.pkl", data_pickle(dtype, sizes, bytes), records_);
  add(head_, 0, "archive/.format_version", "1", records_);
  add(head_, 0, "archive/.storage_alignment", "64", records_);
  add(head_, 0, "archive/byteorder", "little", records_);
  data_record_ = head_.size();
  put_local_header(head_, data_record_, kDataRecord);
}

std::string TensorItem::tail(std::uint32_t crc) const {
  std::vector<Record> records = records_;
  records.push_back({std::string(kDataRecord), data_record_, bytes_, crc});
  const std::uint64_t begin = head_.size() + bytes_;
  std::string out;
  if (bytes_ > 0) put_descriptor(out, crc, bytes_);
  add(out, begin, "archive/version", "3\n", records);
  const std::uint64_t directory = begin + out.size();
  for (const Record& record : records) {
    std::string wide;  // numbers beyond 32 bits
    if (record.bytes >= kMost32) {
      put(wide, 8, record.bytes);
      put(wide, 8, record.bytes);
    }
    if (record.at >= kMost32) put(wide, 8, record.at);
    put(out, 4, 0x02014b50);
    put(out, 4, 0);
    put(out, 2, 0x0808);
    put(out, 6, 0);  // method, time, date
    put(out, 4, record.crc32);
    put(out, 4, std::min(record.bytes, kMost32));
    put(out, 4, std::min(record.bytes, kMost32));
    put(out, 2, record.name.size());
    put(out, 2, wide.empty() ? 0 : 4 + wide.size());
    put(out, 2, 0);
    put(out, 8, 0);  // disk, attributes
    put(out, 4, std::min(record.at, kMost32));
    out += record.name;
    if (!wide.empty()) {
      put(out, 2, 1);
      put(out, 2, wide.size());
      out += wide;
    }
  }
  const std::uint64_t end = begin + out.size();
  const std::uint64_t length = end - directory;
  put(out, 4, 0x06064b50);
  put(out, 8, 44);
  put(out, 2, 0x031e);
  put(out, 2, 0x2d);
  put(out, 8, 0);
  put(out, 8, records.size());
  put(out, 8, records.size());
  put(out, 8, length);
  put(out, 8, directory);
  put(out, 4, 0x07064b50);
  put(out, 4, 0);
  put(out, 8, end);
  put(out, 4, 1);
  put(out, 4, 0x06054b50);
  put(out, 4, 0);
  put(out, 2, records.size());
  put(out, 2, records.size());
  put(out, 4, length);
  put(out, 4, std::min(directory, kMost32));
  put(out, 2, 0);
  return out;
}

}  // namespace flatpoint::archive
