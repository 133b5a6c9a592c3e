"""Warnings with the line of the user's code."""

from __future__ import annotations

import sys
import warnings

_LIBRARIES = ("gdfast", "sklearn")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line of the call stack outside gdfast and scikit-learn.

    The number of frames in between depends on scikit-learn's version and on the solver, so it is counted.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
