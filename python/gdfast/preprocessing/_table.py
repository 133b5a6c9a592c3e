"""The front end of the tabular estimators: a table's columns to a network's inputs."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from gdfast._constraints import StrOptions, checks_arguments
from gdfast._convertible import Convertible
from gdfast._described import Described
from gdfast._model_file.models import Savable
from gdfast.preprocessing import _piecewise
from gdfast.preprocessing._attempt import all_or_nothing
from gdfast.preprocessing._categorical import CategoricalEncoder
from gdfast.preprocessing._columns import Column, as_categories, as_numbers, columns_of, in_order
from gdfast.preprocessing._encoder import ColumnEncoder, scaled
from gdfast.preprocessing._names import check_columns
from gdfast.preprocessing._robust import center_and_scale
from gdfast.training.arrays import Array
from gdfast.training.encoding import CategoryColumn, EncodedRows, Encoding, NumberColumn


def embedding_size(n_categories: int) -> int:
    """The size of embeddings by fastai's rule (Howard and Gugger, "fastai", 2020: ``emb_sz_rule``)."""
    return min(600, round(1.6 * math.pow(n_categories, 0.56)))


class TableEncoder(TransformerMixin, Savable, Convertible, Described, BaseEstimator):
    """Encode a table as inputs of a network.

    Numbers are scaled and bounded as by :class:`RobustClipper`, and split into bins as by
    :class:`PiecewiseLinearEncoder`; where some are missing in training, an input says so. Categories become
    inputs as by :class:`CategoricalEncoder`. Dates become numbers, days since 1970. A constant or empty
    column becomes nothing.

    With ``embed_from``, :meth:`encode` marks columns of many categories to be embedded: a network that is
    trained on these rows learns a short vector for each category, ``embeddings_``, and has a few inputs in
    place of one for each. The vectors belong to the network, so :meth:`transform` and
    :meth:`get_feature_names_out` give one input for each category all the same.

    Parameters
    ----------
    categorical_features : "from_dtype", None, or array-like of bool, int or str, default="from_dtype"
        Which columns hold categories. "from_dtype": those of strings, booleans, categories or other objects.
        Or a mask, indices or names of columns; None for none.
    bins : {"mixed", "tree", "values", "quantile", None}, default="mixed"
        How the edges of bins are found, see :class:`PiecewiseLinearEncoder`; None for no bins.
    n_bins : int or None, default=None
        The largest number of bins of a column; with "mixed" there may be twice as many. None: one for 256
        rows, from 12 to 48.
    max_inputs : int, default=1024
        With many columns of numbers, these get fewer bins, or none, so that bins are no more than this
        number of inputs in all.
    min_frequency : int, default=2
        Categories of fewer rows are rare.
    max_categories : int, default=256
        The largest number of categories of a column; the rarest beyond it share one.
    embed_from : int or None, default=None
        Columns of more categories are embedded; None for none.
    embedding_dim : int or "auto", default="auto"
        Number of inputs of an embedded column, at most that of its categories. "auto": ``1.6 n^0.56``,
        rounded, for n categories, and at most 600, as in fastai (Howard and Gugger, 2020).
    dtype : {"float32", "float64"}, default="float32"
        The dtype of the inputs.
    random_state : int, RandomState instance or None, default=None
        Draws the rows on which trees are grown if there are more than 50,000.

    Attributes
    ----------
    encoding_ : Encoding
        The inputs of each column, as :meth:`encode` gives them.
    categorical_features_ : ndarray of shape (`n_features_in_`,), bool
        Which columns hold categories.
    date_features_ : list of str
        The columns that held dates.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X has names.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast.preprocessing import TableEncoder
    >>> X = np.array([[20.0, "red"], [30.0, "blue"], [None, "blue"], [70.0, "red"]], dtype=object)
    >>> encoder = TableEncoder(bins=None, dtype="float64").fit(X, [0, 1, 0, 1])
    >>> encoder.get_feature_names_out().tolist()
    ['x0', 'x0_missing', 'x1_red']
    >>> encoder.transform(X).round(2).tolist()
    [[-0.4, 0.0, 1.0], [0.0, 0.0, -1.0], [0.0, 1.0, -1.0], [1.41, 0.0, 1.0]]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "bins": [StrOptions(set(_piecewise.BINS)), None],
        "n_bins": [Interval(Integral, 1, None, closed="left"), None],
        "max_inputs": [Interval(Integral, 1, None, closed="left")],
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
        "max_categories": [Interval(Integral, 1, None, closed="left")],
        "embed_from": [Interval(Integral, 1, None, closed="left"), None],
        "embedding_dim": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "dtype": [StrOptions({"float32", "float64"})],
        "random_state": ["random_state"],
    }

    encoding_: Encoding
    categorical_features_: Array
    date_features_: list[str]

    def __init__(
        self,
        *,
        categorical_features: Any = "from_dtype",
        bins: str | None = "mixed",
        n_bins: int | None = None,
        max_inputs: int = 1024,
        min_frequency: int = 2,
        max_categories: int = 256,
        embed_from: int | None = None,
        embedding_dim: int | str = "auto",
        dtype: str = "float32",
        random_state: Any = None,
    ) -> None:
        self.categorical_features = categorical_features
        self.bins = bins
        self.n_bins = n_bins
        self.max_inputs = max_inputs
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.embed_from = embed_from
        self.embedding_dim = embedding_dim
        self.dtype = dtype
        self.random_state = random_state

    @checks_arguments
    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find scales, edges and categories.

        Parameters
        ----------
        X : {DataFrame, array-like} of shape (n_samples, n_features)
            A frame of pandas or polars, a table of pyarrow, an array or a list of rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            The target, where ``bins`` needs it.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        TypeError, ValueError
            If a column cannot be encoded; the message names it.
        """
        columns = columns_of(X)
        check_columns(self, X, columns, reset=True)
        target = None
        if self.bins in ("tree", "mixed"):
            if y is None:
                raise ValueError(
                    f"bins={self.bins!r} requires y to be passed, but the target y is None. Give it, or use "
                    "bins='quantile'."
                )
            target = _piecewise.target_of_tree(y)
            if columns:
                check_consistent_length(columns[0].values, target)
        self._fit_columns(columns, target)
        return self

    def _fit_columns(self, columns: Sequence[Column], target: Array | None) -> Array:
        """`fit` for columns and a checked target, and their table."""
        self.categorical_features_ = self._categorical(columns)
        self.date_features_ = [column.name for column in columns if column.kind == "date"]
        random_state = check_random_state(self.random_state)
        dtype = np.dtype(self.dtype)
        table = np.empty((len(columns[0].values), len(columns)), dtype)
        self._centers, self._scales = np.zeros(len(columns)), np.ones(len(columns))

        categories = np.flatnonzero(self.categorical_features_).tolist()
        objects = [as_categories(columns[i]) for i in categories]
        self._categories = CategoricalEncoder(
            min_frequency=self.min_frequency, max_categories=self.max_categories
        )._fit_categories(objects)
        nothing = NumberColumn(np.empty(0), clipped=False)
        encoded: list[NumberColumn | CategoryColumn] = [nothing] * len(columns)
        if len(categories):
            table[:, categories] = self._categories._numbers(objects)
            for i, column in zip(categories, self._categories._encoded_columns(), strict=True):
                encoded[i] = self._embedded(column)

        numbers = np.flatnonzero(~self.categorical_features_).tolist()
        most = self.max_inputs // max(len(numbers), 1)
        n_bins = int(np.clip(len(table) // 256, 12, 48)) if self.n_bins is None else self.n_bins
        n_bins = min(n_bins, most // 2 if self.bins == "mixed" else most)
        for i in numbers:
            x = as_numbers(columns[i])
            missing = np.isnan(x)
            self._centers[i], self._scales[i] = center_and_scale(x[~missing])
            table[:, i] = scaled(x, self._centers[i], self._scales[i])
            edges = np.empty(0)
            if self.bins is not None and n_bins > 1:
                edges = _piecewise.edges(table[:, i], target, self.bins, n_bins, 20, random_state)
                edges = _piecewise.distinct(edges, np.float32)
            constant = missing.all() or np.ptp(table[~missing, i]) == 0
            flagged = bool(missing.any() and not missing.all())
            encoded[i] = NumberColumn(
                edges if len(edges) > 2 else np.empty(0), clipped=not constant, flagged=flagged
            )
        if not any(column.n_inputs for column in encoded):
            encoded[0] = NumberColumn(np.empty(0))  # a network has an input
        self.encoding_ = Encoding(encoded)
        return table

    def _embedded(self, column: CategoryColumn) -> CategoryColumn:
        """A column of many categories embedded, any other as it is."""
        if self.embed_from is None or column.n_categories <= self.embed_from:
            return column
        n = column.n_categories
        size = embedding_size(n) if self.embedding_dim == "auto" else int(self.embedding_dim)
        return replace(column, embedding=min(size, n))

    def _without_embeddings(self) -> Encoding:
        """The encoding with an input for each category of embedded columns."""
        columns = self.encoding_.columns
        return Encoding([replace(c, embedding=0) if isinstance(c, CategoryColumn) else c for c in columns])

    def _categorical(self, columns: Sequence[Column]) -> Array:
        """Which columns hold categories."""
        by_dtype = np.array([column.kind == "category" for column in columns], bool)
        chosen = self.categorical_features
        if isinstance(chosen, str):
            return by_dtype
        mask = np.zeros(len(columns), bool)
        if chosen is None:
            return mask
        chosen = np.asarray(chosen)
        if chosen.dtype.kind == "b":
            if chosen.shape != mask.shape:
                raise ValueError(
                    f"categorical_features set as a boolean mask should have shape ({len(columns)},), got "
                    f"{chosen.shape}."
                )
            return chosen
        if chosen.dtype.kind in "US" or chosen.dtype == object:
            names = [column.name for column in columns]
            for name in chosen:
                if name not in names:
                    raise ValueError(f"categorical_features names {str(name)!r}, but X has no such column.")
                mask[names.index(name)] = True
            return mask
        if chosen.size and (
            chosen.dtype.kind not in "iu" or chosen.max() >= len(columns) or chosen.min() < 0
        ):
            raise ValueError(
                f"categorical_features set as integer indices must lie within [0, {len(columns)}), got "
                f"{chosen}."
            )
        mask[chosen.astype(np.int64)] = True
        return mask

    def encode(self, X: Any, *, owner: Any = None) -> EncodedRows:
        """The rows as networks of gdfast take them, without the encoded matrix.

        Parameters
        ----------
        X : {DataFrame, array-like} of shape (n_samples, n_features)
        owner : estimator, default=None
            Whose encoder this is: what errors call it.

        Returns
        -------
        rows : EncodedRows
            Estimators such as :class:`gdfast.MLPClassifier` take it in place of X. With stochastic solvers
            they train the embeddings of columns that have them.
        """
        check_is_fitted(self)
        X = in_order(X, getattr(self, "feature_names_in_", None))
        columns = columns_of(X)
        check_columns(self if owner is None else owner, X, columns, reset=False)
        return self._column_encoder(self.encoding_).encode(columns)

    def _column_encoder(self, encoding: Encoding) -> ColumnEncoder:
        """What has been found in the fit, as plain values."""
        return ColumnEncoder(
            self.categorical_features_,
            self._categories._columns,
            self._centers,
            self._scales,
            encoding,
            self.dtype,
        )

    def transform(self, X: Any) -> Array:
        """The encoded matrix.

        Parameters
        ----------
        X : {DataFrame, array-like} of shape (n_samples, n_features)
            Columns in another order are found by their names.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features_out)
        """
        return replace(self.encode(X), encoding=self._without_embeddings()).toarray()

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the inputs.

        Parameters
        ----------
        input_features : array-like of str, default=None
            The input's names, if it has none of its own.

        Returns
        -------
        names : ndarray of str
            The column's name, with ``_missing``, ``_bin`` and the bin's number, or ``_`` and the category.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        of_categories = self._categories
        of_categories.n_features_in_ = int(self.categorical_features_.sum())
        labels = list(of_categories.get_feature_names_out(names[self.categorical_features_]))
        found = []
        for name, column in zip(names, self._without_embeddings().columns, strict=True):
            if isinstance(column, CategoryColumn):
                found += labels[: column.n_inputs]
                del labels[: column.n_inputs]
                continue
            found += [name] * column.clipped + [f"{name}_missing"] * column.flagged
            found += [f"{name}_bin{t}" for t in range(len(column.edges) - 1)]
        return np.array(found, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = self.bins in ("tree", "mixed")
        tags.transformer_tags.preserves_dtype = []
        return tags
