"""Training data that are read while training goes on, for tables that do not fit in memory."""

from gdfast.data._stream import Stream

__all__ = ["Stream"]


def __dir__() -> list[str]:
    return list(__all__)
