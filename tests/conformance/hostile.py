"""Broken files, one per way to break a rule, made from the golden case "small": name, code, bytes.

Those that open are compared further: a file says "corrupt" where it is, and reads on elsewhere.
"""

import struct

from surgery import Patient, fields_of

CASES = []


def case(name, code):
    """Registers a function that cuts into a Patient; it may return the bytes of the file instead."""

    def register(cut):
        CASES.append((name, code, cut))
        return cut

    return register


def simple(name, code, cut):
    CASES.append((name, code, cut))


def make(golden):
    """All of them: name, code, bytes."""
    for name, code, cut in CASES:
        patient = Patient(golden)
        made = cut(patient)
        yield name, code, made if isinstance(made, bytes) else patient.finished()


# F1: is it one of ours?
simple("f1_empty", "not_flatpoint", lambda p: b"")
simple("f1_seven_bytes", "not_flatpoint", lambda p: bytes(p.data[:7]))
simple("f1_text", "not_flatpoint", lambda p: b"Checkpoints lie in folders.\n")
simple("f1_identifier", "not_flatpoint", lambda p: p.put("4s", 4, b"FLPX"))

# F2, F3: is it whole?
simple("f2_identifier_alone", "truncated", lambda p: bytes(p.data[:8]))
simple("f2_shorter_than_trailer", "truncated", lambda p: bytes(p.data[:23]))
simple("f2_cut", "truncated", lambda p: p.finished()[:-8])
simple("f2_appended", "truncated", lambda p: p.finished() + b"\n")
simple("f2_magic", "truncated", lambda p: p.finished(magic=b"FLPT.ENd"))
simple("f3_length", "truncated", lambda p: p.finished(length=len(p.data) + 8))
simple("f3_length_beyond_int64", "truncated", lambda p: p.finished(length=2**64 - 8))


@case("f3_no_multiple_of_8", "corrupt")
def f3_no_multiple_of_8(p):
    p.data += bytes(4)


# F7, before everything that another version may have changed
simple("f7_major_2", "version", lambda p: p.put("H", p.field("format_major"), 2))
simple("f7_major_0", "version", lambda p: p.put("H", p.field("format_major"), 0))
simple("f7_no_major", "version", lambda p: p.put("H", p.slot("format_major"), 0))


@case("f7_major_2_before_f5", "version")
def f7_major_2_before_f5(p):
    p.put("H", p.field("format_major"), 2)
    p.resize("entries", 2**32 - 1)


@case("f7_no_fields_at_all", "version")
def f7_no_fields_at_all(p):
    p.put("H", p.vtable(), 4)


# F5: tables and vectors
simple("f5_root_is_itself", "corrupt", lambda p: p.put("I", 0, 0))
simple("f5_root_outside", "corrupt", lambda p: p.put("I", 0, len(p.data)))
simple("f5_root_beyond_2_gib", "corrupt", lambda p: p.put("I", 0, 0xFFFFFFFC))
simple("f5_root_in_trailer", "corrupt", lambda p: p.put("I", 0, len(p.data) + 4))
simple("f5_root_misaligned", "corrupt", lambda p: p.put("I", 0, p.root + 2))
simple("f5_vtable_before_file", "corrupt", lambda p: p.put("i", p.root, 2**31 - 1))
simple("f5_vtable_behind_file", "corrupt", lambda p: p.put("i", p.root, -(2**31)))
simple("f5_vtable_misaligned", "corrupt", lambda p: p.put("i", p.root, p.root - p.vtable() + 1))
simple("f5_vtable_too_long", "corrupt", lambda p: p.put("H", p.vtable(), 0xFFFE))
simple("f5_vtable_odd", "corrupt", lambda p: p.put("H", p.vtable(), p.get("H", p.vtable()) + 1))
simple("f5_major_outside", "corrupt", lambda p: p.put("H", p.slot("format_major"), 0xFFF0))
simple("f5_major_misaligned", "corrupt", lambda p: p.put("H", p.slot("format_major"), p.get("H", p.slot("format_major")) + 1))
simple("f5_rank_outside", "corrupt", lambda p: p.put("H", p.slot("fragment_rank"), 0xFFF0))
simple("f5_flag_outside", "corrupt", lambda p: p.put("H", p.slot("has_planner_data"), 0xFFF1))
simple("f5_field_outside", "corrupt", lambda p: p.put("H", p.slot("sizes"), 0xFFF0))
simple("f5_field_misaligned", "corrupt", lambda p: p.put("H", p.slot("sizes"), p.get("H", p.slot("sizes")) + 2))
simple(
    "f5_source_number_outside",
    "corrupt",
    lambda p: p.put("H", p.vtable(p.target("source")) + 4 + 2 * fields_of("Source").index("digest"), 0xFFF8),
)
for missing in ("entries", "fqns", "fqn_slots"):
    simple(f"f5_no_{missing}", "corrupt", lambda p, name=missing: p.put("H", p.slot(name), 0))
