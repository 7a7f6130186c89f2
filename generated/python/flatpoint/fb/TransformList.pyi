from __future__ import annotations

import flatbuffers
import numpy as np

import typing
from flatpoint.fb.SequenceType import SequenceType

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class TransformList(object):
  @classmethod
  def SizeOf(cls) -> int: ...

  def Init(self, buf: bytes, pos: int) -> None: ...
  def TextEnd(self) -> int: ...
  def Type(self) -> typing.Literal[SequenceType.List, SequenceType.Tuple]: ...

def CreateTransformList(builder: flatbuffers.Builder, textEnd: int, type: typing.Literal[SequenceType.List, SequenceType.Tuple]) -> uoffset: ...

