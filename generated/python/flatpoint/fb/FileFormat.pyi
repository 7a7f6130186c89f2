from __future__ import annotations

import flatbuffers
import numpy as np

import typing
from typing import cast

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class FileFormat(object):
  Unknown = cast(int, ...)
  TorchSave = cast(int, ...)
  Safetensors = cast(int, ...)
  Archive = cast(int, ...)
  Mixed = cast(int, ...)

