"""Dask, which is optional."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def needs_dask(module: str = "dask") -> Any:
    """A module of Dask; ImportError that says how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"gdfast.dask needs {module}. Install it by `pip install gdfast[dask]`.") from error


def is_array(X: Any) -> bool:
    """Whether X is an array of Dask. One exists only if Dask has been imported."""
    array = sys.modules.get("dask.array")
    return array is not None and isinstance(X, array.Array)


def is_frame(X: Any) -> bool:
    """Whether X is a frame or a series of Dask."""
    frame = sys.modules.get("dask.dataframe")
    return frame is not None and isinstance(X, frame.DataFrame | frame.Series)


def is_collection(X: Any) -> bool:
    return is_array(X) or is_frame(X)
