"""Fast gradient descent for multilayer perceptrons and recurrent networks on the CPU.

``MLPClassifier`` and ``MLPRegressor`` have the names, arguments and results of scikit-learn's estimators;
``RNNClassifier`` and ``RNNRegressor`` are recurrent networks for sequences; ``TabularClassifier`` and
``TabularRegressor`` take a table as it is. ``gdfast.kernels`` has the forward pass, loss and gradient as
functions on NumPy arrays, ``gdfast.optim`` the optimizers, ``gdfast.schedules`` the learning-rate schedules;
``gdfast.minimize`` minimizes any function; ``gdfast.fit_many`` fits several estimators side by side.
``gdfast.callbacks`` has callbacks for the estimators; ``LossCurveDisplay``, ``TrainingTimeDisplay``,
``GradientNormDisplay``, ``LearningRateRangeDisplay`` and ``WeightsDisplay`` plot a fit. ``gdfast.inspect``
has the curvature of the loss at a fitted estimator's weights, ``CurvatureDisplay`` plots it. ``gdfast.load``
reads the files of the estimators' ``save``; ``gdfast.data`` has streams of data that do not fit in memory.
``gdfast.export`` makes models of ONNX, C, PyTorch and scikit-learn of fitted estimators, and takes the last
two back. ``gdfast.dask`` trains on arrays and frames of Dask, ``gdfast.distributed`` one model on many
machines. ``gdfast.get_include`` and ``gdfast.function_address`` are for compiled code.

Importing gdfast loads NumPy and the compiled core only; scikit-learn is imported when an estimator is first
accessed.

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
    from gdfast import (
        callbacks,
        dask,
        data,
        distributed,
        export,
        inspect,
        kernels,
        optim,
        preprocessing,
        schedules,
    )
    from gdfast._compiled import function_address, get_include
    from gdfast._displays import (
        CurvatureDisplay,
        GradientNormDisplay,
        LearningRateRangeDisplay,
        LossCurveDisplay,
        TrainingTimeDisplay,
        WeightsDisplay,
    )
    from gdfast._fit_many import fit_many
    from gdfast._minimize import minimize
    from gdfast._model_file.errors import ModelFormatError
    from gdfast._model_file.models import InconsistentVersionWarning, load
    from gdfast.estimators import (
        MLPClassifier,
        MLPRegressor,
        PoorFitWarning,
        RNNClassifier,
        RNNRegressor,
        TabularClassifier,
        TabularRegressor,
    )

__all__ = [
    "CurvatureDisplay",
    "GradientNormDisplay",
    "InconsistentVersionWarning",
    "LearningRateRangeDisplay",
    "LossCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "ModelFormatError",
    "PoorFitWarning",
    "RNNClassifier",
    "RNNRegressor",
    "TabularClassifier",
    "TabularRegressor",
    "TrainingTimeDisplay",
    "WeightsDisplay",
    "__version__",
    "active_isa",
    "callbacks",
    "dask",
    "data",
    "distributed",
    "export",
    "fit_many",
    "function_address",
    "get_include",
    "inspect",
    "kernels",
    "load",
    "minimize",
    "optim",
    "preprocessing",
    "schedules",
]

# The module of each name, imported on first access; a module's own name gives the module.
_HOMES = {
    "CurvatureDisplay": "gdfast._displays",
    "GradientNormDisplay": "gdfast._displays",
    "InconsistentVersionWarning": "gdfast._model_file.models",
    "LearningRateRangeDisplay": "gdfast._displays",
    "LossCurveDisplay": "gdfast._displays",
    "MLPClassifier": "gdfast.estimators",
    "MLPRegressor": "gdfast.estimators",
    "ModelFormatError": "gdfast._model_file.errors",
    "PoorFitWarning": "gdfast.estimators",
    "RNNClassifier": "gdfast.estimators",
    "RNNRegressor": "gdfast.estimators",
    "TabularClassifier": "gdfast.estimators",
    "TabularRegressor": "gdfast.estimators",
    "TrainingTimeDisplay": "gdfast._displays",
    "WeightsDisplay": "gdfast._displays",
    "callbacks": "gdfast.callbacks",
    "dask": "gdfast.dask",
    "data": "gdfast.data",
    "distributed": "gdfast.distributed",
    "export": "gdfast.export",
    "fit_many": "gdfast._fit_many",
    "function_address": "gdfast._compiled",
    "get_include": "gdfast._compiled",
    "inspect": "gdfast.inspect",
    "kernels": "gdfast.kernels",
    "load": "gdfast._model_file.models",
    "minimize": "gdfast._minimize",
    "optim": "gdfast.optim",
    "preprocessing": "gdfast.preprocessing",
    "schedules": "gdfast.schedules",
}


if not TYPE_CHECKING:  # for which a name that does not exist would exist, with any type

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'gdfast' has no attribute {name!r}")
        home = import_module(_HOMES[name])
        value = home if _HOMES[name] == f"gdfast.{name}" else getattr(home, name)
        globals()[name] = value  # later accesses do not call __getattr__
        return value


def __dir__() -> list[str]:
    return list(__all__)
