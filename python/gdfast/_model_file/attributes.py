"""The fitted attributes of each class: what is stored of them, and the checks of what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdfast._model_file.tree import Stored
from gdfast.training.weights import EMBEDDINGS, NORMS


def same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Attribute:
    """A fitted attribute.

    Attributes
    ----------
    what : str
        What it is, as an error says.
    holds : callable
        Whether a stored value is one.
    store, build : callable
        From the attribute to what is stored, and back.
    predicts : bool
        Whether predictions need it.
    """

    what: str
    holds: Callable[[Any], bool]
    store: Callable[[Any], Any] = same
    build: Callable[[Any], Any] = same
    predicts: bool = False


# What values are.


def is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    return is_whole(value) and 0 <= value < 2**63


def is_number(value: Any) -> bool:
    return is_whole(value) or isinstance(value, float | np.floating)


def is_number_or_none(value: Any) -> bool:
    return value is None or is_number(value)


def is_positive(value: Any) -> bool:
    return is_number(value) and 0 < value < np.inf


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def is_list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(holds, value))


def is_dict_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A dict with keys that are strings."""
    return lambda value: isinstance(value, dict) and all(is_text(k) and holds(v) for k, v in value.items())


is_numbers = is_list_of(is_number)


def is_numbers_or_none(value: Any) -> bool:
    return value is None or is_numbers(value)


