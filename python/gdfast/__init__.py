"""Gradient descent for multilayer perceptrons, as fast as your CPU goes.

``MLPClassifier`` and ``MLPRegressor`` are scikit-learn's, by name, argument and result;
``RNNClassifier`` and ``RNNRegressor`` are their likes for sequences;
``gdfast.kernels`` is the arithmetic beneath them over plain NumPy arrays, ``gdfast.optim`` the optimizer
rules, ``gdfast.schedules`` the learning-rate schedules, and ``gdfast.minimize`` minimizes your own functions.
``gdfast.callbacks`` is what estimators call in the course of a fit; ``LossCurveDisplay`` and
``GradientNormDisplay`` are pictures of it.

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
    from gdfast import callbacks, kernels, optim, schedules
    from gdfast._displays import GradientNormDisplay, LossCurveDisplay
    from gdfast._minimize import minimize
    from gdfast.estimators import MLPClassifier, MLPRegressor, RNNClassifier, RNNRegressor

__all__ = [
    "GradientNormDisplay",
    "LossCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "RNNClassifier",
    "RNNRegressor",
    "__version__",
    "active_isa",
    "callbacks",
    "kernels",
    "minimize",
    "optim",
    "schedules",
]

# What a name is imported from when it is first touched; a module's own name gives the module.
_HOMES = {
    "GradientNormDisplay": "gdfast._displays",
    "LossCurveDisplay": "gdfast._displays",
    "MLPClassifier": "gdfast.estimators",
    "MLPRegressor": "gdfast.estimators",
    "RNNClassifier": "gdfast.estimators",
    "RNNRegressor": "gdfast.estimators",
    "callbacks": "gdfast.callbacks",
    "kernels": "gdfast.kernels",
    "minimize": "gdfast._minimize",
    "optim": "gdfast.optim",
    "schedules": "gdfast.schedules",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gdfast' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if _HOMES[name] == f"gdfast.{name}" else getattr(home, name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
