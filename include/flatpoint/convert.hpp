// flatpoint/convert.hpp - write a checkpoint anew, in another form. Target flatpoint::data.
//
//   const auto source = flatpoint::dcp::open_checkpoint("ckpt/");
//   const auto reader = flatpoint::data::Reader::open(*source);
//   const auto plan = flatpoint::data::plan_conversion(*source, *reader);      // checks; writes nothing
//   const auto done = flatpoint::data::convert(*source, *reader, *plan, "model/");
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/data.hpp"
#include "flatpoint/sharding.hpp"

namespace flatpoint::data {

enum class ConvertTo : std::uint8_t { Safetensors, Dcp };

/// A box of a tensor of the source, and its place in a file of the target: of safetensors files the whole tensor, of
/// DCP a chunk.
struct ConvertedTensor {
  TensorView tensor;
  std::string name;  // in the target
  ChunkStorageMetadata box;
  std::uint64_t begin = 0;  // of its bytes, in the file
  std::uint64_t bytes = 0;
  std::uint64_t item_begin = 0;  // of DCP: the item around the bytes
  std::uint64_t item_bytes = 0;
  /// It is put together in memory: chunks that lie interleaved there, or not row-major in the source. Else chunks are
  /// ranges that are copied.
  bool is_woven = false;
};

/// An object that is no tensor, which goes along as it is.
struct ConvertedBytes {
  EntryView entry;
  std::string name;
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
};

struct ConvertedFile {
  std::string name;
  std::string head;  // what comes before the bytes of tensors
  std::vector<ConvertedTensor> tensors;
  std::vector<ConvertedBytes> objects;
  std::uint64_t bytes = 0;
};

/// What `convert` will write. Borrows the source.
struct Conversion {
  ConvertTo to = ConvertTo::Safetensors;
  std::vector<ConvertedFile> files;
  std::string index;                     // of the files, as JSON; empty where there is one file
  std::vector<std::string> carried;      // other files of the source's folder, copied as they are
  std::vector<std::string> not_carried;  // other files there
  std::vector<std::string> bytes_items;  // FQNs of objects that the target cannot hold, left out
  std::vector<std::string> not_chosen;   // FQNs that `name_of` left out
  std::vector<std::string> missing;      // names that `like` has and the source has not
  std::uint64_t tensors = 0;
  std::uint64_t tensor_bytes = 0;
  std::uint64_t woven_bytes = 0;  // of these
};

struct ConvertOptions {
  ConvertTo to = ConvertTo::Safetensors;
  // Of safetensors files:
  /// A file takes tensors, in the order of the source, while their bytes are at most these; one that has more by
  /// itself gets a file of its own.
  std::uint64_t max_shard_bytes = 5'000'000'000;
  /// An index of safetensors files instead: each tensor goes into the file that it names there.
  std::filesystem::path like;
  // Of DCP: the ranks that the tensors are cut for, a file each. A placement that shards a dimension which a tensor
  // does not have replicates it.
  std::vector<std::int64_t> mesh{1};
  std::vector<Placement> placements{Shard{0}};
  std::uint32_t alignment = 1;  // of tensors' bytes in their file: 4096 fits maps and shared blocks
  /// The name of an FQN in the target; unset leaves it out. Null: all, by their FQNs.
  std::function<std::optional<std::string>(std::string_view fqn)> name_of;
  /// Which other files of the source's folder are copied. Null: none.
  std::function<bool(std::string_view file)> carry;
  bool allow_outside = false;  // as ReaderOptions has it
};

/// Plans safetensors files, "model-00001-of-00002.safetensors", ... with "model.safetensors.index.json", or one
/// "model.safetensors"; or a checkpoint of DCP, which stock torch loads: "__0_0.distcp", ... with ".metadata" and
/// ".metadata.flatpoint". Checks what can be checked before a byte is written: data files are there and long enough;
/// each item is what the metadata says; chunks tile their tensors; the target has a name and a dtype for each. Reads
/// only the ends of items.
///
/// Errors: Holes, Conflict (elements in two chunks, a name that two tensors get, an entry whose class nobody knows);
/// NotPlain (a dtype that safetensors files do not have, an item that is no plain tensor); InvalidArgument (a name that
/// they cannot hold, a tensor that `like` does not name); TooLarge (a header above the 100,000,000 bytes of the
/// format); those of `check_files` and Reader::locate.
[[nodiscard]] Result<Conversion> plan_conversion(const dcp::OpenedCheckpoint& source, const Reader& reader,
                                                 const ConvertOptions& options = {});

struct ConvertRun {
  bool force = false;   // replace a checkpoint that is there
  bool sync = true;     // what was written survives a crash
  bool verify = false;  // checks the source's checksums, reads all of the target back, and compares every bit
  bool allow_outside = false;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes of tensors
  std::stop_token stop;
};

struct ConvertReport {
  std::uint64_t bytes = 0;   // of files that were written
  std::uint64_t cloned = 0;  // of these, bytes that the file system shares with the source (XFS, btrfs)
};

/// Writes what was planned into a folder beside `target`, and gives it that name in one step when it is whole: whenever
/// the process ends, `target` is what it was or all of the new. What a killed process left beside it, the next one to
/// the same target removes. Two pieces of at most 1 MiB are held in memory; where a chunk is compressed, it is held
/// whole, and where such chunks interleave, their tensor.
///
/// Errors: Conflict (there is a `target` and no `force`; another process is writing it); InvalidArgument (`force`, and
/// `target` is no checkpoint, holds the source, or lies where the file system cannot exchange two folders); Io (no
/// space, before the first byte; stopped); Checksum, Changed and the others of Reader::read. On an error nothing is
/// left beside `target`.
[[nodiscard]] Result<ConvertReport> convert(const dcp::OpenedCheckpoint& source, const Reader& reader,
                                            const Conversion& plan, const std::filesystem::path& target,
                                            const ConvertRun& options = {});

}  // namespace flatpoint::data
