"""Gradient descent for multilayer perceptrons, as fast as your CPU goes.

``MLPClassifier`` and ``MLPRegressor`` are scikit-learn's, by name, argument and result;
``RNNClassifier`` and ``RNNRegressor`` are their likes for sequences;
``gdfast.kernels`` is the arithmetic beneath them over plain NumPy arrays.

Importing gdfast loads NumPy and the compiled core and nothing else: scikit-learn comes in with the first
estimator that is touched.

Examples
--------
>>> from sklearn.datasets import load_iris
>>> from gdfast import MLPClassifier
>>> X, y = load_iris(return_X_y=True)
>>> MLPClassifier(max_iter=500, random_state=0).fit(X, y).score(X, y)
0.98
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gdfast._core import __version__, active_isa

if TYPE_CHECKING:
    from gdfast import kernels
    from gdfast.estimators import MLPClassifier, MLPRegressor, RNNClassifier, RNNRegressor

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "RNNClassifier",
    "RNNRegressor",
    "__version__",
    "active_isa",
    "kernels",
]

_ESTIMATORS = ("MLPClassifier", "MLPRegressor", "RNNClassifier", "RNNRegressor")


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        value = getattr(import_module("gdfast.estimators"), name)
    elif name == "kernels":
        value = import_module("gdfast.kernels")
    else:
        raise AttributeError(f"module 'gdfast' has no attribute {name!r}")
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