def is_floats(value: Any) -> bool:
    """An array of real numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu"


def is_finite(value: Any) -> bool:
    return is_floats(value) and bool(np.isfinite(value).all())


def is_array(dtypes: str, n_dimensions: int | None = 1) -> Callable[[Any], bool]:
    """An array of dtypes with these kinds."""
    return lambda value: (
        isinstance(value, np.ndarray) and value.dtype.kind in dtypes and n_dimensions in (None, value.ndim)
    )


def is_strings(value: Any) -> bool:
    """An array of objects that are strings, of one dimension."""
    return is_array("O")(value) and all(map(is_text, value))


def is_stored(*names: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Stored) and value.name in names


def has(fields: Mapping[str, Callable[[Any], bool]]) -> Callable[[Any], bool]:
    """A dict with these keys."""
    return lambda value: (
        isinstance(value, dict)
        and set(value) == set(fields)
        and all(holds(value[name]) for name, holds in fields.items())
    )


# Attributes that are objects.


def _store_binarizer(binarizer: Any) -> Any:
    return {
        "y_type": binarizer.y_type_,
        "classes": binarizer.classes_,
        "sparse": bool(binarizer.sparse_input_),
    }


def _build_binarizer(stored: Any) -> Any:
    from sklearn.preprocessing import LabelBinarizer

    binarizer = LabelBinarizer()
    binarizer.y_type_, binarizer.classes_ = stored["y_type"], stored["classes"]
    binarizer.sparse_input_ = stored["sparse"]
    return binarizer


def _store_target(target: Any) -> Any:
    return dict(vars(target))


def _build_target(stored: Any) -> Any:
    from gdfast.prediction.ensemble import TargetScale

    return TargetScale(**stored)


def _store_encoding(encoding: Any) -> Any:
    return [dict(vars(column)) for column in encoding.columns]


def _build_encoding(stored: Any) -> Any:
    from gdfast.training.encoding import CategoryColumn, Encoding, NumberColumn

    return Encoding([(NumberColumn if "edges" in column else CategoryColumn)(**column) for column in stored])


def _store_categories(columns: Any) -> Any:
    return [column.__getstate__() for column in columns]


def _build_categories(stored: Any) -> Any:
    from gdfast.preprocessing._categories import Categories

    return [Categories(**column) for column in stored]


_SCALER = ("scale_", "max_abs_", "n_samples_seen_", "n_features_in_")


def _store_encoder(encoder: Any) -> Any:
    """The attributes of scikit-learn's scaler of sparse columns; a table's encoder as it is."""
    if hasattr(encoder, "max_abs_"):
        return {name: getattr(encoder, name) for name in _SCALER}
    return encoder


def _build_encoder(stored: Any) -> Any:
    if not isinstance(stored, dict):
        return stored
    from sklearn.preprocessing import MaxAbsScaler

    scaler = MaxAbsScaler()
    vars(scaler).update(stored)
    return scaler


_is_edges = is_array("f")
_is_column = has({"edges": _is_edges, "clipped": is_flag, "flagged": is_flag})
_is_categories = has({"n_categories": is_count, "binary": is_flag, "embedding": is_count})
_is_scaler = has(
    {
        "scale_": is_array("f"),
        "max_abs_": is_array("f"),
        "n_samples_seen_": is_count,
        "n_features_in_": is_count,
    }
)
_is_target = has(
    dict.fromkeys(("center", "scale", "least", "most"), lambda value: is_number(value) or is_floats(value))
)
_is_set_of_categories = has({"values": is_array("O"), "numbers": is_array("i"), "has_rare": is_flag})
Y_TYPES = ("binary", "multiclass", "multilabel-indicator")


def _is_encoding(value: Any) -> bool:
    return is_list_of(lambda column: _is_column(column) or _is_categories(column))(value) and len(value) > 0


def _is_binarizer(value: Any) -> bool:
    holds = has({"y_type": is_text, "classes": is_array("biufUO"), "sparse": is_flag})(value)
    return holds and value["y_type"] in Y_TYPES and len(value["classes"]) > 0


# The attributes by class.

_WEIGHTS = Attribute("a list of arrays of finite numbers", is_list_of(is_finite), list, predicts=True)
_COUNT = Attribute("an integer of at least 0", is_count)
_NUMBER = Attribute("a number", is_number)
_FINITE = Attribute("a number of at least 0", lambda value: is_number(value) and 0 <= value < np.inf)
_POSITIVE = Attribute("a positive number", is_positive)
_NUMBER_OR_NONE = Attribute("a number or None", is_number_or_none)
_NUMBERS = Attribute("a list of numbers", is_numbers)
_NUMBERS_OR_NONE = Attribute("a list of numbers or None", is_numbers_or_none)
_FLOATS = Attribute("an array of numbers", is_floats)
_FEATURES = {
    "n_features_in_": Attribute("an integer of at least 0", is_count, predicts=True),
    "feature_names_in_": Attribute("an array of strings", is_strings, predicts=True),
}
_CLASSES = {
    "classes_": Attribute("an array of classes", is_array("biufUO"), predicts=True),
    "_label_binarizer": Attribute(
        "the kind of the classes", _is_binarizer, _store_binarizer, _build_binarizer, predicts=True
    ),
}
_NETWORK = {
    **dict.fromkeys(("coefs_", "intercepts_", *NORMS, EMBEDDINGS), _WEIGHTS),
    **_FEATURES,
    "n_outputs_": Attribute("an integer of at least 0", is_count, predicts=True),
    "out_activation_": Attribute("a string", is_text, predicts=True),
    **dict.fromkeys(("n_layers_", "n_iter_", "t_", "_no_improvement_count"), _COUNT),
    "loss_": _NUMBER,
    **dict.fromkeys(("alpha_", "n_effective_parameters_"), _FINITE),
    "beta_": _POSITIVE,
    "best_loss_": _NUMBER_OR_NONE,
    "best_validation_score_": _NUMBER_OR_NONE,
    **dict.fromkeys(("loss_curve_", "learning_rate_curve_", "validation_loss_curve_"), _NUMBERS),
    "validation_scores_": _NUMBERS_OR_NONE,
    "learning_rate_range_": Attribute(
        "a dict of rates, losses and the rate found",
        has({"rates": is_numbers, "losses": is_numbers, "found": is_number}),
    ),
    "gradient_records_": Attribute(
        "a dict of lists of lists of numbers", is_dict_of(is_list_of(is_list_of(is_number)))
    ),
}
_RECURRENT = {
    "state_": Attribute(
        "a list of arrays or None", lambda value: value is None or is_list_of(is_floats)(value)
    )
}
_TABULAR = {
    **_FEATURES,
    "encoder_": Attribute(
        "an encoder of tables",
        lambda value: is_stored("gdfast.preprocessing.TableEncoder")(value) or _is_scaler(value),
        _store_encoder,
        _build_encoder,
        predicts=True,
    ),
    "n_outputs_": Attribute("an integer of at least 0", is_count, predicts=True),
    "n_iter_": Attribute("an array of integers", is_array("iu")),
    "validation_scores_": _FLOATS,
    "oof_prediction_": _FLOATS,
    "history_": Attribute("a list of dicts of lists of numbers", is_list_of(is_dict_of(is_numbers))),
}


def _members(name: str) -> dict[str, Attribute]:
    holds = is_list_of(is_stored(name))
    what = f"a list of {name.rpartition('.')[2]}s"
    return {"members_": Attribute(what, lambda value: holds(value) and len(value) > 0, predicts=True)}


def _store_requests(requests: Any) -> Any:
    """Which metadata of scikit-learn's routing each method asks for."""
    of_methods = {
        method: getattr(of_method, "requests", None) for method, of_method in vars(requests).items()
    }
    return {method: dict(found) for method, found in of_methods.items() if found}


