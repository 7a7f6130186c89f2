from __future__ import annotations

import flatbuffers
import numpy as np

import typing
from typing import cast

uoffset: typing.TypeAlias = flatbuffers.number_types.UOffsetTFlags.py_type

class Layout(object):
  Strided = cast(int, ...)
  Sparse_coo = cast(int, ...)
  Sparse_csr = cast(int, ...)
  Sparse_csc = cast(int, ...)
  Sparse_bsr = cast(int, ...)
  Sparse_bsc = cast(int, ...)
  Mkldnn = cast(int, ...)
  Jagged = cast(int, ...)
  Other = cast(int, ...)

