// What a checkpoint holds under an FQN: Tensor, Bytes, Opaque; and a tensor's chunks.
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string_view>

#include "flatpoint/overlap.hpp"
#include "flatpoint/records.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

struct Entry {
  Opened opened;
  EntryView view;
};
struct Tensor : OpenTensor {};
struct Bytes : Entry {};
struct Opaque : Entry {};
/// A tensor's chunks in DCP's order.
struct Chunks {
  Opened opened;
  TensorView tensor;
};
struct Chunk {
  Opened opened;
  ChunkView view;
};

template <class Get>
nb::tuple tuple_of(std::uint8_t ndim, Get get) {
  std::array<std::int64_t, std::numeric_limits<std::uint8_t>::max()> values;
  for (std::uint8_t d = 0; d < ndim; ++d) values[d] = get(d);
  return to_tuple({values.data(), ndim});
}

nb::tuple offsets_of(const ChunkView& chunk) {
  return tuple_of(chunk.ndim(), [&](std::uint8_t d) { return chunk.offset(d); });
}

nb::tuple sizes_of(const ChunkView& chunk) {
  return tuple_of(chunk.ndim(), [&](std::uint8_t d) { return chunk.size(d); });
}

nb::object storage_or_none(const Lookup<StorageInfoView>& storage) {
  return found(storage) ? make_storage_info(*storage) : nb::none();
}

nb::object dtype_of(const TensorView& tensor) { return to_str(tensor.dtype_name()); }

nb::object properties_of(const Tensor& tensor) {
  const TensorProperties properties = tensor.view.properties();
  return make_record(records().tensor_properties, dtype_of(tensor.view), to_str(tensor.view.layout_name()),
                     tensor.view.requires_grad(), to_str(name_of(properties.memory_format)), tensor.view.pin_memory(),
                     properties.strides ? nb::object(to_tuple(*properties.strides)) : nb::none());
}

/// Elements times bytes per element, as Python counts: a hostile shape passes 64 bits. None for an unknown dtype.
nb::object nbytes_of(const Tensor& tensor) {
  const std::uint32_t item = item_size(tensor.view.dtype());
  if (item == 0) return nb::none();
  nb::object bytes = checked(PyLong_FromUnsignedLong(item));
  for (const std::int64_t size : tensor.view.size()) {
    bytes = checked(PyNumber_Multiply(bytes.ptr(), checked(PyLong_FromLongLong(size)).ptr()));
  }
  return bytes;
}

nb::list overlapping(const Tensor& tensor, nb::handle offsets, nb::handle sizes) {
  const auto box_offsets = to_values(offsets);
  const auto box_sizes = to_values(sizes);
  const std::uint8_t ndim = tensor.view.ndim();
  if (box_offsets.size() != ndim || box_sizes.size() != ndim) {
    throw nb::value_error("offsets and sizes need one value for each of the tensor's dimensions");
  }
  nb::list hits;
  for (Overlaps hit(tensor.view, box_offsets, box_sizes); !hit.done(); hit.next()) {
    const ChunkView chunk = value_of(tensor.view.chunk_by_row(hit.chunk()));
    hits.append(make_record(records().overlap, Chunk{tensor.opened, chunk},
                            tuple_of(ndim, [&](std::uint8_t d) { return hit.chunk_offset(d); }),
                            tuple_of(ndim, [&](std::uint8_t d) { return hit.box_offset(d); }),
                            tuple_of(ndim, [&](std::uint8_t d) { return hit.length(d); })));
  }
  return hits;
}

/// Of every chunk, in DCP's order: offsets, sizes.
nb::list boxes_of(const Tensor& tensor) {
  nb::list boxes;
  for (std::uint32_t i = 0; i < tensor.view.chunk_count(); ++i) {
    const ChunkView chunk = value_of(tensor.view.chunk(i));
    boxes.append(nb::make_tuple(offsets_of(chunk), sizes_of(chunk)));
  }
  return boxes;
}

/// Of the checkpoint that was asked last: which record holds the value of an FQN. Who asks for one asks for others.
struct OpaqueValues {
  std::weak_ptr<const OpenCheckpoint> of;
  std::map<std::string_view, std::size_t> records;
};

