"""Encoders that turn the columns of a table into inputs of a network.

:class:`RobustClipper` scales numbers and bounds them, :class:`PiecewiseLinearEncoder` splits them into bins,
and :class:`CategoricalEncoder` makes inputs of categories. :class:`TableEncoder` applies all three to the
columns of a frame; it is the front end of :class:`gdfast.TabularClassifier` and
:class:`gdfast.TabularRegressor`. All are transformers of scikit-learn.

Examples
--------
>>> import numpy as np
>>> from gdfast.preprocessing import PiecewiseLinearEncoder
>>> X = np.arange(8.0).reshape(-1, 1)
>>> encoder = PiecewiseLinearEncoder(bins="quantile", n_bins=2).fit(X)
>>> encoder.bin_edges_[0].tolist()
[0.0, 3.5, 7.0]
>>> encoder.transform([[0.0], [1.75], [7.0]]).tolist()
[[-0.5, -0.5], [0.0, -0.5], [0.5, 0.5]]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdfast.preprocessing._categorical import CategoricalEncoder
    from gdfast.preprocessing._piecewise import PiecewiseLinearEncoder
    from gdfast.preprocessing._robust import RobustClipper
    from gdfast.preprocessing._table import TableEncoder

__all__ = ["CategoricalEncoder", "PiecewiseLinearEncoder", "RobustClipper", "TableEncoder"]

# Imported on first access, with scikit-learn: prediction takes from here what needs NumPy only.
_HOMES = {
    "CategoricalEncoder": "_categorical",
    "PiecewiseLinearEncoder": "_piecewise",
    "RobustClipper": "_robust",
    "TableEncoder": "_table",
}


if not TYPE_CHECKING:  # for which a name that does not exist would exist, with any type

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # later accesses do not call __getattr__
        return value


def __dir__() -> list[str]:
    return list(__all__)
