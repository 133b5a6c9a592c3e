"""The names and the number of an encoder's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.utils.validation import _check_feature_names

from gdfast.preprocessing._columns import Column


def check_columns(est: Any, X: Any, columns: Sequence[Column], *, reset: bool) -> None:
    """Set or check the names and the number of columns."""
    _check_feature_names(est, X, reset=reset)
    if reset:
        est.n_features_in_ = len(columns)
    elif len(columns) != est.n_features_in_:
        raise ValueError(
            f"X has {len(columns)} features, but {type(est).__name__} is expecting {est.n_features_in_} "
            "features as input."
        )
