"""Robust scaling with smooth clipping."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from gdfast._constraints import checks_arguments
from gdfast._convertible import Convertible
from gdfast._described import Described
from gdfast._model_file.models import Savable
from gdfast.preprocessing._attempt import all_or_nothing
from gdfast.preprocessing._encoder import scaled
from gdfast.training.arrays import Array


class RobustClipper(OneToOneFeatureMixin, TransformerMixin, Savable, Convertible, Described, BaseEstimator):
    """Scale columns by their quartiles, and bound outliers smoothly.

    ``z = (x - median) / IQR`` becomes ``z / sqrt(1 + (z / limit)^2)``, which is near ``z`` for small values
    and lies within ``(-limit, limit)``. Where the interquartile range (IQR) is 0, half the range of the
    values replaces it. Missing values (NaN) stay missing.

    Parameters
    ----------
    limit : float, default=3.0
        The bound, in interquartile ranges.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        The medians.
    scale_ : ndarray of shape (n_features,)
        The interquartile ranges, or what replaces them: 1 for a constant column.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X has names.

    References
    ----------
    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: Strong pre-tuned MLPs and boosted trees
    on tabular data", NeurIPS 2024 (robust scaling and smooth clipping).

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.preprocessing import RobustClipper
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [1000.0]])
    >>> RobustClipper().fit_transform(X).round(2).tolist()
    [[-0.95], [-0.49], [0.0], [0.49], [3.0]]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {"limit": [Interval(Real, 0, None, closed="neither")]}

    center_: Array
    scale_: Array

    def __init__(self, limit: float = 3.0) -> None:
        self.limit = limit

    @checks_arguments
    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find median and interquartile range of each column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Real numbers; NaN where one is missing.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        self.center_, self.scale_ = np.zeros(X.shape[1]), np.ones(X.shape[1])
        for i, column in enumerate(X.T):
            self.center_[i], self.scale_[i] = center_and_scale(column[~np.isnan(column)])
        return self

    def transform(self, X: Any) -> Array:
        """Scale and bound.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            float32 for X of float32, else float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        found = scaled(X, self.center_, self.scale_)
        bounded: Array = found / np.sqrt(1 + (found / self.limit) ** 2)
        return bounded.astype(X.dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def center_and_scale(x: Array) -> tuple[float, float]:
    """Median and interquartile range; half the range of values if that is 0, and 1 for a constant."""
    if len(x) == 0:
        return 0.0, 1.0
    low, center, high = np.quantile(x.astype(np.float64), [0.25, 0.5, 0.75])
    scale = high - low or (float(x.max()) - float(x.min())) / 2 or 1.0
    return float(center), float(scale)
