"""torch's names for the numbers of the schema, whose own names are torch's but for capitals."""

from __future__ import annotations

import codecs

from flatpoint.fb.Layout import Layout
from flatpoint.fb.ScalarType import ScalarType

from ._columns import TextColumn

OTHER = 255  # the number that says: the name lies in type_names


def _keep_surrogates(error: UnicodeError) -> tuple[str, int]:
    """Python's lone surrogates stay; any other byte that is no UTF-8 becomes U+FFFD by itself."""
    assert isinstance(error, UnicodeDecodeError)
    try:
        return error.object[error.start : error.start + 3].decode("utf-8", "surrogatepass"), error.start + 3
    except UnicodeDecodeError:
        return "\ufffd", error.start + 1


codecs.register_error("flatpoint_pure", _keep_surrogates)


def as_text(data: bytes) -> str:
    return data.decode("utf-8", "flatpoint_pure")


def _lowered(enum: type) -> dict[int, str]:
    return {number: name.lower() for name, number in vars(enum).items() if not name.startswith("_") and number != OTHER}


DTYPES = _lowered(ScalarType)
LAYOUTS = {**_lowered(Layout), Layout.Mkldnn: "_mkldnn"}
# Bytes of an element, by number; the seven unsigned and the seven signed types below a byte take one.
ITEM_SIZES = (1, 1, 2, 4, 8, 2, 4, 8, 4, 8, 16, 1, 1, 1, 4, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 4, 8, *(1,) * 14, 1, 1, 4)
FILE_FORMATS = {0: "unknown", 1: "torch_save", 2: "safetensors", 3: "archive", 4: "mixed"}
CHECKSUM_KINDS = {1: "xxh3", 2: "crc32"}
MEMORY_FORMATS = {0: "contiguous_format", 1: "channels_last", 2: "preserve_format"}


def item_size(number: int) -> int:
    """0 for a dtype without one: a named one, and one that this version does not know."""
    return ITEM_SIZES[number] if number < len(ITEM_SIZES) else 0


def known_name(known: dict[int, str], number: int) -> str:
    return known.get(number, f"unknown:{number}")


def type_name(known: dict[int, str], number: int, names: TextColumn, name: int) -> str:
    """A known name, for Other the one in type_names, or "unknown:N"."""
    text = names.text(name) if number == OTHER else None
    return as_text(text) if text else known_name(known, number)