_REQUESTS = {
    "_metadata_request": Attribute(
        "a dict of requests for metadata",
        is_dict_of(is_dict_of(lambda value: value is None or isinstance(value, bool | str))),
        _store_requests,
    )
}
_OUTPUT_CONFIG = {
    "_sklearn_output_config": Attribute(
        "a dict of strings", is_dict_of(lambda value: value in (None, "default", "pandas", "polars"))
    )
}

_FITTED: dict[str, dict[str, Attribute]] = {
    "gdfast.MLPClassifier": {**_NETWORK, **_CLASSES},
    "gdfast.MLPRegressor": _NETWORK,
    "gdfast.RNNClassifier": {**_NETWORK, **_CLASSES, **_RECURRENT},
    "gdfast.RNNRegressor": {**_NETWORK, **_RECURRENT},
    "gdfast.TabularClassifier": {
        **_TABULAR,
        **_CLASSES,
        **_members("gdfast.MLPClassifier"),
        "temperature_": Attribute("a positive number", is_positive, predicts=True),
    },
    "gdfast.TabularRegressor": {
        **_TABULAR,
        **_members("gdfast.MLPRegressor"),
        "_target": Attribute("the target's scale", _is_target, _store_target, _build_target, predicts=True),
    },
    "gdfast.preprocessing.RobustClipper": {
        **_FEATURES,
        **_OUTPUT_CONFIG,
        "center_": Attribute("an array of numbers", is_array("f"), predicts=True),
        "scale_": Attribute("an array of numbers", is_array("f"), predicts=True),
    },
    "gdfast.preprocessing.PiecewiseLinearEncoder": {
        **_FEATURES,
        **_OUTPUT_CONFIG,
        "bin_edges_": Attribute("a list of arrays of numbers", is_list_of(_is_edges), predicts=True),
    },
    "gdfast.preprocessing.CategoricalEncoder": {
        **_FEATURES,
        **_OUTPUT_CONFIG,
        "_columns": Attribute(
            "a list of categories",
            is_list_of(_is_set_of_categories),
            _store_categories,
            _build_categories,
            predicts=True,
        ),
    },
    "gdfast.preprocessing.TableEncoder": {
        **_FEATURES,
        **_OUTPUT_CONFIG,
        "encoding_": Attribute(
            "a list of encoded columns", _is_encoding, _store_encoding, _build_encoding, predicts=True
        ),
        "categorical_features_": Attribute("an array of booleans", is_array("b"), predicts=True),
        "date_features_": Attribute("a list of strings", is_list_of(is_text)),
        "_centers": Attribute("an array of numbers", is_array("f"), predicts=True),
        "_scales": Attribute("an array of numbers", is_array("f"), predicts=True),
        "_categories": Attribute(
            "an encoder of categories", is_stored("gdfast.preprocessing.CategoricalEncoder"), predicts=True
        ),
    },
}


ATTRIBUTES = {name: {**known, **_REQUESTS} for name, known in _FITTED.items()}


def check(stored: Stored) -> None:
    """ValueError that names an attribute if it is none of this class, or not what it should be."""
    known = ATTRIBUTES[stored.name]
    attributes = stored.parts["attributes"]
    for name, value in attributes.items():
        if name not in known:
            raise ValueError(f"{stored.name} has no attribute {name!r}.")
        if not known[name].holds(value):
            raise ValueError(f"{name} of {stored.name} must be {known[name].what}.")
