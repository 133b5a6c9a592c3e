"""What the exporters read of an estimator: its predictor, whose values have been checked."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from gdfast._model_file import attributes, objects
from gdfast._model_file.attributes import ATTRIBUTES
from gdfast._model_file.predictors import ARGUMENTS, predictor_of
from gdfast.prediction.predictors import Predictor

# A subclass that has its own of these predicts something else.
_PREDICTS = ("predict", "predict_proba", "_outputs", "_predictions", "_probabilities", "_prediction_of")


def read(est: Any) -> Predictor:
    """The predictor of a fitted estimator.

    TypeError if it is no estimator of gdfast, NotFittedError if it is not fitted, ValueError if its
    attributes do not fit each other.
    """
    if isinstance(est, Predictor):
        return est
    name = _name_of(est)
    if not any(known.predicts and key in vars(est) for key, known in ATTRIBUTES[name].items()):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"This {type(est).__name__} instance is not fitted yet. Call 'fit' before.")
    needed = {*ARGUMENTS, *(key for key, known in ATTRIBUTES[name].items() if known.predicts)}
    leave_out = ({*est.get_params(deep=False), *vars(est)} - needed) | {objects.TRAINING}
    stored = objects.store_estimator(name, est, leave_out)
    attributes.check(stored)
    for member in stored.parts["attributes"].get("members_", ()):
        attributes.check(member)
    predictor = predictor_of(stored)
    assert predictor is not None
    return predictor


def kind_of(predictor: Predictor) -> str:
    """The estimator's name."""
    return predictor._features.kind


def check_no_embeddings(predictor: Any) -> None:
    """ValueError if inputs come from a table's columns that are embedded."""
    if predictor._weights.embeddings:
        raise ValueError(
            f"est is a {kind_of(predictor)} that was fitted to rows of a TableEncoder with embedded columns, "
            "and has no inputs of its own for them. Export a TabularClassifier or TabularRegressor, whose "
            "encoder is a part of it, or encode X with TableEncoder(embed_from=None)."
        )


def _name_of(est: Any) -> str:
    """The name in model files of the class of an estimator, or of the class that it derives from."""
    estimators = {name for name in ATTRIBUTES if not name.startswith("gdfast.preprocessing.")}
    for base in type(est).__mro__:
        name = f"gdfast.{base.__name__}"
        if base.__module__.startswith("gdfast.") and name in estimators:
            changed = [m for m in _PREDICTS if getattr(type(est), m, None) is not getattr(base, m, None)]
            if changed:
                raise TypeError(
                    f"{type(est).__name__} has its own {changed[0]}, which cannot be exported. Give an "
                    f"object of {name}."
                )
            return name
    raise TypeError(
        f"est must be a fitted estimator of gdfast, or the predictor of one, got {type(est).__name__}."
    )


def needs(module: str, function: str, how: str) -> Any:
    """An optional module; ImportError that says how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{function} needs {module}: {how}.") from error
