// Encode, decode: every column comes back as it was, and nothing that is too large is touched.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>

#include "flatpoint/generated.hpp"
#include "format/constants.hpp"
#include "format/decode.hpp"
#include "format/encode.hpp"

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(columns)

/// Calls visit(name, column) for every column; a StorageMeta's columns too where there is one.
template <class C, class Visit>
void for_each_column(C& c, Visit visit) {
  visit("entries", c.entries), visit("fqns", c.fqns), visit("fqn_slots", c.fqn_slots), visit("fqn_order", c.fqn_order);
  visit("sizes", c.sizes), visit("boxes", c.boxes), visit("chunk_order", c.chunk_order),
      visit("chunk_files", c.chunk_files);
  visit("chunk_byte_offsets", c.chunk_byte_offsets), visit("chunk_lengths", c.chunk_lengths),
      visit("chunk_transforms", c.chunk_transforms);
  visit("file_names", c.file_names.bytes), visit("file_name_ends", c.file_names.ends);
  visit("type_names", c.type_names.bytes), visit("type_name_ends", c.type_names.ends);
  visit("transform_names", c.transform_names.bytes), visit("transform_name_ends", c.transform_names.ends);
  visit("transform_lists", c.transform_lists), visit("storage_order", c.storage_order),
      visit("index_hints", c.index_hints);
  visit("loose_storage", c.loose_storage), visit("fqn_paths", c.fqn_paths), visit("path_elements", c.path_elements);
  visit("path_ends", c.path_ends), visit("planner_order", c.planner_order), visit("opaque", c.opaque);
  visit("opaque_names", c.opaque_names), visit("opaque_pickles", c.opaque_pickles);
  visit("chunk_data_begins", c.chunk_data_begins), visit("chunk_checksums", c.chunk_checksums);
  visit("file_lengths", c.file_lengths), visit("file_times", c.file_times), visit("file_formats", c.file_formats);
  if (c.storage_meta)
    visit("modules", c.storage_meta->modules.bytes), visit("module_ends", c.storage_meta->modules.ends);
}

/// The same for the texts that can be unset.
template <class C, class Visit>
void for_each_text(C& c, Visit visit) {
  visit("version", c.version), visit("metadata_class", c.metadata_class),
      visit("storage_info_class", c.storage_info_class);
  if (!c.storage_meta) return;
  visit("checkpoint_id", c.storage_meta->checkpoint_id), visit("save_id", c.storage_meta->save_id);
  visit("load_id", c.storage_meta->load_id);
}

/// Columns of random bytes in lengths that satisfy rule F8; an empty column now and then.
class RandomColumns {
 public:
  explicit RandomColumns(std::uint64_t seed) : random_(seed) {
    const std::size_t entries = random_() % 9;
    const std::size_t rows = random_() % 9;
    if (random_() % 2 == 0) c_.storage_meta.emplace();
    for_each_column(c_, [&](std::string_view name, auto& column) { fill(column, length(name, entries, rows)); });
    for_each_text(c_, [&](std::string_view, std::optional<ByteColumn>& text) {
      if (random_() % 3 != 0) fill(text.emplace(), random_() % 5);
    });
    c_.checksum_kind = static_cast<ChecksumKind>(random_() % 3);
    c_.fragment_rank = static_cast<std::int32_t>(random_());
    c_.has_storage_data = random_() % 2 == 0;
    c_.has_planner_data = random_() % 2 == 0;
    if (c_.storage_meta) c_.storage_meta->has_modules = random_() % 2 == 0;
    if (c_.storage_meta) c_.storage_meta->checkpoint_id_type = static_cast<PathType>(random_() % 6);
    if (random_() % 2 == 0)
      c_.source = SourceRecord{random_(), random_(), static_cast<std::int64_t>(random_()), random_() % 2 == 0,
                               random_() % 2 == 0 ? "\"5d41402a\"" : ""};
  }
  [[nodiscard]] const Columns& get() const { return c_; }

 private:
  std::size_t length(std::string_view name, std::size_t entries, std::size_t rows) {
    if (name == "entries") return entries;
    if (name == "fqn_slots") return 32;
    if (name == "chunk_files") return rows;
    if (random_() % 4 == 0) return 0;
    if (name == "fqn_order" || name == "fqn_paths" || name == "planner_order") return entries;
    if (name == "chunk_byte_offsets" || name == "chunk_transforms" || name == "loose_storage" ||
        name == "storage_order" || name == "chunk_checksums")
      return rows;
    if (name == "chunk_data_begins") return random_() % 2 == 0 ? rows : 1;
    if (name.starts_with("file_") && !name.starts_with("file_name")) return c_.file_names.ends.size();
    return random_() % 7;
  }
  template <class T>
  void fill(std::span<const T>& column, std::size_t length) {
    auto& words = memory_.emplace_back((length * sizeof(T) + 7) / 8);
    std::generate(words.begin(), words.end(), std::ref(random_));
    column = {reinterpret_cast<const T*>(words.data()), length};
  }

  std::mt19937_64 random_;
  std::vector<std::vector<std::uint64_t>> memory_;
  Columns c_;
};