nb::object opaque_pickle(const Opaque& opaque) {
  static OpaqueValues values;  // under Python's lock
  const MetadataView metadata = opaque.opened->file.view();
  if (values.of.lock() != opaque.opened) {
    values = {opaque.opened, {}};
    for (std::size_t i = 0; i < metadata.columns().opaque.size(); ++i) {
      const auto record = opaque_record(metadata, i);
      if (record && record->kind == OpaqueKind::StateDictValue) values.records.try_emplace(record->name, i);
    }
  }
  const auto found = values.records.find(opaque.view.fqn());
  if (found == values.records.end()) raise_corrupt();
  const auto record = value_of(opaque_record(metadata, found->second));
  return nb::bytes(record.pickle.data(), record.pickle.size());
}

template <class T>
nb::object fqn_of(const T& entry) {
  return to_str(entry.view.fqn());
}

/// Views of the same place are equal, as two look-ups make two objects.
template <class T>
bool same_place(const T& a, const T& b, std::uint32_t (*place)(const T&)) {
  return a.opened == b.opened && place(a) == place(b);
}

template <class T>
void bind_equality(nb::class_<T>& type, std::uint32_t (*place)(const T&)) {
  type.def("__eq__", [place](const T& a, nb::handle b) {
    return nb::isinstance<T>(b) && same_place(a, nb::cast<const T&>(b), place);
  });
  type.def("__hash__",
           [place](const T& a) { return std::hash<const void*>{}(a.opened.get()) ^ (std::size_t{place(a)} << 1); });
}

template <class T>
std::uint32_t position_of(const T& entry) {
  return entry.view.position();
}

template <class T>
nb::object repr(const char* format, const T& entry) {
  return nb::str(format).attr("format")(fqn_of(entry));
}

void bind_tensor(nb::module_& m) {
  nb::class_<Tensor> type(m, "Tensor", nb::is_final(),
                          "A tensor of the checkpoint (TensorStorageMetadata), read in place.");
  bind_equality<Tensor>(type, &position_of<Tensor>);
  type.def_prop_ro("fqn", &fqn_of<Tensor>, "Fully qualified name.")
      .def_prop_ro(
          "dtype", [](const Tensor& t) { return dtype_of(t.view); }, "torch's name without \"torch.\".")
      .def_prop_ro(
          "shape", [](const Tensor& t) { return to_tuple(t.view.size()); }, "Elements per dimension.")
      .def_prop_ro(
          "ndim", [](const Tensor& t) { return int{t.view.ndim()}; }, "Number of dimensions.")
      .def_prop_ro(
          "itemsize",
          [](const Tensor& t) {
            const std::uint32_t item = item_size(t.view.dtype());
            return item == 0 ? nb::none() : nb::object(nb::int_(item));
          },
          "Bytes per element; None for an unknown dtype.")
      .def_prop_ro("nbytes", &nbytes_of, "Elements times bytes per element; None for an unknown dtype.")
      .def_prop_ro("properties", &properties_of, "TensorProperties: dtype, layout, strides, ...")
      .def_prop_ro(
          "chunks",
          [](const Tensor& t) {
            return Chunks{t.opened, t.view};
          },
          "The chunks, in DCP's order.")
      .def("_boxes", &boxes_of)
      .def(
          "compare", [](const Tensor& t, nb::handle other, bool all) { return compared(t, other, all); },
          nb::arg("other"), nb::kw_only(), nb::arg("all") = false,
          "Whether the values of another checkpoint's tensor are the same: a ValueDifference.")
      .def(
          "stats", [](const Tensor& t) { return tensor_statistics(t.opened, t.view); },
          "What the elements are like, in one pass over their bytes: Statistics.")
      .def("overlapping", &overlapping, nb::arg("offsets"), nb::arg("sizes"),
           "The chunks that overlap a box, and where, by ascending offsets.")
      .def("__repr__", [](const Tensor& t) {
        return nb::str("Tensor({!r}, dtype={}, shape={}, chunks={})")
            .attr("format")(fqn_of(t), dtype_of(t.view), to_tuple(t.view.size()), t.view.chunk_count());
      });
}

