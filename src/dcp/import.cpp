#include "dcp/import.hpp"

#include <algorithm>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "dcp/machine.hpp"
#include "dcp/translator.hpp"
#include "flatpoint/pickle_opcode.hpp"
#include "pickle/digest.hpp"

namespace flatpoint::dcp {
namespace {

struct Ran {
  std::unique_ptr<Heap> heap;
  Value root;
  std::size_t end = 0;
};

/// DCP's protocols begin with PROTO: what fails without it, or at its first instruction, is something else than a
/// pickle.
Error about_file(Error error, std::size_t failed_at, std::span<const std::uint8_t> pickle) {
  const bool begins_as_one = pickle.front() == static_cast<std::uint8_t>(Opcode::PROTO) && failed_at > 0;
  if (begins_as_one || error.code != ErrorCode::BadPickle) return error;
  return {ErrorCode::NotPickle, fmt::format("not a pickle of DCP's Metadata: {}", error.message)};
}

Result<Ran> run(std::span<const std::uint8_t> pickle, const ImportLimits& limits, Lane lane, ContentDigest& digest) {
  auto heap = std::make_unique<Heap>(pickle);
  Machine machine(*heap, limits, lane == Lane::Open, &digest);
  switch (machine.run()) {
    case Machine::Outcome::Done:
      // What was thrown away is looked at object by object, and no writer throws any away.
      if (lane == Lane::Open && !heap->dropped.empty()) break;
      return Ran{std::move(heap), machine.result(), machine.end()};
    case Machine::Outcome::Failed: return tl::unexpected(about_file(machine.error(), machine.failed_at(), pickle));
    case Machine::Outcome::Gone: break;
  }
  heap.reset();
  return run(pickle, limits, Lane::Closed, digest);
}

/// What lists and records that are shared through the memo may grow to, beside the limits that were asked for: a pickle
/// that shares nothing has less than a chunk per byte, and gives a smaller file than it is.
ImportLimits in_proportion(ImportLimits limits, std::uint64_t pickle_size) {
  limits.max_chunks = std::min(limits.max_chunks, (std::uint64_t{1} << 20) + pickle_size);
  limits.max_output_bytes = std::min(limits.max_output_bytes, (std::uint64_t{1} << 26) + 16 * pickle_size);
  return limits;
}

}  // namespace

Result<ImportedDraft> import_draft(std::span<const std::byte> bytes, const ImportOptions& options, Lane lane) {
  const std::span pickle(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  const std::uint64_t most = std::min<std::uint64_t>(options.limits.max_input_bytes, Value::kMaxPosition);
  if (pickle.size() > most) {
    return fail(ErrorCode::TooLarge,
                fmt::format("{} bytes exceed the limit max_input_bytes = {}", pickle.size(), most));
  }
  if (pickle.empty()) return fail(ErrorCode::NotPickle, "the file is empty");
  ContentDigest digest(pickle);
  auto ran = run(pickle, options.limits, lane, digest);
  RETURN_IF_ERROR(ran);
  const ImportLimits limits = in_proportion(options.limits, pickle.size());
  Translator translator(*ran->heap, limits);
  auto draft = translator.run(ran->root);
  RETURN_IF_ERROR(draft);
  draft->source = SourceRecord{.length = pickle.size(),
                               .digest = digest.finish(),
                               .modified_ns = options.modified_ns.value_or(0),
                               .modified_recently = options.modified_recently,
                               .etag = options.etag};
  draft->fragment_rank = options.fragment_rank;

  ImportedDraft imported{std::move(ran->heap), std::move(*draft), translator.findings()};
  if (ran->end < pickle.size()) {
    imported.findings.push_back(
        {std::string(finding_kind::kBytesAfterStop),
         fmt::format("{} bytes follow the end of the pickle at byte {}", pickle.size() - ran->end, ran->end)});
  }
  return imported;
}

Result<Imported> import_pickle(std::span<const std::byte> pickle, const ImportOptions& options) {
  auto imported = import_draft(pickle, options, Lane::Open);
  RETURN_IF_ERROR(imported);
  auto bytes = write::finish(std::move(imported->draft));
  RETURN_IF_ERROR(bytes);
  const std::uint64_t limit = in_proportion(options.limits, pickle.size()).max_output_bytes;
  if (bytes->size() > limit) {
    return fail(ErrorCode::TooLarge, fmt::format("the metadata file's {} bytes exceed the limit max_output_bytes = {}",
                                                 bytes->size(), limit));
  }
  return Imported{std::move(*bytes), std::move(imported->findings)};
}

Result<std::vector<std::string>> named_globals(std::span<const std::byte> bytes, const ImportLimits& limits) {
  if (bytes.size() > limits.max_input_bytes) {
    return fail(ErrorCode::TooLarge, "the pickle exceeds the limit max_input_bytes");
  }
  pickle::Heap heap({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  pickle::Machine<pickle::NoFolds> machine(heap, machine_limits(limits), {}, false, nullptr);
  if (machine.run() != pickle::Machine<pickle::NoFolds>::Outcome::Done) return tl::unexpected(machine.error());
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < heap.globals.size(); ++i) {
    names.push_back(heap.globals[i].module + ' ' + heap.globals[i].name);
  }
  return names;
}

}  // namespace flatpoint::dcp