template <class T>
bool same(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

void compare(const Columns& wanted, const Columns& actual) {
  std::vector<std::vector<std::byte>> bytes;
  for_each_column(wanted, [&](std::string_view, const auto& column) {
    const auto raw = std::as_bytes(column);
    bytes.emplace_back(raw.begin(), raw.end());
  });
  std::size_t i = 0;
  for_each_column(actual, [&](std::string_view name, const auto& column) {
    BOOST_TEST_CONTEXT(name) BOOST_TEST(same(std::as_bytes(column), std::span<const std::byte>(bytes.at(i++))));
  });
  std::vector<std::optional<ByteColumn>> texts;
  for_each_text(wanted, [&](std::string_view, const auto& text) { texts.push_back(text); });
  i = 0;
  for_each_text(actual, [&](std::string_view name, const auto& text) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(text.has_value() == texts.at(i).has_value());
      if (text && texts[i]) BOOST_TEST(same(*text, *texts[i]));
    }
    ++i;
  });
}

BOOST_AUTO_TEST_CASE(every_column_comes_back) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      const RandomColumns random(seed);
      const Columns& wanted = random.get();
      const auto file = format::encode(wanted);
      BOOST_TEST_REQUIRE(file.has_value());
      BOOST_TEST(file->size() % 8 == 0U);
      const std::uint64_t bound = format::encoded_size_bound(wanted);
      BOOST_TEST(file->size() <= bound);
      BOOST_TEST(bound <= file->size() + 1024);

      const auto decoded = format::decode(file->bytes());
      BOOST_TEST_REQUIRE(decoded.has_value());
      BOOST_TEST(decoded->format_major == 1);
      BOOST_TEST(decoded->fragment_rank == wanted.fragment_rank);
      BOOST_TEST((decoded->checksum_kind == wanted.checksum_kind));
      BOOST_TEST(decoded->has_storage_data == wanted.has_storage_data);
      BOOST_TEST(decoded->has_planner_data == wanted.has_planner_data);
      BOOST_TEST((decoded->source == wanted.source));
      BOOST_TEST_REQUIRE(decoded->storage_meta.has_value() == wanted.storage_meta.has_value());
      if (wanted.storage_meta) {
        BOOST_TEST(decoded->storage_meta->has_modules == wanted.storage_meta->has_modules);
        BOOST_TEST((decoded->storage_meta->checkpoint_id_type == wanted.storage_meta->checkpoint_id_type));
      }
      compare(wanted, *decoded);
      const auto again = format::encode(*decoded);
      BOOST_TEST(same(again->bytes(), file->bytes()));
    }
  }
}

BOOST_AUTO_TEST_CASE(generated_accessors_read_the_file_as_it_is) {
  const RandomColumns random(42);
  const auto file = format::encode(random.get());
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(file->bytes().data()), file->size());
  BOOST_TEST(fb::VerifyMetadataBuffer(verifier));
  const fb::Metadata* root = fb::GetMetadata(file->bytes().data());
  BOOST_TEST(root->format_major() == 1);
  BOOST_TEST(root->fqns()->size() == random.get().fqns.size());
  BOOST_TEST(root->entries()->size() == random.get().entries.size());
}

BOOST_AUTO_TEST_CASE(empty_columns_are_absent) {
  const std::uint32_t slot = 0;
  Columns empty;
  empty.fqn_slots = {&slot, 1};
  const auto file = format::encode(empty);
  BOOST_TEST_REQUIRE(file.has_value());
  const fb::Metadata* root = fb::GetMetadata(file->bytes().data());
  BOOST_TEST(!root->sizes());
  BOOST_TEST(!root->chunk_files());
  BOOST_TEST(!root->storage_meta());
  BOOST_TEST(!root->version());
  BOOST_TEST(!root->source());
  BOOST_TEST(file->size() < 200U);
}

/// A column of a size that no memory holds: whoever reads it crashes.
template <class T>
std::span<const T> huge(std::uint64_t bytes) {
  return {reinterpret_cast<const T*>(std::uintptr_t{64}), bytes / sizeof(T)};
}

BOOST_AUTO_TEST_CASE(too_large_is_known_without_touching_the_columns) {
  const std::uint64_t limit = format::kMaxFileSize;
  for (const std::uint64_t bytes :
       {limit, limit + 1, std::uint64_t{1} << 32, std::uint64_t{1} << 40, std::uint64_t{1} << 62}) {
    Columns columns;
    columns.boxes = huge<std::int64_t>(bytes + 7);
    BOOST_TEST(format::encoded_size_bound(columns) >= bytes);
    const auto file = format::encode(columns);
    BOOST_TEST_REQUIRE(!file.has_value());
    BOOST_TEST((file.error().code == ErrorCode::TooLarge));
    BOOST_TEST(file.error().message.find("2 GiB") != std::string::npos);
  }
  Columns many;  // each fits, all together do not
  for_each_column(many, [&](std::string_view, auto& column) {
    column = huge<std::remove_const_t<typename std::remove_reference_t<decltype(column)>::element_type>>(limit / 20);
  });
  BOOST_TEST((format::encode(many).error().code == ErrorCode::TooLarge));
}

BOOST_AUTO_TEST_SUITE_END()
