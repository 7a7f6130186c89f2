// Rules F1 to F9: what opening refuses, and the digest.
#include <sys/mman.h>

#include "format/constants.hpp"
#include "format/decode.hpp"
#include "format/trailer.hpp"
#include "hostile/rules.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(frame)

using T = fb::Metadata;

BOOST_AUTO_TEST_CASE(the_file_itself_is_sound) {
  breaks({}, [](EditableFile&) {});
  const MetadataFile file = opened(rich_model());
  for (const std::string& difference : differences(file, rich_model())) BOOST_ERROR(difference);
  BOOST_TEST(walk(file).corrupt == 0U);
}

BOOST_AUTO_TEST_CASE(F1) {
  refused("F1", ErrorCode::NotFlatpoint, [](EditableFile& f) { f.raw<char>(4) = 'X'; });
  const auto shorter = MetadataFile::from_bytes(std::as_bytes(std::span("\0\0\0\0FLP", 7)));
  BOOST_TEST(shorter.error().rule == "F1");
}

BOOST_AUTO_TEST_CASE(F2) {
  refused("F2", ErrorCode::Truncated, [](EditableFile& f) { f.raw<char>(f.bytes().size() - 1) = 'X'; });
  refused("F2", ErrorCode::Truncated, [](EditableFile& f) { f.raw<char>(f.bytes().size() - 8) = 'X'; });
}

BOOST_AUTO_TEST_CASE(F3) {
  for (const std::uint64_t difference : {8ULL, 1ULL, ~0ULL, 1ULL << 32, 1ULL << 63}) {
    refused("F3", ErrorCode::Truncated,
            [&](EditableFile& f) { f.raw<std::uint64_t>(f.bytes().size() - 16) += difference; });
  }
  const Buffer sound = encoded(rich_model());  // four bytes more before the trailer, which says so
  Buffer longer(sound.size() + 4);
  std::memcpy(longer.mutable_bytes().data(), sound.bytes().data(), sound.size());
  std::memset(longer.mutable_bytes().data() + sound.size() - format::kTrailerSize, 0, 4);
  format::write_trailer(longer.mutable_bytes());
  const auto file = MetadataFile::from_bytes(longer.bytes());
  BOOST_TEST_REQUIRE(!file.has_value());
  BOOST_TEST(file.error().rule == "F3");
  BOOST_TEST((file.error().code == ErrorCode::Corrupt));
}

BOOST_AUTO_TEST_CASE(F4) {
  const std::size_t size = std::size_t{1} << 31;
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  BOOST_TEST_REQUIRE(memory != MAP_FAILED);
  std::memcpy(static_cast<char*>(memory) + 4, "FLPT", 4);
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(memory), size);
  BOOST_TEST((format::decode(bytes).error().code == ErrorCode::TooLarge));
  BOOST_TEST(format::decode(bytes).error().rule == "F4");
  BOOST_TEST(join(broken_rules(bytes)) == "F4");
  BOOST_TEST(format::decode(bytes.first(size - 1)).error().rule == "F2");
  ::munmap(memory, size);
}

BOOST_AUTO_TEST_CASE(F5_the_root) {
  for (const std::uint32_t root : {0U, 2U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU}) {
    refused("F5", ErrorCode::Corrupt, [&](EditableFile& f) { f.raw<std::uint32_t>(0) = root; });
  }
  refused("F5", ErrorCode::Corrupt, [](EditableFile& f) {
    f.raw<std::uint32_t>(0) = static_cast<std::uint32_t>(f.bytes().size() - format::kTrailerSize);
  });
  refused("F5", ErrorCode::Corrupt, [](EditableFile& f) { f.raw<std::uint32_t>(0) += 1; });
}

BOOST_AUTO_TEST_CASE(F5_the_vtable) {
  const auto at = [](EditableFile& f) { return f.raw<std::uint32_t>(0); };
  for (const std::int32_t to_vtable : {1, 0x7FFFFFFF, -0x7FFFFFFF, INT32_MIN}) {
    refused("F5", ErrorCode::Corrupt, [&](EditableFile& f) { f.raw<std::int32_t>(at(f)) = to_vtable; });
  }
  for (const std::uint16_t size : {std::uint16_t{0xFFFF}, std::uint16_t{0xFFFE}, std::uint16_t{5}}) {
    refused("F5", ErrorCode::Corrupt, [&](EditableFile& f) {
      const std::size_t vtable = at(f) - static_cast<std::size_t>(f.raw<std::int32_t>(at(f)));
      f.raw<std::uint16_t>(vtable) = size;
    });
  }
}

