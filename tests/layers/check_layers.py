#!/usr/bin/env python3
"""Reads every #include line of the project and reports the ones that break its layers.

    base <- model <- format <- columns <- read, write <- change, plan
    base <- pickle <- archive;  read, write, pickle <- dcp, safetensors, torch_checkpointing
    dcp, safetensors, torch_checkpointing, change <- checkpoint
    checkpoint, archive, plan <- data <- convert

A file of a layer includes that layer and the ones below it. Tools, bindings and benchmarks include include/ alone, and
base/format.hpp, the one door to fmt; base/xxh3.hpp is the one to xxHash. FlatBuffers is seen by src/format and by
include/flatpoint/generated.hpp. Usage: check_layers.py [ROOT]
"""

import pathlib
import re
import sys

COLUMNS = {"base", "model", "format", "columns"}
BELOW = {
    "base": set(),
    "model": {"base"},
    "format": {"base", "model"},
    "columns": COLUMNS - {"columns"},
    "read": COLUMNS,
    "write": COLUMNS,
    "change": COLUMNS | {"read", "write"},
    "plan": COLUMNS | {"read", "write"},
    "pickle": {"base"},
    "archive": {"base", "model", "pickle"},
    "dcp": COLUMNS | {"read", "write", "pickle"},
    "safetensors": COLUMNS | {"read", "write", "pickle"},
    "torch_checkpointing": COLUMNS | {"read", "write", "pickle"},
    "checkpoint": COLUMNS | {"read", "write", "change", "pickle", "dcp", "safetensors", "torch_checkpointing"},
    "data": COLUMNS | {"read", "write", "plan", "archive", "checkpoint", "dcp", "safetensors"},
    "convert": COLUMNS | {"read", "write", "plan", "archive", "checkpoint", "dcp", "safetensors", "data"},
}

# The layer of each header of include/flatpoint/: the one whose sources implement it.
PUBLIC_HEADERS = {
    "buffer.hpp": "base",
    "error.hpp": "base",
    "finding.hpp": "base",
    "lookup.hpp": "base",
    "index_range.hpp": "base",
    "types.hpp": "model",
    "columns.hpp": "model",
    "dlpack.hpp": "model",
    "metadata_index.hpp": "model",
    "sharding.hpp": "model",
    "storage_meta.hpp": "model",
    "tensor_like.hpp": "model",
    "tensor_properties.hpp": "model",
    "torch.hpp": "model",
    "views.hpp": "read",
    "metadata_file.hpp": "read",
    "generated.hpp": "read",
    "records.hpp": "read",
    "verify.hpp": "read",
    "write_file.hpp": "write",
    "diff.hpp": "change",
    "builder.hpp": "write",
    "merge.hpp": "change",
    "edit.hpp": "change",
    "coverage.hpp": "plan",
    "formatters.hpp": "plan",
    "load_plan.hpp": "plan",
    "wanted_list.hpp": "plan",
    "mesh_plan.hpp": "plan",
    "overlap.hpp": "plan",
    "box_ranges.hpp": "plan",
    "pickle_audit.hpp": "pickle",
    "pickle_opcode.hpp": "pickle",
    "pickle_writer.hpp": "pickle",
    "dcp.hpp": "dcp",
    "safetensors.hpp": "safetensors",
    "torch_checkpointing.hpp": "torch_checkpointing",
    "dcp_names.hpp": "dcp",
    "source.hpp": "checkpoint",
    "data.hpp": "data",
    "data_diff.hpp": "data",
    "convert.hpp": "convert",
    "flatpoint.h": "data",
}

FORMAT = "src/base/format."
FORMATTERS = "include/flatpoint/formatters.hpp"
XXH3 = "src/base/xxh3.hpp"
OUTSIDE = ("tools", "bindings", "bench")
GENERATED = "flatpoint/metadata_generated.h"
MAY_SEE_FLATBUFFERS = ("src/format/", "include/flatpoint/generated.hpp")
SOURCE_SUFFIXES = {".h", ".hpp", ".c", ".cc", ".cpp", ".cxx", ".ipp"}
BUILT = {"build", "node_modules", "target"}  # what package managers leave inside bindings/
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def sources(root):
    for folder in ("include", "src", *OUTSIDE):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES and not (folder in OUTSIDE and BUILT & set(path.relative_to(root).parts)):
                yield path


def own_layer(name):
    """The layer of a file, or None for tools, bindings and benchmarks. Raises KeyError where it has none."""
    parts = name.split("/")
    if parts[0] == "include":
        return PUBLIC_HEADERS[name.removeprefix("include/flatpoint/")]
    if parts[0] == "src":
        BELOW[parts[1]]
        return parts[1]
    return None


def target_of(root, path, included, quoted):
    """What an include line means, as a path from the root: ours, FlatBuffers' ("flatbuffers/..."), or None."""
    if included.startswith("flatbuffers/") or included.endswith("_generated.h"):
        return "flatbuffers/" + included
    if included.startswith("fmt/") or included == "xxhash.h":
        return included
    if included.startswith("flatpoint/"):
        return "include/" + included
    if not quoted:
        return None
    beside = (path.parent / included).resolve()
    if beside.is_file() and beside.is_relative_to(root):
        return beside.relative_to(root).as_posix()
    if included.split("/")[0] in BELOW:
        return "src/" + included
    return None


def judge(name, layer, target):
    """Why a file may not include a target; None where it may."""
    if target.startswith("flatbuffers/"):
        return None if name.startswith(MAY_SEE_FLATBUFFERS) else "FlatBuffers is seen by src/format and generated.hpp only"
    if target.startswith("fmt/"):
        return None if name.startswith((FORMAT, FORMATTERS)) else "fmt is seen by base/format.hpp and formatters.hpp only; include those"
    if target == "xxhash.h":
        return None if name == XXH3 or layer is None else "xxHash is seen by base/xxh3.hpp only; include that"
    if target == FORMAT + "hpp" and layer is None:
        return None
    if not target.startswith(("include/", "src/")):
        return None
    try:
        target_layer = own_layer(target)
    except KeyError:
        return "no layer is known for it"
    if layer is None:
        return "only include/ is open to tools, bindings and benchmarks" if target.startswith("src/") else None
    if target_layer != layer and target_layer not in BELOW[layer]:
        return f"{layer} does not lie above {target_layer}"
    if name.startswith("include/") and target.startswith("src/"):
        return "a public header cannot need a private one"
    return None


def check(root):
    """Every violation below `root`, as lines that say where and why."""
    root = pathlib.Path(root).resolve()
    problems = [
        f"include/flatpoint/{header}: listed in PUBLIC_HEADERS, but missing"
        for header in PUBLIC_HEADERS
        if not (root / "include/flatpoint" / header).is_file()
    ]
    for path in sources(root):
        name = path.relative_to(root).as_posix()
        try:
            layer = own_layer(name)
        except KeyError:
            problems.append(f"{name}: no layer is known for it (see BELOW and PUBLIC_HEADERS in tests/layers)")
            continue
        text = path.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            target = target_of(root, path, match[2], match[1] == '"')
            reason = target and judge(name, layer, target)
            if reason:
                line = text.count("\n", 0, match.start(2)) + 1
                problems.append(f'{name}:{line}: includes "{match[2]}": {reason}')
    return problems


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    problems = check(root)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"{sum(1 for _ in sources(root.resolve()))} files keep the layers")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
