class Error(Exception):
    """What every call of this package raises. `code` is the same in every flatpoint reader: "not_found", "io",
    "not_flatpoint", "truncated", "version", "corrupt", "too_large"; of the data "invalid_argument", "not_plain", "holes",
    "changed", "checksum", "outside"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def corrupt(message: str) -> Error:
    return Error("corrupt", message)
