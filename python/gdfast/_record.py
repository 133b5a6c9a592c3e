"""Base class of objects with ``get_params``, for scikit-learn's ``clone``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar


class Record:
    _names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        if "__init__" in cls.__dict__:
            code = cls.__init__.__code__
            cls._names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor by name.

        Parameters
        ----------
        deep : bool, default=True
            Ignored; for compatibility with scikit-learn.
        """
        return {name: getattr(self, name) for name in self._names}

    def _check_has(self, names: Iterable[str]) -> None:
        """ValueError if a name is not an argument of the constructor."""
        for name in names:
            if name not in self._names:
                known = ", ".join(self._names) or "none"
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {known}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"
