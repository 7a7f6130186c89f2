from __future__ import annotations

import flatbuffers
import numpy as np

import typing

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class PathElement(object):
  @classmethod
  def SizeOf(cls) -> int: ...

  def Init(self, buf: bytes, pos: int) -> None: ...
  def Components(self) -> int: ...
  def IsIndex(self) -> bool: ...

def CreatePathElement(builder: flatbuffers.Builder, components: int, isIndex: bool) -> uoffset: ...

