from __future__ import annotations

import flatbuffers
import numpy as np

import typing
from typing import cast

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class OpaqueKind(object):
  Attribute = cast(int, ...)
  StateDictItem = cast(int, ...)
  StateDictValue = cast(int, ...)
  PlannerData = cast(int, ...)
  PlannerItem = cast(int, ...)
  StorageData = cast(int, ...)
  StorageItem = cast(int, ...)
  StorageMeta = cast(int, ...)
  Version = cast(int, ...)

