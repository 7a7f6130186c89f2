from __future__ import annotations

import flatbuffers
import numpy as np

import typing
from typing import cast

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class ScalarType(object):
  Uint8 = cast(int, ...)
  Int8 = cast(int, ...)
  Int16 = cast(int, ...)
  Int32 = cast(int, ...)
  Int64 = cast(int, ...)
  Float16 = cast(int, ...)
  Float32 = cast(int, ...)
  Float64 = cast(int, ...)
  Complex32 = cast(int, ...)
  Complex64 = cast(int, ...)
  Complex128 = cast(int, ...)
  Bool = cast(int, ...)
  Qint8 = cast(int, ...)
  Quint8 = cast(int, ...)
  Qint32 = cast(int, ...)
  Bfloat16 = cast(int, ...)
  Quint4x2 = cast(int, ...)
  Quint2x4 = cast(int, ...)
  Bits1x8 = cast(int, ...)
  Bits2x4 = cast(int, ...)
  Bits4x2 = cast(int, ...)
  Bits8 = cast(int, ...)
  Bits16 = cast(int, ...)
  Float8_e5m2 = cast(int, ...)
  Float8_e4m3fn = cast(int, ...)
  Float8_e5m2fnuz = cast(int, ...)
  Float8_e4m3fnuz = cast(int, ...)
  Uint16 = cast(int, ...)
  Uint32 = cast(int, ...)
  Uint64 = cast(int, ...)
  Uint1 = cast(int, ...)
  Uint2 = cast(int, ...)
  Uint3 = cast(int, ...)
  Uint4 = cast(int, ...)
  Uint5 = cast(int, ...)
  Uint6 = cast(int, ...)
  Uint7 = cast(int, ...)
  Int1 = cast(int, ...)
  Int2 = cast(int, ...)
  Int3 = cast(int, ...)
  Int4 = cast(int, ...)
  Int5 = cast(int, ...)
  Int6 = cast(int, ...)
  Int7 = cast(int, ...)
  Float8_e8m0fnu = cast(int, ...)
  Float4_e2m1fn_x2 = cast(int, ...)
  Bcomplex32 = cast(int, ...)
  Other = cast(int, ...)