for name in fields_of("Metadata"):
    if name in (
        "format_major",
        "format_minor",
        "fragment_rank",
        "has_storage_data",
        "has_planner_data",
        "checksum_kind",
        "metadata_class",
        "storage_info_class",
    ):
        continue
    simple(f"f5_{name}_outside", "corrupt", lambda p, name=name: p.put("I", p.field(name), len(p.data)))
simple("f5_sizes_is_itself", "corrupt", lambda p: p.put("I", p.field("sizes"), 0))
simple("f5_sizes_misaligned", "corrupt", lambda p: p.put("I", p.field("sizes"), p.get("I", p.field("sizes")) + 2))
simple("f5_entries_too_long", "corrupt", lambda p: p.resize("entries", 2**32 - 1))
simple("f5_sizes_too_long", "corrupt", lambda p: p.resize("sizes", 2**29 + 1))  # 2^32 + 8 bytes
simple("f5_fqns_too_long", "corrupt", lambda p: p.resize("fqns", len(p.data)))
simple("f5_opaque_pickles_too_long", "corrupt", lambda p: p.resize("opaque_pickles", 2**31))
simple("f5_save_id_outside", "corrupt", lambda p: p.put("I", p.table_field("storage_meta", "save_id"), len(p.data)))
simple(
    "f5_modules_too_long",
    "corrupt",
    lambda p: p.put("I", p.table_field("storage_meta", "modules") + p.get("I", p.table_field("storage_meta", "modules")), 2**32 - 1),
)
simple("f5_storage_meta_vtable", "corrupt", lambda p: p.put("i", p.target("storage_meta"), 2**31 - 1))
simple("f5_source_etag_outside", "corrupt", lambda p: p.put("I", p.table_field("source", "etag"), len(p.data)))
simple("f5_source_vtable", "corrupt", lambda p: p.put("i", p.target("source"), -(2**31)))

# F6: columns of 8-byte elements at 4 mod 8
for name in ("sizes", "boxes", "chunk_byte_offsets", "chunk_lengths", "index_hints", "chunk_checksums", "file_lengths", "file_times"):
    simple(f"f6_{name}", "corrupt", lambda p, name=name: p.move(name, 4))
simple("f6_moved_to_its_alignment", "opens", lambda p: p.move("boxes", 0))

