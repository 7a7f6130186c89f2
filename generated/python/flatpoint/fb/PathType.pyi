from __future__ import annotations

import flatbuffers
import numpy as np

import typing
from typing import cast

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class PathType(object):
  Absent = cast(int, ...)
  Str = cast(int, ...)
  PosixPath = cast(int, ...)
  WindowsPath = cast(int, ...)
  PurePosixPath = cast(int, ...)
  PureWindowsPath = cast(int, ...)

