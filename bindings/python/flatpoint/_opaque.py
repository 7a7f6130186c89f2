"""What is asked of an entry that only its pickle describes."""

from __future__ import annotations

from ._errors import Error, ErrorCode


class OpaqueEntryError(Error, AttributeError):
    """An entry's metadata is of a class that is not DCP's, so that it has no chunks to load."""


def _error(fqn: str, why: str) -> OpaqueEntryError:
    message = f"FQN {fqn!r}: its metadata is of a class that is not DCP's and is kept as an opaque pickle: {why}"
    return OpaqueEntryError(ErrorCode.OPAQUE_RECORDS, message)


def refusing(name: str) -> property:
    """An attribute of tensors that an Opaque lacks, with an error that names the entry: planners ask for it unseen."""

    def refuse(self):
        raise _error(self.fqn, f"it has no {name}, and cannot be loaded")

    return property(refuse)


def refuse_pickling(self, protocol):
    """In place of __reduce_ex__: whoever loads such a pickle would run what the checkpoint says."""
    raise _error(self.fqn, "it is not pickled, as loading it would run what the checkpoint says; take its bytes from `.pickle`")


def itself(self, memo=None):
    """In place of __copy__ and __deepcopy__: it never changes."""
    return self
