from __future__ import annotations

import flatbuffers
import numpy as np

import typing

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class IndexHint(object):
  @classmethod
  def SizeOf(cls) -> int: ...

  def Init(self, buf: bytes, pos: int) -> None: ...
  def Row(self) -> int: ...
  def Known(self) -> bool: ...
  def Index(self) -> int: ...

def CreateIndexHint(builder: flatbuffers.Builder, row: int, known: bool, index: int) -> uoffset: ...

