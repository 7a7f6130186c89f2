// What two checkpoints say differently.
#include "flatpoint/diff.hpp"

#include <algorithm>
#include <array>

#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

constexpr std::array kAspects{Aspect::Type,     Aspect::Dtype, Aspect::Shape,   Aspect::Properties, Aspect::Sharding,
                              Aspect::Location, Aspect::Order, Aspect::Planner, Aspect::Meta,       Aspect::Save};

nb::str name(Aspect aspect) { return to_str(to_string(aspect)); }

Aspects to_aspects(nb::handle names) {
  if (names.is_none()) return kAllAspects;
  Aspects aspects = 0;
  for (nb::handle wanted : names) {
    const Text text(wanted);
    const auto* known = std::ranges::find(kAspects, text.view(), [](Aspect aspect) { return to_string(aspect); });
    if (known == kAspects.end()) {
      std::array<std::string_view, kAspects.size()> all;
      std::ranges::transform(kAspects, all.begin(), [](Aspect aspect) { return to_string(aspect); });
      raise_unknown("aspect", text.view(), all);
    }
    aspects = aspects | *known;
  }
  return aspects;
}

nb::tuple fqns_at(const MetadataView& metadata, std::span<const std::uint32_t> positions) {
  nb::list fqns;
  for (const std::uint32_t at : positions) fqns.append(to_str(value_of(metadata.entry(at)).fqn()));
  return nb::tuple(fqns);
}

}  // namespace

nb::object make_diff(const Opened& mapped_a, const Opened& mapped_b, nb::handle aspects) {
  const Aspects compared = to_aspects(aspects);
  const Opened a = value_of(private_copy(mapped_a));
  const Opened b = value_of(private_copy(mapped_b));
  const Diff differences = value_of([&] {
    const nb::gil_scoped_release release;
    return diff(a->file.view(), b->file.view(), compared);
  }());
  nb::list changed;
  for (const ChangedEntry& entry : differences.changed) {
    nb::list names;
    for (const Aspect aspect : kAspects) {
      if (holds(entry.aspects, aspect)) names.append(name(aspect));
    }
    changed.append(make_record(records().changed_entry, to_str(value_of(a->file.view().entry(entry.a)).fqn()),
                               nb::tuple(names), entry.chunks));
  }
  nb::list file;
  for (const FileDifference& difference : differences.file) {
    file.append(make_record(records().file_difference, name(difference.aspect), to_str(difference.what),
                            to_str(difference.a), to_str(difference.b)));
  }
  return make_record(records().diff, differences.same(), fqns_at(a->file.view(), differences.removed),
                     fqns_at(b->file.view(), differences.added), nb::tuple(changed), nb::tuple(file));
}

}  // namespace flatpoint::python
