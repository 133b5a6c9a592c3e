"""Inputs of categories."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from gdfast._constraints import checks_arguments
from gdfast._convertible import Convertible
from gdfast._described import Described
from gdfast._model_file.models import Savable
from gdfast.preprocessing._attempt import all_or_nothing
from gdfast.preprocessing._categories import Categories
from gdfast.preprocessing._columns import as_categories, columns_of, is_known
from gdfast.preprocessing._names import check_columns
from gdfast.training.arrays import Array
from gdfast.training.encoding import CategoryColumn, Encoding


class CategoricalEncoder(TransformerMixin, Savable, Convertible, Described, BaseEstimator):
    """Encode categories as inputs of a network: one for each, and one of -1 and 1 where there are two.

    Missing values and categories that ``fit`` has not seen become zeros, which are no category. Rare
    categories share one input.

    Parameters
    ----------
    min_frequency : int, default=2
        Categories of fewer rows are rare.
    max_categories : int, default=256
        The largest number of inputs of a column, that of the rare ones included: the most frequent
        categories have one each.
    sparse_output : bool, default=False
        Whether ``transform`` returns a CSR array.

    Attributes
    ----------
    categories_ : list of ndarray
        The categories of each column in sorted order, without a missing value.
    n_categories_ : list of int
        How many of them remain with the rare ones as one.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X has names.

    Examples
    --------
    >>> from gdfast.preprocessing import CategoricalEncoder
    >>> X = [["yes", "red"], ["no", "green"], ["yes", None], ["no", "blue"]]
    >>> encoder = CategoricalEncoder(min_frequency=1).fit(X)
    >>> encoder.transform(X).tolist()
    [[1.0, 0.0, 0.0, 1.0], [-1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0]]
    >>> encoder.get_feature_names_out().tolist()
    ['x0_yes', 'x1_blue', 'x1_green', 'x1_red']
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
        "max_categories": [Interval(Integral, 1, None, closed="left")],
        "sparse_output": ["boolean"],
    }

    _columns: list[Categories]

    def __init__(
        self, *, min_frequency: int = 2, max_categories: int = 256, sparse_output: bool = False
    ) -> None:
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.sparse_output = sparse_output

    @checks_arguments
    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the categories of each column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Strings, numbers, booleans, or a frame's categories; None or NaN where one is missing.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        TypeError
            If a column holds lists or other objects without an order.
        """
        columns = columns_of(X)
        check_columns(self, X, columns, reset=True)
        return self._fit_categories([as_categories(column) for column in columns])

    def _fit_categories(self, columns: list[Array]) -> Self:
        """`fit` for columns of objects, None where one is missing."""
        self._columns = [self._found(column) for column in columns]
        return self

    @property
    def categories_(self) -> list[Array]:
        return [column.values for column in self._columns]

    @property
    def n_categories_(self) -> list[int]:
        return [column.count for column in self._columns]

    def _found(self, column: Array) -> Categories:
        known = column[is_known(column)]
        if len(known) == 0:  # scikit-learn takes no empty column
            return Categories(known, np.empty(0, np.int64), False)
        encoder = OrdinalEncoder(min_frequency=self.min_frequency, max_categories=self.max_categories)
        numbers = encoder.fit(known[:, np.newaxis]).transform(encoder.categories_[0][:, np.newaxis])
        has_rare = encoder.infrequent_categories_[0] is not None
        return Categories(encoder.categories_[0], numbers[:, 0].astype(np.int64), has_rare)

    def _numbers(self, columns: list[Array]) -> Array:
        """The number of each category, float64 of shape (n_samples, n_features); -1 for none."""
        numbers = np.empty((len(columns[0]) if columns else 0, len(columns)))
        for i, (categories, column) in enumerate(zip(self._columns, columns, strict=True)):
            numbers[:, i] = categories.numbers_of(column)
        return numbers

    def _encoded_columns(self) -> list[CategoryColumn]:
        """The columns of an `Encoding`; one without categories has an input that stays 0."""
        return [CategoryColumn(max(n, 1), binary=n == 2) for n in self.n_categories_]

    def transform(self, X: Any) -> Any:
        """Encode.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X_new : {ndarray, CSR array} of shape (n_samples, n_features_out), float64
        """
        check_is_fitted(self)
        columns = columns_of(X)
        check_columns(self, X, columns, reset=False)
        numbers = self._numbers([as_categories(column) for column in columns])
        encoding = Encoding(self._encoded_columns())
        return _sparse(encoding, numbers) if self.sparse_output else encoding.encode(numbers)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns: that of the input and the category; of two categories the second.

        Parameters
        ----------
        input_features : array-like of str, default=None
            The input's names, if it has none of its own.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        names = []
        for i, name in enumerate(_check_feature_names_in(self, input_features)):
            column = self._columns[i]
            kept = column.kept() + ["rare"] * column.has_rare
            labels = kept[1:] if len(kept) == 2 else kept or ["none"]
            names += [f"{name}_{label}" for label in labels]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _sparse(encoding: Encoding, numbers: Array) -> Any:
    """The same as ``encoding.encode(numbers)``, with nothing stored for zeros."""
    entries, first = [], 0
    for i, column in enumerate(encoding.columns):
        rows = np.flatnonzero(numbers[:, i] >= 0)
        found = numbers[rows, i].astype(np.int64)
        binary = getattr(column, "binary", False)
        values = 2.0 * found - 1 if binary else np.ones(len(rows))
        entries.append((values, rows, np.full(len(rows), first) if binary else first + found))
        first += column.n_inputs
    values, rows, places = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return sparse.csr_array((values, (rows, places)), shape=(len(numbers), first))
