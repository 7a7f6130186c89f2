"""What is asked of an entry that only its pickle describes."""

from __future__ import annotations

from ._errors import Error, ErrorCode


class OpaqueEntryError(Error, AttributeError):
    """An entry's metadata is of a class that is not DCP's, so that it has no chunks to load."""


def refusing(name: str) -> property:
    """An attribute of tensors that an Opaque lacks, with an error that names the entry: planners ask for it unseen."""

    def refuse(self):
        message = (
            f"FQN {self.fqn!r}: its metadata is of a class that is not DCP's and is kept as an opaque pickle: it has no {name}, "
            "and cannot be loaded"
        )
        raise OpaqueEntryError(ErrorCode.OPAQUE_RECORDS, message)

    return property(refuse)
