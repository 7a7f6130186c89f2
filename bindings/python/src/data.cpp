// The bytes of tensors, straight into memory of Python's; values of bytes items.
#include "flatpoint/data.hpp"

#include <stop_token>
#include <vector>

#include "opened.hpp"
#include "reading.hpp"
#include "text.hpp"

namespace flatpoint::python {

Result<const data::Reader*> OpenCheckpoint::reader() const {
  const std::lock_guard lock(mutex_);
  if (!reader_) {
    if (place_.folder.empty()) {
      return fail(ErrorCode::InvalidArgument,
                  "nobody said in which folder the data files of this checkpoint are; open it with data_folder=...");
    }
    data::ReaderOptions options;
    options.allow_outside = place_.allow_outside;
    auto opened = data::Reader::open(file.view(), place_.folder, options);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    reader_ = std::move(*opened);
  }
  return &*reader_;
}

namespace {

/// A contiguous buffer of Python's that may be written into, for as long as this lives.
class WritableBytes {
 public:
  WritableBytes() = default;
  explicit WritableBytes(nb::handle buffer) {
    if (PyObject_GetBuffer(buffer.ptr(), &view_, PyBUF_WRITABLE) != 0) throw nb::python_error();
  }
  WritableBytes(WritableBytes&& other) noexcept : view_(std::exchange(other.view_, {})) {}
  WritableBytes& operator=(WritableBytes&& other) noexcept {
    std::swap(view_, other.view_);
    return *this;
  }
  ~WritableBytes() {
    if (view_.obj != nullptr) PyBuffer_Release(&view_);
  }
  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(view_.buf); }
  [[nodiscard]] std::uint64_t size() const noexcept { return static_cast<std::uint64_t>(view_.len); }

 private:
  Py_buffer view_{};
};

/// One box, and the memory that it goes into.
struct Request {
  TensorView tensor;
  std::vector<std::int64_t> box;  // offsets, then sizes
  std::vector<std::int64_t> byte_strides;
  std::byte* to = nullptr;
  WritableBytes buffer;

  [[nodiscard]] std::span<const std::int64_t> offsets() const { return std::span(box).first(box.size() / 2); }
  [[nodiscard]] std::span<const std::int64_t> sizes() const { return std::span(box).subspan(box.size() / 2); }
};

/// (tensor, offsets, sizes, to, byte strides or None). `to` is a buffer of exactly the box's bytes, or the address of
/// memory that the package vouches for.
Request to_request(nb::handle item, Opened& opened, std::uint64_t& bytes) {
  const OpenTensor tensor = tensor_of(nb::object(item[0]));
  if (opened && tensor.opened != opened) throw nb::value_error("the tensors belong to several checkpoints");
  opened = tensor.opened;
  Request request{tensor.view, to_values(nb::object(item[1])), {}, nullptr, {}};
  const auto sizes = to_values(nb::object(item[2]));
  if (request.box.size() != sizes.size()) throw nb::value_error("a box needs an offset and a size per dimension");
  request.box.insert(request.box.end(), sizes.begin(), sizes.end());
  const std::uint64_t wanted = value_of(data::box_bytes(tensor.view, request.sizes()));
  bytes += wanted;
  const nb::object to = item[3];
  if (PyLong_Check(to.ptr()) != 0) {
    request.to = static_cast<std::byte*>(PyLong_AsVoidPtr(to.ptr()));
    if (const nb::object strides = item[4]; !strides.is_none()) request.byte_strides = to_values(strides);
    return request;
  }
  request.buffer = WritableBytes(to);
  request.to = request.buffer.data();
  if (request.buffer.size() != wanted) {
    const std::string message = "FQN '" + std::string(tensor.view.fqn()) + "': the box has " + std::to_string(wanted) +
                                " bytes, the buffer " + std::to_string(request.buffer.size());
    PyErr_SetObject(PyExc_ValueError, to_str(message).ptr());
    throw nb::python_error();
  }
  return request;
}

Size dense_strides(const Request& request) {
  Size strides = contiguous_strides(request.sizes());
  for (std::int64_t& stride : strides) stride *= item_size(request.tensor.dtype());
  return strides;
}

Result<data::ReadReport> read_one_by_one(const data::Reader& reader, std::span<const Request> requests,
                                         const data::ReadOptions& options) {
  data::ReadReport total;
  for (const Request& request : requests) {
    const data::Destination to{request.to, request.byte_strides};
    const auto report = reader.read(request.tensor, request.offsets(), request.sizes(), to, options);
    if (!report) return tl::unexpected(report.error());
    total.needed_bytes += report->needed_bytes;
    total.read_bytes += report->read_bytes;
  }
  return total;
}

/// All at once, in the order of their files. REQUIRES: other FQNs in each.
Result<data::ReadReport> read_as_plan(const MetadataView& metadata, const data::Reader& reader,
                                      std::span<const Request> requests, const data::ReadOptions& options) {
  std::vector<Wanted> wanted;
  std::vector<Size> strides;
  for (const Request& request : requests) {
    wanted.push_back({request.tensor.fqn(), StorageType::Tensor, request.tensor.size(), 1, request.box, {}});
    strides.push_back(request.byte_strides.empty() ? dense_strides(request)
                                                   : Size(request.byte_strides.begin(), request.byte_strides.end()));
  }
  const auto plan = plan_load(metadata, wanted, {});
  if (!plan) return tl::unexpected(plan.error());
  std::vector<data::Destination> destinations;
  for (std::uint32_t i = 0; i < plan->size(); ++i) {
    const std::uint32_t number = plan->item(i).wanted();
    destinations.push_back({requests[number].to, strides[number]});
  }
  auto report = reader.read(*plan, destinations, options);
  // A plan counts elements, which does not do where chunks overlap, and does not say which are missing.
  if (!report && report.error().code == ErrorCode::Holes) return read_one_by_one(reader, requests, options);
  return report;
}

void read_boxes(nb::handle items, std::uint32_t threads, bool verify) {
  Opened opened;
  std::vector<Request> requests;
  std::uint64_t bytes = 0;
  for (const nb::handle item : items) requests.push_back(to_request(item, opened, bytes));
  if (requests.empty()) return;
  data::ReadOptions options;
  options.threads = threads_for(threads, bytes);
  options.verify = verify;
  const auto read = [&](std::stop_token stop) -> Result<data::ReadReport> {
    options.stop = std::move(stop);
    const auto reader = opened->reader();
    if (!reader) return tl::unexpected(reader.error());
    if (requests.size() == 1) return read_one_by_one(**reader, requests, options);
    return read_as_plan(opened->file.view(), **reader, requests, options);
  };
  constexpr std::uint64_t kLong = std::uint64_t{32} << 20;
  if (bytes >= kLong) {
    value_of(run_interruptibly(read));
    return;
  }
  value_of([&] {
    const nb::gil_scoped_release release;
    return read({});
  }());
}

}  // namespace

nb::object plain_pickle(const Opened& opened, const EntryView& entry) {
  const Buffer pickle = value_of([&]() -> Result<Buffer> {
    const nb::gil_scoped_release release;
    const auto reader = opened->reader();
    if (!reader) return tl::unexpected(reader.error());
    return (*reader)->read_plain_pickle(entry);
  }());
  return nb::bytes(pickle.bytes().data(), pickle.size());
}

void bind_data(nb::module_& m) {
  m.def("read_boxes", &read_boxes, nb::arg("boxes"), nb::arg("threads"), nb::arg("verify"),
        "Read boxes of tensors: (tensor, offsets, sizes, buffer or address, byte strides or None).");
}

}  // namespace flatpoint::python