// The rich model must have every column, or the tests below pass over some.
BOOST_AUTO_TEST_CASE(the_file_has_every_field) {
  EditableFile file(encoded(rich_model()));
  const auto* table = reinterpret_cast<const flatbuffers::Table*>(file.root());
  for (flatbuffers::voffset_t field = T::VT_FORMAT_MAJOR; field <= T::VT_SOURCE;
       field = static_cast<flatbuffers::voffset_t>(field + 2)) {
    const bool is_default = field == T::VT_FORMAT_MINOR;
    BOOST_TEST((is_default || table->CheckField(field)), "field " << field << " is absent");
  }
}

BOOST_AUTO_TEST_CASE(F5_every_column) {
  for (flatbuffers::voffset_t field = T::VT_FORMAT_MAJOR; field <= T::VT_SOURCE;
       field = static_cast<flatbuffers::voffset_t>(field + 2)) {
    const bool scalar =
        field <= T::VT_FRAGMENT_RANK || field == T::VT_HAS_STORAGE_DATA || field == T::VT_HAS_PLANNER_DATA;
    if (scalar) continue;
    BOOST_TEST_CONTEXT("field " << field) {
      for (const std::uint32_t offset : {0U, 1U, 0x7FFFFFF0U, 0xFFFFFFFCU}) {
        refused("F5", ErrorCode::Corrupt,
                [&](EditableFile& f) { f.raw<std::uint32_t>(f.field_position(field)) = offset; });
      }
      if (field == T::VT_STORAGE_META || field == T::VT_SOURCE) continue;
      for (const std::uint32_t length : {0xFFFFFFFFU, 0x7FFFFFFFU, 0x20000000U}) {
        refused("F5", ErrorCode::Corrupt, [&](EditableFile& f) {
          const std::size_t position = f.field_position(field);
          f.raw<std::uint32_t>(position + f.raw<std::uint32_t>(position)) = length;
        });
      }
    }
  }
}

// FlatBuffers lets vectors share bytes. Opening does too, and answers stay inside the file.
BOOST_AUTO_TEST_CASE(columns_that_share_their_bytes) {
  EditableFile sound(encoded(rich_model()));
  std::vector<std::size_t> fields;
  for (flatbuffers::voffset_t field = T::VT_ENTRIES; field < T::VT_SOURCE;
       field = static_cast<flatbuffers::voffset_t>(field + 2)) {
    const bool is_vector =
        field != T::VT_HAS_STORAGE_DATA && field != T::VT_HAS_PLANNER_DATA && field != T::VT_STORAGE_META;
    if (is_vector) fields.push_back(sound.field_position(field));
  }
  int opened = 0;
  for (const std::size_t to : fields) {
    for (const std::size_t from : fields) {
      for (const std::uint32_t further : {0U, 4U, 8U, 16U}) {
        EditableFile file(encoded(rich_model()));
        const auto target = static_cast<std::uint32_t>(from + file.raw<std::uint32_t>(from) + further);
        if (target <= to) continue;
        file.raw<std::uint32_t>(to) = target - static_cast<std::uint32_t>(to);
        file.reseal();
        for (const std::string& wrong : check_any_bytes(file.bytes())) BOOST_ERROR(wrong);
        opened += MetadataFile::from_bytes(file.bytes()).has_value();
      }
    }
  }
  BOOST_TEST(opened > 500);
}

BOOST_AUTO_TEST_CASE(F5_missing_columns) {
  for (const auto field : {T::VT_ENTRIES, T::VT_FQNS, T::VT_FQN_SLOTS}) {
    refused("F5", ErrorCode::Corrupt, [&](EditableFile& f) {
      const std::uint32_t table = f.raw<std::uint32_t>(0);
      const std::size_t vtable = table - static_cast<std::size_t>(f.raw<std::int32_t>(table));
      f.raw<std::uint16_t>(vtable + field) = 0;
    });
  }
}

BOOST_AUTO_TEST_CASE(F5_inner_tables) {
  for (const auto field : {T::VT_STORAGE_META, T::VT_SOURCE}) {
    refused("F5", ErrorCode::Corrupt, [&](EditableFile& f) {
      const std::size_t position = f.field_position(field);
      f.raw<std::int32_t>(position + f.raw<std::uint32_t>(position)) = 0x7FFFFFFC;
    });
  }
  refused("F5", ErrorCode::Corrupt, [](EditableFile& f) {
    auto* meta = reinterpret_cast<flatbuffers::Table*>(f.root()->mutable_storage_meta());
    *reinterpret_cast<std::uint32_t*>(meta->GetAddressOf(fb::StorageMeta::VT_SAVE_ID)) = 0x7FFFFFFC;
  });
}

