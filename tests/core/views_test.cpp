// Promises of the views that the compiler can check, and values at the edges.
#include "flatpoint/views.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <type_traits>

#include "support/model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(views)

template <class... Views>
constexpr bool kTrivial = (... && std::is_trivially_copyable_v<Views>);
static_assert(kTrivial<MetadataView, EntryView, TensorView, ChunkView, StorageInfoView, StorageMetaView>);
static_assert(kTrivial<Lookup<EntryView>, Lookup<TensorView>, Lookup<ChunkView>, Lookup<StorageInfoView>>);

template <class File>
concept GivesView = requires(File&& file) { std::forward<File>(file).view(); };
template <class Owner>
concept GivesBytes = requires(Owner&& owner) { std::forward<Owner>(owner).bytes(); };
static_assert(GivesView<const MetadataFile&> && !GivesView<MetadataFile> && !GivesView<const MetadataFile>);
static_assert(GivesBytes<const MetadataFile&> && !GivesBytes<MetadataFile> && !GivesBytes<const MetadataFile>);
static_assert(GivesBytes<const Buffer&> && !GivesBytes<Buffer> && !GivesBytes<const Buffer>);
static_assert(std::is_constructible_v<MetadataView, const Columns&> && !std::is_constructible_v<MetadataView, Columns>);
static_assert(!std::is_copy_constructible_v<MetadataFile> && std::is_nothrow_move_constructible_v<MetadataFile>);
static_assert(std::is_nothrow_move_assignable_v<MetadataFile> && std::is_nothrow_move_assignable_v<Buffer>);

// Look-ups are noexcept; what copies into values is not.
using Offset = std::span<const std::int64_t>;
static_assert(noexcept(std::declval<const MetadataView&>().find(std::string_view())));
static_assert(noexcept(std::declval<const MetadataView&>().find(std::declval<const MetadataIndex&>())));
static_assert(noexcept(std::declval<const MetadataView&>().find_storage(std::string_view(), std::optional<Offset>())));
static_assert(noexcept(std::declval<const MetadataView&>().entry(0)));
static_assert(noexcept(std::declval<const MetadataView&>().entry_in_dcp_order(0)));
static_assert(noexcept(std::declval<const MetadataView&>().prefix(std::string_view())));
static_assert(noexcept(std::declval<const MetadataView&>().file_name(0)));
static_assert(noexcept(std::declval<const MetadataView&>().storage_meta()));
static_assert(noexcept(std::declval<const EntryView&>().fqn()));
static_assert(noexcept(std::declval<const EntryView&>().tensor()));
static_assert(noexcept(std::declval<const EntryView&>().bytes_storage()));
static_assert(noexcept(std::declval<const TensorView&>().size()));
static_assert(noexcept(std::declval<const TensorView&>().dtype_name()));
static_assert(noexcept(std::declval<const TensorView&>().chunk(0)));
static_assert(noexcept(std::declval<const TensorView&>().chunk_by_row(0)));
static_assert(noexcept(std::declval<const TensorView&>().find_chunk(Offset())));
static_assert(noexcept(std::declval<const ChunkView&>().offset(0)));
static_assert(noexcept(std::declval<const ChunkView&>().storage()));
static_assert(noexcept(std::declval<const ChunkView&>().data()));
static_assert(noexcept(std::declval<const MetadataView&>().file_facts(0)));
static_assert(noexcept(std::declval<const StorageInfoView&>().transform_descriptor(0)));
static_assert(!noexcept(std::declval<const ChunkView&>().to_value()));

BOOST_AUTO_TEST_CASE(views_outlive_a_move_of_their_file) {
  Model model;
  model.entries = {whole("a", {4})};
  MetadataFile file = opened(model);
  const MetadataView view = file.view();
  const TensorView tensor = *view.find("a")->tensor();
  MetadataFile moved = std::move(file);
  MetadataFile again = opened(Model());
  again = std::move(moved);
  BOOST_TEST(view.find("a").found());
  BOOST_TEST(tensor.size()[0] == 4);
  BOOST_TEST(again.view().find("a").found());
}

BOOST_AUTO_TEST_CASE(rank_255_and_more_than_one_way_to_store_it) {
  Size size(255, 2);
  size[0] = 4;
  Size parts(255, 1);
  parts[0] = 2;
  auto uneven = grid(std::vector<Size>(255, Size{0, 2}));
  uneven[0].sizes[0] = 1;
  uneven.push_back(uneven[0]);
  uneven[1].offsets[0] = 1;
  uneven[1].sizes[0] = 3;
  Model model;
  model.entries = {whole("whole", size), tensor("even", size, even_grid(size, parts)), tensor("uneven", size, uneven)};
  auto holes = uneven;
  holes[1].offsets[254] = 1;
  model.entries.push_back(tensor("holes", size, holes));
  store_all(model);
  const MetadataFile file = opened(model);
  for (const std::string& difference : differences(file, model)) BOOST_ERROR(difference);
  BOOST_TEST((file.view().find("even")->row().chunk_layout == ChunkLayout::EvenGrid));
  BOOST_TEST((file.view().find("uneven")->row().chunk_layout == ChunkLayout::Grid));
  BOOST_TEST((file.view().find("holes")->row().chunk_layout == ChunkLayout::Explicit));
}

BOOST_AUTO_TEST_CASE(boxes_at_the_ends_of_int64) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  Model model;
  model.entries = {tensor("even", {kMax}, even_grid({kMax - 1}, {1})),
                   tensor("two", {kMax}, {{{0}, {kMax - 1}}, {{kMax - 1}, {1}}}),
                   tensor("grid", {5}, {{{kMin}, {kMax}}, {{-1}, {6}}}),
                   tensor("explicit", {kMin}, {{{kMin}, {kMin}}, {{kMax}, {kMax}}})};
  store_all(model);
  for (ModelItem& item : *model.storage_data)
    item.info.offset = item.info.length = std::numeric_limits<std::uint64_t>::max();
  const MetadataFile file = opened(model);
  for (const std::string& difference : differences(file, model)) BOOST_ERROR(difference);
}

BOOST_AUTO_TEST_CASE(names_of_types_that_have_none) {
  Model model;
  model.entries = {whole("t", {1}), whole("u", {1})};
  model.entries[0].properties.dtype = ScalarType::Other;
  model.entries[0].properties.dtype_name = "float2_e0m1";
  model.entries[1].properties.layout = Layout::Other;
  model.entries[1].properties.layout_name = "sparse_new";
  const MetadataFile file = opened(model);
  BOOST_TEST(file.view().find("t")->tensor()->dtype_name() == "float2_e0m1");
  BOOST_TEST(file.view().find("t")->tensor()->layout_name() == "strided");
  BOOST_TEST(file.view().find("u")->tensor()->dtype_name() == "float32");
  BOOST_TEST(file.view().find("u")->tensor()->layout_name() == "sparse_new");
}

BOOST_AUTO_TEST_SUITE_END()
