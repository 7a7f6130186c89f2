// plan.hpp - the halves of `flatpoint plan`: one rank, and all of them.
#pragma once

#include "checkpoint.hpp"
#include "flatpoint/mesh_plan.hpp"

namespace flatpoint::tool {

inline constexpr std::size_t kPlanRows = 20;  // of a table, without --full

std::string file_text(const MetadataView& metadata, std::uint32_t file);
std::string amplification_text(std::uint64_t stored, std::uint64_t needed);
void print_issues(Output& out, std::span<const LoadIssue> issues, std::size_t most);
void write_issues(Json& json, std::span<const LoadIssue> issues);
void print_rest(Output& out, std::size_t count, std::size_t shown, std::string_view what);

/// How the load spreads over ranks.
void print_balance(Output& out, const MetadataView& metadata, const LoadBalance& balance, std::size_t most);
void print_balance_json(Context& context, const dcp::OpenedCheckpoint& opened, const LoadBalance& balance);

enum class MatrixForm { Table, Tsv, Json };

/// How many bytes each rank reads of each file. `most`: ranks and files of a table.
[[nodiscard]] Result<void> print_matrix(Context& context, const dcp::OpenedCheckpoint& opened, MeshPlanner& planner,
                                        const LoadBalance& balance, MatrixForm form, std::size_t most);

}  // namespace flatpoint::tool
