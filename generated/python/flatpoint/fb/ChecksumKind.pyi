from __future__ import annotations

import flatbuffers
import numpy as np

import typing
from typing import cast

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class ChecksumKind(object):
  Absent = cast(int, ...)
  Xxh3 = cast(int, ...)
  Crc32 = cast(int, ...)

