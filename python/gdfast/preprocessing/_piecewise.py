"""Piecewise-linear encoding of numbers."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from gdfast._constraints import StrOptions, checks_arguments
from gdfast._convertible import Convertible
from gdfast._described import Described
from gdfast._model_file.models import Savable
from gdfast.preprocessing import _bins
from gdfast.preprocessing._attempt import all_or_nothing
from gdfast.training.arrays import Array
from gdfast.training.encoding import Encoding, NumberColumn

BINS = ("tree", "values", "quantile", "mixed")


class PiecewiseLinearEncoder(TransformerMixin, Savable, Convertible, Described, BaseEstimator):
    """Encode each number by how far it reaches into each of its column's bins.

    A column with edges ``e_0 < e_1 < ... < e_T`` becomes T columns: ``(x - e_(t-1)) / (e_t - e_(t-1))``,
    limited to [0, 1], minus 1/2. A linear layer on them is a piecewise-linear function of x. A constant
    column becomes none; missing values (NaN) become zeros.

    Parameters
    ----------
    n_bins : int, default=32
        The largest number of bins of a column; with "mixed" there may be twice as many.
    bins : {"mixed", "tree", "values", "quantile"}, default="mixed"
        How the edges are found. "quantile": at equally spaced quantiles. "values": values that many rows have
        get bins of their own, and quantiles divide the others; at most ``n_bins`` distinct values have a bin
        each. "tree": at the thresholds of a decision tree that predicts y from the column alone. "mixed": at
        those of "tree" and of "values".
    min_samples_leaf : int, default=20
        The fewest rows on either side of a threshold of a tree, and no more than 1/128 of the rows.
    random_state : int, RandomState instance or None, default=None
        Draws the 50,000 rows on which trees are grown if there are more.

    Attributes
    ----------
    bin_edges_ : list of ndarray
        The edges of each column; fewer than two for a constant column.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X has names.

    References
    ----------
    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning",
    NeurIPS 2022, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.preprocessing import PiecewiseLinearEncoder
    >>> X = np.arange(100.0).reshape(-1, 1)
    >>> y = X[:, 0] > 69
    >>> encoder = PiecewiseLinearEncoder(bins="tree").fit(X, y)
    >>> encoder.bin_edges_[0].tolist()
    [0.0, 69.5, 99.0]
    >>> encoder.get_feature_names_out().tolist()
    ['x0_bin0', 'x0_bin1']
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "bins": [StrOptions(set(BINS))],
        "min_samples_leaf": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    bin_edges_: list[Array]

    def __init__(
        self,
        n_bins: int = 32,
        *,
        bins: str = "mixed",
        min_samples_leaf: int = 20,
        random_state: Any = None,
    ) -> None:
        self.n_bins = n_bins
        self.bins = bins
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    @checks_arguments
    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the edges.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Real numbers; NaN where one is missing.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            The target of "tree" and "mixed". Numbers with fractions are regression, all others are classes.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If y is missing where it is needed, or holds NaN.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        target = None
        if self.bins in ("tree", "mixed"):
            if y is None:
                raise ValueError(
                    f"bins={self.bins!r} requires y to be passed, but the target y is None. Give it, or use "
                    "bins='quantile'."
                )
            target = target_of_tree(y)
            check_consistent_length(X, target)
        random_state = check_random_state(self.random_state)
        self.bin_edges_ = [
            edges(column, target, self.bins, self.n_bins, self.min_samples_leaf, random_state)
            for column in X.T
        ]
        return self

    def transform(self, X: Any) -> Array:
        """Encode.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features_out)
            float32 for X of float32, else float64.
        """
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            reset=False,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            order="C",
        )
        columns = [NumberColumn(distinct(e, X.dtype), clipped=False) for e in self.bin_edges_]
        return Encoding(columns).encode(np.require(X, requirements=["C", "A"]))

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns: that of the input, ``_bin``, and the bin's number.

        Parameters
        ----------
        input_features : array-like of str, default=None
            The input's names, if it has none of its own.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self, "bin_edges_")
        names = _check_feature_names_in(self, input_features)
        pairs = zip(names, self.bin_edges_, strict=True)
        names_out = [f"{name}_bin{t}" for name, e in pairs for t in range(len(e) - 1)]
        return np.array(names_out, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = self.bins in ("tree", "mixed")
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def target_of_tree(y: Any) -> Array:
    """y as floats in regression and as the integers of classes otherwise, of one or two dimensions."""
    y = check_array(y, ensure_2d=False, dtype=None)
    if type_of_target(y).startswith("continuous"):
        numbers: Array = y.astype(np.float64)
        return numbers
    if y.ndim == 2:
        return np.stack([np.unique(column, return_inverse=True)[1] for column in y.T], axis=1)
    return np.unique(y, return_inverse=True)[1]


def edges(
    x: Array, target: Array | None, bins: str, n_bins: int, min_samples_leaf: int, random_state: Any
) -> Array:
    """The edges of one column, in float64; those of known values only."""
    known = ~np.isnan(x)
    x = x[known].astype(np.float64)
    if len(x) == 0:
        return np.empty(0)
    match bins:
        case "quantile":
            return _bins.by_quantiles(x, n_bins)
        case "values":
            return _bins.by_values(x, n_bins)
    assert target is not None
    leaf = max(1, min(min_samples_leaf, len(x) // 128))
    found = _bins.by_tree(x, target[known], n_bins, leaf, random_state)
    if bins == "mixed":
        found = np.union1d(found, _bins.by_values(x, n_bins))
    return found


def distinct(edges: Array, dtype: Any) -> Array:
    """The edges that differ in ``dtype``, as float64."""
    with np.errstate(over="ignore"):
        return np.unique(edges.astype(dtype)).astype(np.float64)
