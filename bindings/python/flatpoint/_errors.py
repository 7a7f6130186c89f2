"""Errors of the C++ library as exceptions."""

import enum


class ErrorCode(enum.IntEnum):
    """What kind of thing went wrong: include/flatpoint/error.hpp. Values are stable."""

    NOT_FOUND = 1
    IO = 2
    NOT_FLATPOINT = 3
    TRUNCATED = 4
    VERSION = 5
    CORRUPT = 6
    TOO_LARGE = 7
    INVALID_ARGUMENT = 8
    CONFLICT = 9
    NOT_PICKLE = 10
    BAD_PICKLE = 11
    AMBIGUOUS = 12
    OPAQUE_RECORDS = 13
    STALE = 14
    # Of data files.
    NOT_PLAIN = 32
    BAD_ITEM = 33
    DTYPE_MISMATCH = 34
    SIZE_MISMATCH = 35
    CHANGED = 36
    HOLES = 37
    CHECKSUM = 38
    UNKNOWN_TRANSFORM = 39
    OUTSIDE = 40


class Error(Exception):
    """A call of the library failed. `code` is for programs, `str()` for people."""

    code: ErrorCode

    def __init__(self, code: ErrorCode, message: str):
        super().__init__(message)
        self.code = code

    def __reduce__(self):
        return type(self), (self.code, str(self))


class NotFoundError(Error, FileNotFoundError):
    """ErrorCode.NOT_FOUND, which a handler of FileNotFoundError catches too."""


class IoError(Error, OSError):
    """ErrorCode.IO, which a handler of OSError catches too."""


class ExistsError(Error, FileExistsError):
    """ErrorCode.CONFLICT for a file that is there and not to be replaced, which a handler of FileExistsError catches too."""


class DtypeError(Error, TypeError):
    """A dtype that NumPy or PyTorch lacks as it is installed."""


_types = {ErrorCode.NOT_FOUND: NotFoundError, ErrorCode.IO: IoError}


def make_error(code: int, message: str, exists: bool = False) -> Error:
    code = ErrorCode(code)
    return (ExistsError if exists else _types.get(code, Error))(code, message)