BOOST_AUTO_TEST_CASE(F6) {
  // Four bytes further lies a vector of one element, as FlatBuffers' verifier sees it: its data is at 4 modulo 8.
  for (const auto field :
       {T::VT_SIZES, T::VT_BOXES, T::VT_CHUNK_BYTE_OFFSETS, T::VT_CHUNK_LENGTHS, T::VT_INDEX_HINTS}) {
    refused("F6", ErrorCode::Corrupt, [&](EditableFile& f) {
      const std::size_t position = f.field_position(field);
      std::uint32_t& offset = f.raw<std::uint32_t>(position);
      offset += 4;
      f.raw<std::uint32_t>(position + offset) = 1;
      flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(f.bytes().data()), f.bytes().size());
      BOOST_TEST(fb::VerifyMetadataBuffer(verifier));
    });
  }
}

BOOST_AUTO_TEST_CASE(F7) {
  refused("F7", ErrorCode::Version, [](EditableFile& f) { f.root()->mutate_format_major(2); });
  refused("F7", ErrorCode::Version, [](EditableFile& f) { f.root()->mutate_format_major(0xFFFF); });
  refused("F7", ErrorCode::Version, [](EditableFile& f) {  // a newer major may have another shape
    f.root()->mutate_format_major(2);
    f.raw<std::uint32_t>(f.field_position(T::VT_ENTRIES)) = 0;
  });
}

BOOST_AUTO_TEST_CASE(a_newer_minor_version_is_read) {
  flatbuffers::FlatBufferBuilder builder;
  const auto entries = builder.CreateVectorOfStructs(std::vector<fb::Entry>());
  const auto fqns = builder.CreateVector(std::vector<std::uint8_t>());
  const auto slots = builder.CreateVector(std::vector<std::uint32_t>{0});
  const auto news = builder.CreateVector(std::vector<std::uint64_t>{1, 2, 3});  // a column of a later version
  const auto table = builder.StartTable();
  builder.AddElement<std::uint16_t>(T::VT_FORMAT_MAJOR, 1, 0);
  builder.AddElement<std::uint16_t>(T::VT_FORMAT_MINOR, 7, 0);
  builder.AddOffset(T::VT_ENTRIES, entries);
  builder.AddOffset(T::VT_FQNS, fqns);
  builder.AddOffset(T::VT_FQN_SLOTS, slots);
  builder.AddOffset(T::VT_FILE_FORMATS + 2, news);
  builder.Finish(flatbuffers::Offset<T>(builder.EndTable(table)), "FLPT");
  Buffer bytes((builder.GetSize() + 7) / 8 * 8 + format::kTrailerSize);
  BOOST_TEST_REQUIRE(builder.GetSize() % 8 == 0U);
  std::memcpy(bytes.mutable_bytes().data(), builder.GetBufferPointer(), builder.GetSize());
  format::write_trailer(bytes.mutable_bytes());
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  BOOST_TEST_REQUIRE(file.has_value());
  BOOST_TEST(file->view().columns().format_minor == 7);
  BOOST_TEST(broken_rules(bytes.bytes()).empty());
}

BOOST_AUTO_TEST_CASE(F8) {
  const auto length = [](auto column, std::uint32_t n) {
    refused("F8", ErrorCode::Corrupt, [&](EditableFile& f) { f.length_of((*f.operator->()).*column) = n; });
  };
  length(&Columns::fqn_order, 8), length(&Columns::fqn_order, 10);
  length(&Columns::fqn_paths, 8), length(&Columns::fqn_paths, 10);
  length(&Columns::fqn_slots, 0), length(&Columns::fqn_slots, 31), length(&Columns::fqn_slots, 16);
  length(&Columns::planner_order, 10);
  length(&Columns::chunk_byte_offsets, 3), length(&Columns::chunk_transforms, 3);
  EditableFile sound(encoded(rich_model()));
  const auto rows = static_cast<std::uint32_t>(sound->chunk_files.size());
  length(&Columns::storage_order, rows + 1);
  length(&Columns::loose_storage, rows + 1);
  length(&Columns::chunk_files, rows - 1);
}

BOOST_AUTO_TEST_CASE(F9) {
  EditableFile file(encoded(rich_model()));
  file.raw<std::uint64_t>(file.bytes().size() - 24) ^= 1;
  BOOST_TEST(MetadataFile::from_bytes(file.bytes()).has_value());
  BOOST_TEST(join(broken_rules(file.bytes())) == "F9");
}

BOOST_AUTO_TEST_SUITE_END()