void bind_chunks(nb::module_& m) {
  nb::class_<Chunk> type(m, "Chunk", nb::is_final(),
                         "One chunk of a tensor (ChunkStorageMetadata), and where it lies.");
  bind_equality<Chunk>(type, [](const Chunk& c) { return c.view.row(); });
  type.def_prop_ro(
          "offsets", [](const Chunk& c) { return offsets_of(c.view); }, "First element, per dimension.")
      .def_prop_ro(
          "sizes", [](const Chunk& c) { return sizes_of(c.view); }, "Elements, per dimension.")
      .def_prop_ro(
          "storage", [](const Chunk& c) { return storage_or_none(c.view.storage()); },
          "StorageInfo, or None where the checkpoint has none.")
      .def_prop_ro(
          "row", [](const Chunk& c) { return c.view.row(); }, "Row of the chunk columns.")
      .def("__repr__", [](const Chunk& c) {
        return nb::str("Chunk(offsets={}, sizes={})").attr("format")(offsets_of(c.view), sizes_of(c.view));
      });
  nb::class_<Chunks> chunks(m, "Chunks", nb::is_final(), "A tensor's chunks, in DCP's order: a lazy sequence.");
  bind_sequence<Chunks>(
      chunks, [](const Chunks& c) { return c.tensor.chunk_count(); },
      [](const Chunks& c, std::uint32_t i) {
        return nb::cast(Chunk{c.opened, value_of(c.tensor.chunk(i))});
      });
}

void bind_other(nb::module_& m) {
  nb::class_<Bytes> bytes(m, "Bytes", nb::is_final(), "An object that is saved as bytes (BytesStorageMetadata).");
  bind_equality<Bytes>(bytes, &position_of<Bytes>);
  bytes.def_prop_ro("fqn", &fqn_of<Bytes>, "Fully qualified name.")
      .def_prop_ro(
          "storage", [](const Bytes& b) { return storage_or_none(b.view.bytes_storage()); },
          "StorageInfo, or None where the checkpoint has none.")
      .def("_plain_pickle", [](const Bytes& b) { return plain_pickle(b.opened, b.view); })
      .def("__repr__", [](const Bytes& b) { return repr("Bytes({!r})", b); });
  nb::class_<Opaque> opaque(m, "Opaque", nb::is_final(), "Metadata of a class that is not DCP's, kept as a pickle.");
  bind_equality<Opaque>(opaque, &position_of<Opaque>);
  opaque.def_prop_ro("fqn", &fqn_of<Opaque>, "Fully qualified name.")
      .def_prop_ro("pickle", &opaque_pickle, "The pickle. Nothing here ever executes it.")
      .def("__repr__", [](const Opaque& o) { return repr("Opaque({!r})", o); });
}

}  // namespace

nb::object make_storage_info(const StorageInfoView& storage) {
  nb::object transforms = nb::none();
  if (const auto count = storage.transform_count()) {
    nb::list names;
    for (std::uint32_t i = 0; i < *count; ++i) names.append(to_str(storage.transform_descriptor(i)));
    transforms = nb::tuple(names);
  }
  return make_record(records().storage_info, to_str(storage.relative_path()), storage.byte_offset(), storage.length(),
                     transforms);
}

nb::object make_entry(const Opened& opened, const EntryView& entry) {
  switch (entry.type()) {
    case StorageType::Tensor: return nb::cast(Tensor{{opened, value_of(entry.tensor())}});
    case StorageType::Bytes: return nb::cast(Bytes{{opened, entry}});
    case StorageType::Opaque: return nb::cast(Opaque{{opened, entry}});
  }
  raise_corrupt();
}

OpenTensor tensor_of(nb::handle tensor) {
  const Tensor* found = nullptr;
  if (!nb::try_cast(tensor, found) || found == nullptr) throw nb::type_error("expected a Tensor");
  return *found;
}

Lookup<EntryView> find_entry(const MetadataView& metadata, nb::handle fqn) {
  const Text text(fqn);
  const auto entry = metadata.find(text.view());
  if (!entry.absent() || !text.has_surrogates()) return entry;
  return metadata.find(Text(fqn, "surrogateescape").view());
}

void bind_entries(nb::module_& m) {
  bind_chunks(m);
  bind_tensor(m);
  bind_other(m);
}

}  // namespace flatpoint::python