# F8: columns beside each other
simple("f8_slots_odd", "corrupt", lambda p: p.resize("fqn_slots", p.count("fqn_slots") - 1))
simple("f8_slots_too_few", "corrupt", lambda p: p.resize("fqn_slots", p.count("fqn_slots") // 2))
simple("f8_slots_none", "corrupt", lambda p: p.resize("fqn_slots", 0))
for name in ("fqn_order", "fqn_paths", "chunk_byte_offsets", "chunk_transforms"):
    simple(f"f8_{name}", "corrupt", lambda p, name=name: p.resize(name, p.count(name) - 1))
for name in ("chunk_data_begins", "chunk_checksums", "file_lengths", "file_times", "file_formats"):
    simple(f"f8_{name}", "corrupt", lambda p, name=name: p.resize(name, p.count(name) - 1))
simple("f8_one_begin", "opens", lambda p: p.resize("chunk_data_begins", 1))
simple("f8_chunk_files", "corrupt", lambda p: p.resize("chunk_files", p.count("chunk_files") - 1))


@case("f8_loose_storage", "corrupt")
def f8_loose_storage(p):
    p.resize("chunk_files", 0)
    p.resize("chunk_byte_offsets", 0)
    p.resize("chunk_transforms", 0)
    p.resize("storage_order", 0)


def grown(p, name, count):
    """A column of that many zeros, of 4 bytes each, in the place of another."""
    at = p.append(struct.pack("<I", count) + bytes(4 * count))
    p.put("I", p.field(name), at - p.field(name))


simple("f8_planner_order", "corrupt", lambda p: grown(p, "planner_order", p.count("entries") + 1))
simple("f8_storage_order", "corrupt", lambda p: grown(p, "storage_order", p.count("chunk_files") + 1))

# E1 to E6: such files open
simple("e1_fqn_outside", "opens", lambda p: p.set_member(b"whole", fqn_begin=p.count("fqns")))
simple("e1_fqn_wraps", "opens", lambda p: p.set_member(b"whole", fqn_begin=2**32 - 2))
simple("e1_fqn_too_long", "opens", lambda p: p.set_member(b"explicit", fqn_length=2**32 - 1))
simple("e1_loose_fqn", "opens", lambda p: p.set("loose_storage", 0, "I", 2**32 - 1))
simple("e2_size_outside", "opens", lambda p: p.set_member(b"whole", size_begin=p.count("sizes")))
simple("e2_size_beyond_int32", "opens", lambda p: p.set_member(b"whole", size_begin=2**32 - 1))
simple("e2_rank_too_high", "opens", lambda p: p.set_member(b"whole", rank=255))
simple("e2_strides_outside", "opens", lambda p: p.set_member(b"other", size_begin=p.count("sizes") - 2))
simple("e2_loose_offset", "opens", lambda p: p.put("I", p.target("loose_storage") + 4 + 8, 2**32 - 1))
simple("e3_whole_of_two", "opens", lambda p: p.set_member(b"explicit", chunk_layout=0))
simple("e3_explicit_outside", "opens", lambda p: p.set_member(b"explicit", box_begin=p.count("boxes") - 1))
simple("e3_explicit_beyond_int32", "opens", lambda p: p.set_member(b"explicit", box_begin=2**32 - 1))
simple("e3_unknown_layout", "opens", lambda p: p.set_member(b"explicit", chunk_layout=4))
simple("e3_grid_outside", "opens", lambda p: p.set_member(b"grid", box_begin=p.count("boxes") - 1))
for name, count in (("none", 0), ("negative", -2), ("too_many", 3), ("huge", 2**63 - 1)):
    simple(f"e3_cells_{name}", "opens", lambda p, count=count: p.set("boxes", p.member(b"grid", "box_begin"), "q", count))
    simple(f"e3_even_cells_{name}", "opens", lambda p, count=count: p.set("boxes", p.member(b"even", "box_begin"), "q", count))


simple("e3_even_step_negative", "opens", lambda p: p.set("boxes", p.member(b"even", "box_begin") + 2, "q", -(2**63)))
simple("e2_even_size_negative", "opens", lambda p: p.set("sizes", p.member(b"even", "size_begin"), "q", -5))


@case("e3_cells_wrap", "opens")
def e3_cells_wrap(p):
    """Two counts whose product leaves 64 bits and comes back as the number of chunks."""
    at = p.member(b"even", "box_begin")
    p.set("boxes", at, "q", 2**62 + 1)
    p.set("boxes", at + 1, "q", 4)


simple("e4_rows_outside", "opens", lambda p: p.set_member(b"whole", chunk_begin=p.count("chunk_files")))
simple("e4_rows_wrap", "opens", lambda p: p.set_member(b"whole", chunk_begin=2**32 - 1))
simple("e4_loose_row", "opens", lambda p: p.set_member(b"whole", chunk_begin=p.count("chunk_files") - 1))
simple("e4_bytes_too_many", "opens", lambda p: p.set_member(b"bytes", chunk_count=2**32 - 1))
simple("e5_order_outside", "opens", lambda p: p.set_member(b"even", order_begin=p.count("chunk_order") - 3))
simple("e5_order_value", "opens", lambda p: p.set("chunk_order", p.member(b"even", "order_begin") + 1, "I", 4))
simple("e5_first_value", "opens", lambda p: p.set("chunk_order", p.member(b"even", "order_begin"), "I", 2**32 - 1))
simple("e6_file_number", "opens", lambda p: p.set("chunk_files", 0, "I", p.count("file_name_ends")))
simple("e6_file_name_outside", "opens", lambda p: p.set("file_name_ends", 1, "I", 2**32 - 1))
simple("e6_file_names_descend", "opens", lambda p: p.set("file_name_ends", 1, "I", 1))
simple("e6_no_offsets", "opens", lambda p: p.put("H", p.slot("chunk_byte_offsets"), 0))
simple("e6_length_outside", "opens", lambda p: p.set_member(b"bytes", length_begin=p.count("chunk_lengths")))
simple("e6_length_beyond_int32", "opens", lambda p: p.set_member(b"grid", length_begin=2**32 - 1, lengths_differ=1))
simple("e6_transform_list", "opens", lambda p: p.set("chunk_transforms", 0, "H", p.count("transform_lists") + 1))
simple("e6_transform_list_too_long", "opens", lambda p: p.put("I", p.target("transform_lists") + 4, 2**32 - 1))
simple("e6_transform_name_outside", "opens", lambda p: p.set("transform_name_ends", 0, "I", 2**32 - 1))
simple(
    "v7_module_outside",
    "opens",
    lambda p: p.put(
        "I", p.table_field("storage_meta", "module_ends") + p.get("I", p.table_field("storage_meta", "module_ends")) + 4, 2**32 - 1
    ),
)


# E7: the first chunk of "grid" has 12 bytes, in a range of 1090 to 1092; "whole" is transformed
def placed(p, **columns):
    """Other values in the row of that chunk."""
    for name, (code, value) in columns.items():
        p.set(name, p.member(b"grid", "chunk_begin"), code, value)


def split(p, value):
    """Where the first chunk ends and the second begins."""
    p.set("boxes", p.member(b"grid", "box_begin") + 2, "q", value)


def file_length(p, value):
    p.set("file_lengths", p.get("I", p.element("chunk_files", p.member(b"grid", "chunk_begin"), "I")), "Q", value)


simple("e7_begin_zero", "opens", lambda p: placed(p, chunk_data_begins=("I", 0)))
simple("e7_begin_unknown", "opens", lambda p: placed(p, chunk_data_begins=("I", 2**32 - 1)))
simple("e7_begin_latest", "opens", lambda p: placed(p, chunk_data_begins=("I", 1078)))
simple("e7_begin_too_late", "opens", lambda p: placed(p, chunk_data_begins=("I", 1081)))
simple("e7_begin_outside", "opens", lambda p: placed(p, chunk_data_begins=("I", 2**32 - 2)))
simple("e7_checksum_unknown", "opens", lambda p: placed(p, chunk_checksums=("Q", 2**64 - 1)))
simple("e7_beyond_64_bits", "opens", lambda p: [placed(p, chunk_byte_offsets=("Q", 2**64 - 100)), file_length(p, 2**64 - 1)])
simple("e7_beyond_file", "opens", lambda p: file_length(p, 1000))
simple("e7_size_negative", "opens", lambda p: split(p, -1))
simple("e7_size_huge", "opens", lambda p: split(p, 2**62))
simple("e7_no_item_size", "opens", lambda p: p.set_member(b"grid", dtype=255))
simple("e7_unknown_dtype", "opens", lambda p: p.set_member(b"grid", dtype=99))
simple("e7_dtype_of_16_bytes", "opens", lambda p: p.set_member(b"grid", dtype=10))
simple("e7_no_file", "opens", lambda p: placed(p, chunk_files=("I", 2**32 - 1)))
simple("e7_bad_file", "opens", lambda p: placed(p, chunk_files=("I", 2**31)))
simple("e7_one_begin_for_transformed", "opens", lambda p: [p.resize("chunk_data_begins", 1), p.set("chunk_data_begins", 0, "I", 0)])
simple("v13_unknown_kind", "opens", lambda p: p.put("B", p.field("checksum_kind"), 9))
simple("v13_unknown_format", "opens", lambda p: p.set("file_formats", 0, "B", 77))

# Look-ups where the hash column lies
simple("v2_slots_full", "opens", lambda p: [p.set("fqn_slots", i, "I", 2**32 - 1) for i in range(p.count("fqn_slots"))])
simple("v2_slots_empty", "opens", lambda p: [p.set("fqn_slots", i, "I", 0) for i in range(p.count("fqn_slots"))])
simple(
    "v2_slots_of_first",
    "opens",
    lambda p: [p.set("fqn_slots", i, "I", p.get("I", p.element("fqn_slots", i, "I")) & ~0x7 | 1) for i in range(p.count("fqn_slots"))],
)

# What a later minor version may write: unknown numbers, another column
simple("minor_version", "opens", lambda p: p.put("H", p.slot("format_minor"), p.append(struct.pack("<H", 7)) - p.root))
simple("unknown_storage_type", "opens", lambda p: p.set_member(b"whole", storage_type=9))
simple("unknown_dtype", "opens", lambda p: p.set_member(b"whole", dtype=200, layout=100, memory_format=99))
simple("unknown_strides", "opens", lambda p: p.set_member(b"whole", strides=9))
simple("unknown_names", "opens", lambda p: p.set_member(b"other", dtype_name=9, layout=255, layout_name=65535, memory_format=255))
simple("flags_of_2", "opens", lambda p: p.set_member(b"even", requires_grad=2, pin_memory=255, reordered=2, lengths_differ=2))


@case("another_column", "opens")
def another_column(p):
    """A vtable with one more field, behind everything else; its value and its vector behind that."""
    old = p.vtable()
    size = p.get("H", old)
    wanted = 4 + 2 * len(fields_of("Metadata"))
    slots = bytes(p.data[old + 4 : old + size]).ljust(wanted - 4, b"\0")
    vtable = p.append(struct.pack("<HH", wanted + 2, p.get("H", old + 2)) + slots + bytes(2))
    p.put("i", p.root, p.root - vtable)
    value = p.append(struct.pack("<II3I", 4, 3, 7, 8, 9))
    p.put("H", vtable + wanted, value - p.root)
